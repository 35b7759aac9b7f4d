"""Arrays in float64 that remember what they were made of: reverse-mode differentiation in a page.

What is written in these operators is judged without PyTorch; the words are PyTorch's, so that both read the same
formulas. Each operator says what its inputs get of its own gradient `g`, and nothing else does.
"""
import numpy as np


class Var:
    """A value, its gradient `grad` once ``backward()`` was called above it, and where that goes on to."""

    def __init__(self, value, *below):
        self.value, self.below, self.grad = np.asarray(value, float), below, None  # below: (Var, what it gets of g)

    def __add__(self, other):
        other = wrap(other)
        return Var(self.value + other.value, (self, lambda g: g), (other, lambda g: g))

    def __mul__(self, other):
        other = wrap(other)
        return Var(self.value * other.value, (self, lambda g: g * other.value), (other, lambda g: g * self.value))

    def __matmul__(self, other):
        other = wrap(other)
        return Var(self.value @ other.value, (self, lambda g: g @ other.value.T), (other, lambda g: self.value.T @ g))

    def __sub__(self, other):
        return self + wrap(other) * -1

    def __rsub__(self, other):
        return wrap(other) - self

    __radd__, __rmul__, __array_ufunc__ = __add__, __mul__, None  # NumPy's arrays leave it to Var

    def __getitem__(self, index):
        def into_zeros(g):
            zeros = np.zeros_like(self.value)
            zeros[index] = g
            return zeros
        return Var(self.value[index], (self, into_zeros))

    def sigmoid(self):
        y = 1 / (1 + np.exp(-self.value))
        return Var(y, (self, lambda g: g * y * (1 - y)))

    def tanh(self):
        y = np.tanh(self.value)
        return Var(y, (self, lambda g: g * (1 - y * y)))

    def relu(self):
        return Var(np.maximum(self.value, 0), (self, lambda g: g * (self.value > 0)))

    def exp(self):
        y = np.exp(self.value)
        return Var(y, (self, lambda g: g * y))

    def sum(self):
        return Var(self.value.sum(), (self, lambda g: np.broadcast_to(g, self.value.shape)))

    def detach(self):
        return Var(self.value)

    def numpy(self):
        return self.value

    def backward(self):
        """Gradients of this number for all that it was made of, those above first."""
        order, seen, stack = [], set(), [(self, False)]
        while stack:
            var, done = stack.pop()
            if done:
                order.append(var)
            elif id(var) not in seen:
                seen.add(id(var))
                stack += [(var, True), *((below, False) for below, _ in var.below)]
        self.grad = np.ones_like(self.value)
        for var in reversed(order):
            for below, share in var.below:
                got = reduced(share(var.grad), below.value.shape)
                below.grad = got if below.grad is None else below.grad + got


def wrap(value):
    return value if isinstance(value, Var) else Var(value)


def reduced(g, shape):
    """A gradient summed over the axes along which its value was repeated."""
    g = g.sum(axis=tuple(range(g.ndim - len(shape))))
    return g.sum(axis=tuple(i for i, n in enumerate(shape) if n == 1 < g.shape[i]), keepdims=True)
