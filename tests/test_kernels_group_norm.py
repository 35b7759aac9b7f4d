"""Group norm of images: every backend, instruction set and dtype against formulas in extended precision."""
import numpy as np
import pytest

from conftest import assert_same_bits
from fastnn.functional import call
from test_kernels_normalization import EPSILON, Reference, close, numbers, parameters


def group_norm(x, groups, per_pixel, gamma, beta, dy, parameter_shape):
    """y, mean, inverse, dx, dgamma, dbeta by the three ops."""
    cells = (len(x), *(x.shape[1:3] if per_pixel else (1, 1)), groups)
    y, dx = np.full((2, *x.shape), np.nan, x.dtype)
    mean, inverse = np.full((2, *cells), np.nan, x.dtype)
    dgamma, dbeta = np.full((2, *parameter_shape), np.nan, x.dtype)
    how = {"groups": groups, "per_pixel": per_pixel}
    call("group_norm_forward", (x, gamma, beta, y, mean, inverse), epsilon=EPSILON, **how)
    call("group_norm_backward", (dy, x, mean, inverse, gamma, dx), **how)
    call("group_norm_backward_parameters", (dy, x, mean, inverse, dgamma, dbeta), **how)
    return y, mean, inverse, dx, dgamma, dbeta


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("per_pixel, whole", [(0, False), (1, False), (0, True)])
def test_group_norm(combination, affine, per_pixel, whole):
    """gamma and beta of channels, or (`whole`) of every value of an image."""
    dtype = combination.dtype
    for (b, h, w, c), groups in [((1, 2, 2, 4), 2), ((3, 1, 3, 5), 1), ((17, 3, 2, 6), 3), ((16, 2, 2, 4), 4),
                                 ((33, 2, 3, 9), 3)]:
        x, dy = numbers((b, h, w, c), dtype, 0), numbers((b, h, w, c), dtype, 1) - 3
        shape = (h * w, c) if whole else (c,)
        gamma, beta = parameters(affine, shape, dtype)

        inside, of_parameters = (b, h * w, groups, c // groups), (-1, h * w if whole else 1, groups, c // groups)
        cells = [a if a is None else a.reshape(of_parameters) for a in (gamma, beta)]
        r = Reference(x.reshape(inside), 3 if per_pixel else (1, 3), *cells, dy.reshape(inside), 0 if whole else (0, 1))
        y, mean, inverse, dx, dgamma, dbeta = group_norm(x, groups, per_pixel, gamma, beta, dy, shape)
        terms = 4 * (r.terms + b * h * w) + 8
        what = f"{(b, h, w, c)} in {groups}"
        close(mean, (r.mean, np.abs(r.mean) + 3), dtype, terms, f"mean {what}")
        close(inverse, (r.inverse, r.inverse), dtype, terms, f"inverse {what}")
        close(y, r.y, dtype, terms, f"y {what}")
        close(dx, r.dx, dtype, terms, f"dx {what}")
        close(dgamma, r.dgamma, dtype, terms, f"dgamma {what}")
        close(dbeta, r.dbeta, dtype, terms, f"dbeta {what}")


def test_one_place_for_a_gradient_of_images(combination):
    """gamma alone, or beta alone, gets the same bits; and images of a batch those of each alone."""
    x, dy = numbers((19, 2, 2, 3), combination.dtype, 0), numbers((19, 2, 2, 3), combination.dtype, 1)
    y, mean, inverse, dx, *both = group_norm(x, 3, 0, None, None, dy, (3,))
    one = np.full((2, 3), np.nan, x.dtype)
    for dgamma, dbeta in ((one[0], None), (None, one[1])):
        call("group_norm_backward_parameters", (dy, x, mean, inverse, dgamma, dbeta), groups=3, per_pixel=0)
    assert_same_bits(one, np.array(both))
    for i in (0, 17):
        alone = group_norm(x[i:i + 1], 3, 0, None, None, dy[i:i + 1], (3,))
        assert_same_bits(alone[0][0], y[i])
        assert_same_bits(alone[3][0], dx[i])
