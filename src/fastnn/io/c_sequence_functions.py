"""The C functions of sequences; read as c_functions.py. x, h, c, y are of one sample: x (time, n_in), h and c (n)."""

from __future__ import annotations

# Functions that others call.
NEEDS: dict[str, tuple[str, ...]] = {
    "rnn": ("dense", "add_product"), "lstm": ("dense", "add_product", "sigmoid_of"),
    "gru": ("dense", "add_product", "sigmoid_of"),
}

OF_SEQUENCES: dict[str, str] = {
    "sigmoid_of": """
static inline real NET_sigmoid_of(real v)
{
    return v < 0 ? exp@(v) / (1 + exp@(v)) : 1 / (1 + exp@(-v));
}
""",
    "add_product": """
/* y_j += sum_i x_i w_ij for the first m columns of w (n, width) */
static inline void NET_add_product(int n, int width, int m, const real *x, const real *w, real *y)
{
    for (int i = 0; i < n; i++)
        for (int j = 0; j < m; j++)
            y[j] += x[i] * w[i * width + j];
}
""",
    "rnn": """
/* h = f(x_t w + h u + b), from step to step; y (time, n) every h, if it is wanted. A step whose mask is 0 leaves h.
   s = {time, n_in, n, whether the last step comes first}; z is room for n */
static inline void NET_rnn(const int *s, const real *x, const real *w, const real *u, const real *b, const real *mask,
                           void (*f)(int, real, real *), real alpha, real *h, real *z, real *y)
{
    const int n = s[2];
    for (int k = 0; k < s[0]; k++) {
        const int t = s[3] ? s[0] - 1 - k : k;
        if (!mask || mask[t] > 0) {
            NET_dense(1, s[1], n, x + t * s[1], w, b, z);
            NET_add_product(n, n, n, h, u, z);
            if (f)
                f(n, alpha, z);
            for (int i = 0; i < n; i++)
                h[i] = z[i];
        }
        for (int i = 0; y && i < n; i++)
            y[t * n + i] = h[i];
    }
}
""",
    "lstm": """
/* i f g o = x_t w + h u + b, c = sigmoid(f) c + sigmoid(i) tanh(g), h = sigmoid(o) tanh(c), from step to step;
   y (time, n) every h, if it is wanted. A step whose mask is 0 leaves h and c.
   s = {time, n_in, n, whether the last step comes first}; z is room for 4 n */
static inline void NET_lstm(const int *s, const real *x, const real *w, const real *u, const real *b, const real *mask,
                            real *h, real *c, real *z, real *y)
{
    const int n = s[2];
    for (int k = 0; k < s[0]; k++) {
        const int t = s[3] ? s[0] - 1 - k : k;
        if (!mask || mask[t] > 0) {
            NET_dense(1, s[1], 4 * n, x + t * s[1], w, b, z);
            NET_add_product(n, 4 * n, 4 * n, h, u, z);
            for (int i = 0; i < n; i++) {
                c[i] = NET_sigmoid_of(z[n + i]) * c[i] + NET_sigmoid_of(z[i]) * tanh@(z[2 * n + i]);
                h[i] = NET_sigmoid_of(z[3 * n + i]) * tanh@(c[i]);
            }
        }
        for (int i = 0; y && i < n; i++)
            y[t * n + i] = h[i];
    }
}
""",
    "gru": """
/* z, r = sigmoid(x_t w + h u + b), m = tanh(x_t w + b + r (h u + bq)) or, not reset after, tanh(x_t w + b + (r h) u),
   h = z h + (1 - z) m, each with its columns of w and u, from step to step; y (time, n) every h, if it is wanted. A
   step whose mask is 0 leaves h. s = {time, n_in, n, whether the last step comes first, whether reset after}; z: 4 n */
static inline void NET_gru(const int *s, const real *x, const real *w, const real *u, const real *b, const real *bq,
                           const real *mask, real *h, real *z, real *y)
{
    const int n = s[2];
    real *r = z + n, *m = z + 2 * n, *q = z + 3 * n;
    for (int k = 0; k < s[0]; k++) {
        const int t = s[3] ? s[0] - 1 - k : k;
        if (!mask || mask[t] > 0) {
            NET_dense(1, s[1], 3 * n, x + t * s[1], w, b, z);
            NET_add_product(n, 3 * n, 2 * n, h, u, z);
            for (int i = 0; i < n; i++) {
                z[i] = NET_sigmoid_of(z[i]);
                r[i] = NET_sigmoid_of(r[i]);
                q[i] = s[4] ? bq ? bq[i] : 0 : r[i] * h[i];
            }
            if (s[4]) {
                NET_add_product(n, 3 * n, n, h, u + 2 * n, q);
                for (int i = 0; i < n; i++)
                    m[i] += r[i] * q[i];
            } else
                NET_add_product(n, 3 * n, n, q, u + 2 * n, m);
            for (int i = 0; i < n; i++) {
                const real next = tanh@(m[i]);
                h[i] = next + z[i] * (h[i] - next);
            }
        }
        for (int i = 0; y && i < n; i++)
            y[t * n + i] = h[i];
    }
}
""",
    "zeros": """
static inline void NET_zeros(int n, real *y)
{
    for (int i = 0; i < n; i++)
        y[i] = 0;
}
""",
    "scale": """
/* y *= a */
static inline void NET_scale(int n, real a, real *y)
{
    for (int i = 0; i < n; i++)
        y[i] *= a;
}
""",
    "embedding": """
/* y_t = row token[t] of w; tokens must be rows of it */
static inline void NET_embedding(int time, int n, const int *token, const real *w, real *y)
{
    for (int t = 0; t < time; t++)
        for (int i = 0; i < n; i++)
            y[t * n + i] = w[token[t] * n + i];
}
""",
    "token_mask": """
/* 0 where the token is 0, else 1 */
static inline void NET_token_mask(int time, const int *token, real *mask)
{
    for (int t = 0; t < time; t++)
        mask[t] = token[t] != 0 ? 1 : 0;
}
""",
    "step_mask": """
/* 0 where all of a step's numbers are `value`, else 1 */
static inline void NET_step_mask(int time, int n, real value, const real *x, real *mask)
{
    for (int t = 0; t < time; t++) {
        mask[t] = 0;
        for (int i = 0; i < n; i++)
            if (x[t * n + i] < value || x[t * n + i] > value)
                mask[t] = 1;
    }
}
""",
    "mean_of_steps": """
/* the mean of the steps that count, 0 without any: x (time, n) */
static inline void NET_mean_of_steps(int time, int n, const real *x, const real *mask, real *y)
{
    real count = 0;
    for (int t = 0; t < time; t++)
        count += mask[t];
    for (int i = 0; i < n; i++) {
        y[i] = 0;
        for (int t = 0; t < time; t++)
            y[i] += mask[t] > 0 ? x[t * n + i] / count : 0;
    }
}
""",
    "largest_of_steps": """
/* the largest of the steps that count, 0 without any: x (time, n) */
static inline void NET_largest_of_steps(int time, int n, const real *x, const real *mask, real *y)
{
    for (int i = 0; i < n; i++) {
        int first = 1;
        y[i] = 0;
        for (int t = 0; t < time; t++) {
            if (mask[t] > 0 && (first || x[t * n + i] > y[i]))
                y[i] = x[t * n + i];
            first = first && !(mask[t] > 0);
        }
    }
}
""",
}
