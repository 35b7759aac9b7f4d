"""The C functions that an exported network is made of: one text each, written once into the header if it is used.

`real` stands for float or double, `@` for the letter that math.h adds for float, `NET_` for the network's name.
"""

from __future__ import annotations

FUNCTIONS: dict[str, str] = {
    "dense": """
/* y = x w + b, rows times: x (rows, n_in), w (n_in, n_out), y (rows, n_out) */
static inline void NET_dense(int rows, int n_in, int n_out, const real *x, const real *w, const real *b, real *y)
{
    for (int row = 0; row < rows; row++, x += n_in, y += n_out) {
        for (int j = 0; j < n_out; j++)
            y[j] = b ? b[j] : 0;
        for (int i = 0; i < n_in; i++)
            for (int j = 0; j < n_out; j++)
                y[j] += x[i] * w[i * n_out + j];
    }
}
""",
    "conv": """
/* y[p][q][f] = b[f] + sum x[p s - pad + u d][q s - pad + v d][i] w[u][v][i][f], zeros around x (h, w, c);
   s = {h, w, c, h_out, w_out, filters, kernel y, x, stride y, x, padding y, x, dilation y, x, groups} */
static inline void NET_conv(const int *s, const real *x, const real *w, const real *b, real *y)
{
    const int filters = s[5], group_in = s[2] / s[14], group_out = filters / s[14];
    for (int p = 0; p < s[3]; p++)
        for (int q = 0; q < s[4]; q++, y += filters) {
            for (int f = 0; f < filters; f++)
                y[f] = b ? b[f] : 0;
            for (int u = 0; u < s[6]; u++)
                for (int v = 0; v < s[7]; v++) {
                    const int row = p * s[8] - s[10] + u * s[12], column = q * s[9] - s[11] + v * s[13];
                    if (row < 0 || row >= s[0] || column < 0 || column >= s[1])
                        continue;
                    const real *pixel = x + (row * s[1] + column) * s[2];
                    const real *taps = w + (u * s[7] + v) * group_in * filters;
                    for (int i = 0; i < group_in; i++)
                        for (int f = 0; f < filters; f++)
                            y[f] += pixel[f / group_out * group_in + i] * taps[i * filters + f];
                }
        }
}
""",
    "conv_transpose": """
/* the transpose of the convolution: y[p s - pad + u d][q s - pad + v d][f] += x[p][q][i] w[u][v][f][i];
   s = {h, w, c, h_out, w_out, filters, kernel y, x, stride y, x, padding y, x, dilation y, x, groups} */
static inline void NET_conv_transpose(const int *s, const real *x, const real *w, const real *b, real *y)
{
    const int filters = s[5], group_in = s[2] / s[14], group_out = filters / s[14];
    for (int i = 0; i < s[3] * s[4] * filters; i++)
        y[i] = b ? b[i % filters] : 0;
    for (int p = 0; p < s[0]; p++)
        for (int q = 0; q < s[1]; q++, x += s[2])
            for (int u = 0; u < s[6]; u++)
                for (int v = 0; v < s[7]; v++) {
                    const int row = p * s[8] - s[10] + u * s[12], column = q * s[9] - s[11] + v * s[13];
                    if (row < 0 || row >= s[3] || column < 0 || column >= s[4])
                        continue;
                    real *pixel = y + (row * s[4] + column) * filters;
                    const real *taps = w + (u * s[7] + v) * group_out * s[2];
                    for (int f = 0; f < group_out; f++)
                        for (int i = 0; i < s[2]; i++)
                            pixel[i / group_in * group_out + f] += x[i] * taps[f * s[2] + i];
                }
}
""",
    "max_pool": """
/* the largest value of each window, channel by channel;
   s = {h, w, c, h_out, w_out, kernel y, x, stride y, x, padding y, x} */
static inline void NET_max_pool(const int *s, const real *x, real *y)
{
    for (int p = 0; p < s[3]; p++)
        for (int q = 0; q < s[4]; q++, y += s[2])
            for (int i = 0; i < s[2]; i++) {
                int first = 1;
                y[i] = 0;
                for (int u = 0; u < s[5]; u++)
                    for (int v = 0; v < s[6]; v++) {
                        const int row = p * s[7] - s[9] + u, column = q * s[8] - s[10] + v;
                        if (row < 0 || row >= s[0] || column < 0 || column >= s[1])
                            continue;
                        const real value = x[(row * s[1] + column) * s[2] + i];
                        if (first || value > y[i])
                            y[i] = value;
                        first = 0;
                    }
            }
}
""",
    "average_pool": """
/* the mean of each window, channel by channel, over its size or over the pixels that are there;
   s = {h, w, c, h_out, w_out, kernel y, x, stride y, x, padding y, x, whether zeros count} */
static inline void NET_average_pool(const int *s, const real *x, real *y)
{
    for (int p = 0; p < s[3]; p++)
        for (int q = 0; q < s[4]; q++, y += s[2])
            for (int i = 0; i < s[2]; i++) {
                int count = 0;
                real sum = 0;
                for (int u = 0; u < s[5]; u++)
                    for (int v = 0; v < s[6]; v++) {
                        const int row = p * s[7] - s[9] + u, column = q * s[8] - s[10] + v;
                        if (row < 0 || row >= s[0] || column < 0 || column >= s[1])
                            continue;
                        sum += x[(row * s[1] + column) * s[2] + i];
                        count++;
                    }
                y[i] = sum / (real)(s[11] ? s[5] * s[6] : count > 0 ? count : 1);
            }
}
""",
    "scale_shift": """
/* y = scale x + shift: x (rows, n) */
static inline void NET_scale_shift(int rows, int n, const real *x, const real *scale, const real *shift, real *y)
{
    for (int i = 0; i < rows * n; i++)
        y[i] = scale[i % n] * x[i] + shift[i % n];
}
""",
    "standardize": """
/* y = (x - mean) scale */
static inline void NET_standardize(int n, const real *x, const real *mean, const real *scale, real *y)
{
    for (int i = 0; i < n; i++)
        y[i] = (x[i] - mean[i]) * scale[i];
}
""",
    "layer_norm": """
/* y = gamma (x - mean) / sqrt(variance + epsilon) + beta, each row of x (rows, n) by itself */
static inline void NET_layer_norm(int rows, int n, real epsilon, const real *x, const real *gamma, const real *beta,
                                  real *y)
{
    for (int row = 0; row < rows; row++, x += n, y += n) {
        real mean = 0, variance = 0;
        for (int i = 0; i < n; i++)
            mean += x[i] / (real)n;
        for (int i = 0; i < n; i++)
            variance += (x[i] - mean) * (x[i] - mean) / (real)n;
        for (int i = 0; i < n; i++)
            y[i] = (gamma ? gamma[i] : 1) * ((x[i] - mean) / sqrt@(variance + epsilon)) + (beta ? beta[i] : 0);
    }
}
""",
    "group_norm": """
/* y = gamma (x - mean) / sqrt(variance + epsilon) + beta, over the pixels and channels of each group: x (pixels, n) */
static inline void NET_group_norm(int pixels, int n, int groups, real epsilon, const real *x, const real *gamma,
                                  const real *beta, real *y)
{
    const int wide = n / groups;
    for (int g = 0; g < groups; g++) {
        const real count = (real)(pixels * wide);
        real mean = 0, variance = 0;
        for (int p = 0; p < pixels; p++)
            for (int i = g * wide; i < (g + 1) * wide; i++)
                mean += x[p * n + i] / count;
        for (int p = 0; p < pixels; p++)
            for (int i = g * wide; i < (g + 1) * wide; i++)
                variance += (x[p * n + i] - mean) * (x[p * n + i] - mean) / count;
        for (int p = 0; p < pixels; p++)
            for (int i = g * wide; i < (g + 1) * wide; i++)
                y[p * n + i] = (gamma ? gamma[i] : 1) * ((x[p * n + i] - mean) / sqrt@(variance + epsilon))
                               + (beta ? beta[i] : 0);
    }
}
""",
    "upsample": """
/* the nearest pixel, or bilinear between the centres of four; s = {h, w, c, factor y, x, whether bilinear} */
static inline void NET_upsample(const int *s, const real *x, real *y)
{
    for (int p = 0; p < s[0] * s[3]; p++)
        for (int q = 0; q < s[1] * s[4]; q++, y += s[2]) {
            real down = ((real)p + (real)0.5) / (real)s[3] - (real)0.5;
            real right = ((real)q + (real)0.5) / (real)s[4] - (real)0.5;
            down = down < 0 ? 0 : down;
            right = right < 0 ? 0 : right;
            const int row = s[5] ? (int)down : p / s[3], column = s[5] ? (int)right : q / s[4];
            const int below = s[5] && row + 1 < s[0] ? row + 1 : row;
            const int beside = s[5] && column + 1 < s[1] ? column + 1 : column;
            down -= (real)row;
            right -= (real)column;
            for (int i = 0; i < s[2]; i++) {
                const real a = x[(row * s[1] + column) * s[2] + i], b = x[(row * s[1] + beside) * s[2] + i];
                const real c = x[(below * s[1] + column) * s[2] + i], d = x[(below * s[1] + beside) * s[2] + i];
                y[i] = s[5] ? (a * (1 - right) + b * right) * (1 - down) + (c * (1 - right) + d * right) * down : a;
            }
        }
}
""",
    "row_normalize": """
/* y = x / |x|, the norm of order 1 or 2; zeros stay */
static inline void NET_row_normalize(int n, int order, const real *x, real *y)
{
    real norm = 0;
    for (int i = 0; i < n; i++)
        norm += order == 1 ? fabs@(x[i]) : x[i] * x[i];
    norm = order == 1 ? norm : sqrt@(norm);
    for (int i = 0; i < n; i++)
        y[i] = norm > 0 ? x[i] / norm : 0;
}
""",
    "prelu": """
/* y = x where x > 0, else alpha x: n values, m slopes in turn */
static inline void NET_prelu(int n, int m, const real *x, const real *alpha, real *y)
{
    for (int i = 0; i < n; i++)
        y[i] = x[i] > 0 ? x[i] : alpha[i % m] * x[i];
}
""",
    "softmax": """
/* exp(x_j) / sum_k exp(x_k), or its logarithm, in place: x (rows, n) */
static inline void NET_softmax(int rows, int n, int logarithm, real *x)
{
    for (int row = 0; row < rows; row++, x += n) {
        real largest = x[0], sum = 0;
        for (int i = 1; i < n; i++)
            largest = x[i] > largest ? x[i] : largest;
        for (int i = 0; i < n; i++)
            sum += exp@(x[i] - largest);
        for (int i = 0; i < n; i++)
            x[i] = logarithm ? x[i] - largest - log@(sum) : exp@(x[i] - largest) / sum;
    }
}
""",
    "copy": """
/* y[i][first + j] = x[i][j]: x (rows, n) into columns of y (rows, width) */
static inline void NET_copy(int rows, int n, int width, int first, const real *x, real *y)
{
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < n; j++)
            y[i * width + first + j] = x[i * n + j];
}
""",
    "add": """
/* y += x */
static inline void NET_add(int n, const real *x, real *y)
{
    for (int i = 0; i < n; i++)
        y[i] += x[i];
}
""",
    "multiply": """
/* y *= x */
static inline void NET_multiply(int n, const real *x, real *y)
{
    for (int i = 0; i < n; i++)
        y[i] *= x[i];
}
""",
    "activation": """
/* ACTIVATION, in place */
static inline void NET_ACTIVATION(int n, real alpha, real *x)
{
    (void)alpha;
    for (int i = 0; i < n; i++) {
        const real v = x[i];
        x[i] = FORMULA;
    }
}
""",
}

# f(v) of each activation, with its parameter alpha.
FORMULAS: dict[str, str] = {
    "sigmoid": "v < 0 ? exp@(v) / (1 + exp@(v)) : 1 / (1 + exp@(-v))",
    "tanh": "tanh@(v)",
    "hard_tanh": "v < -1 ? -1 : v > 1 ? 1 : v",
    "hard_sigmoid": "fmax@(0, fmin@(1, alpha * v + (real)0.5))",
    "softsign": "v / (1 + fabs@(v))",
    "relu": "v > 0 ? v : 0",
    "leaky_relu": "v > 0 ? v : alpha * v",
    "elu": "v > 0 ? v : alpha * expm1@(v)",
    "selu": "v > 0 ? (real)1.0507009873554805 * v : (real)1.7580993408473769 * expm1@(v)",
    "gelu": "v * (real)0.5 * erfc@(v * (real)-0.7071067811865476)",
    "gelu_tanh": "v / (1 + exp@(-v * ((real)1.5957691216057308 + (real)0.07135481627260025 * v * v)))",
    "silu": "v / (1 + exp@(-v))",
    "mish": "v * tanh@(fmax@(v, 0) + log1p@(exp@(-fabs@(v))))",
    "softplus": "fmax@(v, 0) + log1p@(exp@(-fabs@(v)))",
    "exponential": "exp@(v)",
}
