"""A recurrent network learns to add numbers written in binary, and adds longer ones than it has ever seen.

At each step in time, from the lowest bit up, it is shown one bit of each of two numbers and says one bit of their sum;
what it has to find out is that there is a carry. It trains on numbers of 12 bits and is tested on numbers of 40. (The
showcase of KANN, Heng Li's library of recurrent networks.)

    python examples/rnn_addition.py
"""

import time

import numpy as np

import fastnn as fnn

TRAINING_BITS, TEST_BITS = 12, 40


def sums(rng, n, bits):
    """n pairs of numbers of so many bits, (n, bits + 1, 2), and their sums, (n, bits + 1, 1), the lowest bit first."""
    numbers = rng.integers(0, 2 ** bits, (n, 2))
    place = np.arange(bits + 1)
    X = numbers[:, None, :] >> place[:, None] & 1
    y = numbers.sum(axis=1)[:, None] >> place & 1
    return X.astype(np.float32), y[:, :, None].astype(np.float32)


def learn(seed):
    """The share of sums of long numbers that are right in every bit, and of their bits."""
    rng = np.random.default_rng(seed)
    model = fnn.Sequential([fnn.GRU(16, return_sequences=True), fnn.Dense(1, "sigmoid")], input_shape=(None, 2),
                           seed=seed)
    model.compile(fnn.Adam(0.02), loss="cross_entropy")
    X, y = sums(rng, 4000, TRAINING_BITS)
    model.fit(X, y, batch_size=32, epochs=8, verbose=0)
    X, y = sums(rng, 1000, TEST_BITS)
    right = (model.predict(X) > 0.5) == y
    return right.all(axis=(1, 2)).mean(), right.mean()


def main(n_seeds=3):
    """All of it; asserts what it finds on each seed."""
    began = time.perf_counter()
    for seed in range(n_seeds):
        numbers, bits = learn(seed)
        print(f"seed {seed}: of sums of {TEST_BITS}-bit numbers {numbers:.1%} right, of their bits {bits:.2%}")
        assert numbers >= 0.99, f"expected 99% of the sums right, got {numbers:.1%}"
    print(f"{time.perf_counter() - began:.1f} s")


if __name__ == "__main__":
    main()
