"""Errors of the core's elementary functions and activations in units in the last place (ULP), beside NumPy's.

Float32 is judged over all 2**32 bit patterns by NumPy in float64 (what NumPy has not, by the core's own
float64 version, which this script judges too); float64 over a sample by mpmath. All takes over two hours. For
the activations NumPy's figure is that of the NumPy backend::

    python benchmarks/ulp_sweep.py
    python benchmarks/ulp_sweep.py --functions tanh --isas avx512 --every 101 --samples 2000
"""
import argparse
import sys

import mpmath
import numpy as np

import fastnn as fnn
from fastnn import backends, functional

BLOCK = 1 << 20
BOUND, COMPOSED_BOUND = 2.0, 4.0
FUNCTIONS = ("exp", "log", "tanh", "sigmoid", "expm1", "log1p", "erf", "softplus")
COMPOSED = ("softsign", "elu", "selu", "gelu", "gelu_tanh", "silu", "mish")
NAMES = FUNCTIONS + COMPOSED
NUMPY = {name: getattr(np, name) for name in ("exp", "log", "tanh", "expm1", "log1p")}
MPMATH = {
    **{name: getattr(mpmath, name) for name in ("exp", "log", "tanh", "expm1", "log1p", "erf")},
    "sigmoid": lambda x: 1 / (1 + mpmath.exp(-x)),
    "softplus": lambda x: mpmath.log1p(mpmath.exp(x)) if x < 0 else x + mpmath.log1p(mpmath.exp(-x)),
    "softsign": lambda x: x / (1 + abs(x)),
    "elu": lambda x: x if x > 0 else mpmath.expm1(x),
    "selu": lambda x: x * SELU[0] if x > 0 else SELU[1] * mpmath.expm1(x),
    # mpmath's erfc fails at 1e300; from 1e9 on it is 2 or 0
    "gelu": lambda x: x * mpmath.erfc(-max(min(x, 1e9), -1e9) / mpmath.sqrt(2)) / 2,
    "gelu_tanh": lambda x: x / (1 + mpmath.exp(-mpmath.sqrt(8 / mpmath.pi) * (x + x**3 * 44715 / 1000000))),
    "silu": lambda x: x / (1 + mpmath.exp(-x)),
    "mish": lambda x: x * mpmath.tanh(mpmath.log1p(mpmath.exp(x))),
}
SELU = mpmath.mpf("1.0507009873554804934193349852946"), mpmath.mpf("1.7580993408473768599402175208123")


def core(name, x):
    if name in COMPOSED:
        return functional.activation_forward(x[None], name)[0]
    y = np.empty_like(x)
    backends.native.vector_function(name, x, y)
    return y


def by_numpy(name, x):
    if name in NUMPY:
        return NUMPY[name](x)
    with fnn.use_backend("numpy"):
        return functional.activation_forward(x[None], name)[0]


def in_float64(name, x):
    """The function of float32 values, right to about 1e-16."""
    if name in NUMPY:
        return NUMPY[name](x)
    if name == "erf" or name in COMPOSED:
        return core(name, x)
    small = np.exp(-np.abs(x))
    if name == "sigmoid":
        return np.where(x < 0, small, 1) / (1 + small)
    return np.maximum(x, 0) + np.log1p(small)


def ulp(y, high, low=0.0):
    """|y - (high + low)| in ULP of high; infinite where one is NaN or infinite and the other is not."""
    limits = np.finfo(y.dtype)
    exponent = (np.abs(high).view(np.int64) >> 52) - 1023 if y.dtype == np.float32 else np.frexp(high)[1] - 1
    unit = np.ldexp(1.0, np.maximum(exponent, limits.minexp) - limits.nmant)
    error = np.abs((y.astype(np.float64) - high) - low) / unit  # NaN where high and y overflow
    limit = float(limits.max) * (1 + 2.0 ** -26 if y.dtype == np.float32 else 1)
    with np.errstate(over="ignore"):
        rounded = np.where(np.abs(high) > limit, np.copysign(np.inf, high), high)
    same = (np.isnan(y) & np.isnan(rounded)) | (np.isinf(rounded) & (y == rounded))
    return np.where(same, 0.0, np.where(np.isfinite(error), error, np.inf))


class Worst:
    def __init__(self):
        self.error, self.x = 0.0, 0.0

    def see(self, error, x):
        i = int(np.argmax(error))
        if error[i] > self.error:
            self.error, self.x = float(error[i]), float(x[i])


def sweep_float32(name, isas, every):
    """The worst errors over every `every`-th float32, by instruction set and for NumPy."""
    worst = {who: Worst() for who in [*isas, "numpy"]}
    for first in range(0, 1 << 32, BLOCK * every):
        bits = np.arange(first, min(first + BLOCK * every, 1 << 32), every, dtype=np.uint64).astype(np.uint32)
        x = bits.view(np.float32)
        exact = in_float64(name, x.astype(np.float64))
        for isa in isas:
            with backends.use_isa(isa):
                worst[isa].see(ulp(core(name, x), exact), x)
        if name in NUMPY or name in COMPOSED:
            worst["numpy"].see(ulp(by_numpy(name, x), exact), x)
        if sys.stderr.isatty():
            print(f"\r{name} {first / 2**32:4.0%}", end="", file=sys.stderr)
    return worst


def sample_float64(name, n, rng):
    """All sizes, more around 0, in the tails, and near the multiples of ln2 / 2 where reductions turn."""
    size = np.exp(rng.uniform(-744, 709, n // 4))
    nearness = rng.uniform(-1, 1, n // 8) * 2.0 ** -rng.integers(1, 40, n // 8)
    turn = rng.integers(0, 60, n // 8) * (np.log(2) / 2) + nearness
    spread = [rng.uniform(0, end, n // 6) for end in (2, 20, 760)]
    x = np.concatenate([size, turn, *spread])
    if name == "log":
        return np.abs(np.concatenate([x, 1 + rng.uniform(-0.3, 0.5, n // 8)]))
    if name == "log1p":
        return np.concatenate([x, -rng.uniform(0, 1, n // 4), -size[size < 0.5]])
    return np.where(rng.random(x.size) < 0.5, x, -x)


def sweep_float64(name, isas, n):
    worst = {who: Worst() for who in [*isas, "numpy"]}
    x = sample_float64(name, n, np.random.default_rng(0))
    with mpmath.workdps(50):
        exact = [MPMATH[name](mpmath.mpf(float(v))) for v in x]
        high = np.array([float(v) for v in exact])
        low = np.array([float(v - mpmath.mpf(float(h))) for v, h in zip(exact, high, strict=True)])
    for isa in isas:
        with backends.use_isa(isa):
            worst[isa].see(ulp(core(name, x), high, low), x)
    if name in NUMPY or name in COMPOSED:
        worst["numpy"].see(ulp(by_numpy(name, x), high, low), x)
    return worst


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--functions", nargs="+", choices=NAMES, default=NAMES)
    parser.add_argument("--isas", nargs="+", default=backends.native.supported_isas())
    parser.add_argument("--every", type=int, default=1, help="look at every so many-th float32 only")
    parser.add_argument("--samples", type=int, default=100_000, help="how many float64 values")
    args = parser.parse_args()
    np.seterr(all="ignore")
    print(f"{'largest error, ULP':20}" + "".join(f"{who:>26}" for who in [*args.isas, "numpy"]))
    failed = False
    for name in args.functions:
        for dtype, worst in (("float32", sweep_float32(name, args.isas, args.every)),
                             ("float64", sweep_float64(name, args.isas, args.samples))):
            cells = []
            for who, w in worst.items():
                absent = who == "numpy" and name not in NUMPY and name not in COMPOSED
                cells.append("-" if absent else f"{w.error:.3f} at {w.x:.8g}")
                failed |= who != "numpy" and w.error > (COMPOSED_BOUND if name in COMPOSED else BOUND)
            print(f"\r{name:11}{dtype:9}" + "".join(f"{cell:>26}" for cell in cells), flush=True)
    if failed:
        sys.exit(f"an error is above {BOUND} ULP, or {COMPOSED_BOUND} of a composed activation")


if __name__ == "__main__":
    main()
