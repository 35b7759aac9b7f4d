/* Lane helpers on the vectors of template.h; the vector math of math.inc follows.
 *
 * Vectors go by value and everything inlines. The source is GCC's vector extensions; C has no
 * `mask ? a : b` on vectors, and gcc 12 makes neither min and max nor masked memory access out of
 * bit operations, so those have x86 intrinsics beside a plain version for other processors.
 * Every helper treats all lanes alike: a result does not depend on the lane it is computed in.
 */
#if defined(__SSE2__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

#undef FNN_MM     /* FNN_MM(max): the intrinsic of that name for this vector type */
#undef FNN_MMVEC  /* the type that intrinsics take */
#undef FNN_MMCMP  /* AVX-512: comparison to a bit mask */
#undef FNN_AVX512
#if defined(__SSE2__) && FNN_VECTOR_BYTES == 64
#define FNN_AVX512 1
#if FNN_BITS == 32
#define FNN_MM(op) _mm512_##op##_ps
#define FNN_MMVEC __m512
#define FNN_MMCMP _mm512_cmp_ps_mask
#else
#define FNN_MM(op) _mm512_##op##_pd
#define FNN_MMVEC __m512d
#define FNN_MMCMP _mm512_cmp_pd_mask
#endif
#elif defined(__SSE2__) && FNN_VECTOR_BYTES == 32
#if FNN_BITS == 32
#define FNN_MM(op) _mm256_##op##_ps
#define FNN_MMVEC __m256
#else
#define FNN_MM(op) _mm256_##op##_pd
#define FNN_MMVEC __m256d
#endif
#elif defined(__SSE2__)
#if FNN_BITS == 32
#define FNN_MM(op) _mm_##op##_ps
#define FNN_MMVEC __m128
#else
#define FNN_MM(op) _mm_##op##_pd
#define FNN_MMVEC __m128d
#endif
#endif

#undef FNN_MASKED  /* masked loads and stores; not in a build for a sanitizer, which would not look into them */
#if defined(FNN_MM) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define FNN_MASKED FNN_VECTOR_BYTES
#endif

#ifndef FNN_INLINE
#define FNN_INLINE static inline __attribute__((always_inline, unused))
#define FNN_PRAGMA(text) _Pragma(#text)
/* The loop that follows, of at most n rounds, becomes so many copies: vectors in an array stay in registers. Only where
 * the number of rounds is known; else clang would warn. */
#ifdef __clang__
_Pragma("clang diagnostic ignored \"-Wpass-failed\"")
#define FNN_UNROLL(n) FNN_PRAGMA(clang loop unroll(full))
#else
#define FNN_UNROLL(n) FNN_PRAGMA(GCC unroll n)
#endif
#endif

FNN_INLINE VEC FNN(load)(const REAL *p) { return *(const VECU *)p; }

FNN_INLINE void FNN(store)(REAL *p, VEC x) { *(VECU *)p = x; }

/* x - 0 and not 0 + x: the first is x even for -0, so gcc leaves a plain broadcast. */
FNN_INLINE VEC FNN(splat)(REAL x) { return x - (VEC){0}; }

FNN_INLINE IVEC FNN(isplat)(FNN_INT x) { return x - (IVEC){0}; }

/* 0, 1, 2, ... */
FNN_INLINE IVEC FNN(lanes)(void) {
  IVEC lane;
  for (ptrdiff_t i = 0; i < VL; i++) lane[i] = (FNN_INT)i;
  return lane;
}

/* All ones in the lanes below n, zeros elsewhere. */
FNN_INLINE IVEC FNN(lane_mask)(ptrdiff_t n) {
  return FNN(lanes)() < FNN(isplat)((FNN_INT)(n < VL ? n : VL));
}

/* mask ? a : b; each lane of mask is all ones or all zeros, as comparisons give. */
FNN_INLINE VEC FNN(select)(IVEC mask, VEC a, VEC b) {
  return (VEC)(((IVEC)a & mask) | ((IVEC)b & ~mask));
}

/* x < limit ? a : b, so b where x is NaN; one masked move where AVX-512 has it */
FNN_INLINE VEC FNN(select_less)(VEC x, VEC limit, VEC a, VEC b) {
#ifdef FNN_AVX512
  return (VEC)FNN_MM(mask_mov)((FNN_MMVEC)b, FNN_MMCMP((FNN_MMVEC)x, (FNN_MMVEC)limit, _CMP_LT_OQ),
                               (FNN_MMVEC)a);
#else
  return FNN(select)(x < limit, a, b);
#endif
}

/* Whether a mask holds in all lanes. */
FNN_INLINE int FNN(all)(IVEC mask) {
#if defined(FNN_AVX512)
  return FNN_MMCMP((FNN_MMVEC)mask, (FNN_MMVEC)mask, _CMP_ORD_Q) == 0; /* all ones is a NaN */
#elif defined(FNN_MM)
  return FNN_MM(movemask)((FNN_MMVEC)mask) == (1 << VL) - 1;
#else
  FNN_INT ones = -1;
  for (ptrdiff_t i = 0; i < VL; i++) ones &= mask[i];
  return ones != 0;
#endif
}

/* The larger of a and b, a where one is NaN: a NaN in a is kept, one in b is not. */
FNN_INLINE VEC FNN(vmax)(VEC a, VEC b) {
#ifdef FNN_MM
  return (VEC)FNN_MM(max)((FNN_MMVEC)b, (FNN_MMVEC)a);
#else
  return FNN(select)(b > a, b, a);
#endif
}

/* The smaller of a and b, a where one is NaN. */
FNN_INLINE VEC FNN(vmin)(VEC a, VEC b) {
#ifdef FNN_MM
  return (VEC)FNN_MM(min)((FNN_MMVEC)b, (FNN_MMVEC)a);
#else
  return FNN(select)(b < a, b, a);
#endif
}

FNN_INLINE VEC FNN(vabs)(VEC x) { return (VEC)((IVEC)x & ~(IVEC)FNN(splat)((REAL)-0.0)); }

/* x with the sign bit of s set too; for x >= 0 that is copysign. */
FNN_INLINE VEC FNN(with_sign)(VEC x, VEC s) {
  return (VEC)((IVEC)x | ((IVEC)s & (IVEC)FNN(splat)((REAL)-0.0)));
}

/* Lane i of the result is lane index[i] of a and b side by side. clang's builtin takes literals alone; it makes the
 * same shuffles of this loop, the index being known once all is inlined. */
FNN_INLINE VEC FNN(shuffle)(VEC a, VEC b, IVEC index) {
#ifdef __clang__
  VEC y = a;
  FNN_UNROLL(16)
  for (ptrdiff_t i = 0; i < VL; i++) {
    const FNN_INT lane = index[i] & (FNN_INT)(2 * VL - 1);
    y[i] = lane < VL ? a[lane] : b[lane - VL];
  }
  return y;
#else
  return __builtin_shuffle(a, b, index);
#endif
}

/* Lane i and lane i ^ half exchanged. */
FNN_INLINE VEC FNN(swap_lanes)(VEC x, ptrdiff_t half) { return FNN(shuffle)(x, x, FNN(lanes)() ^ (FNN_INT)half); }

/* The sum of the lanes, pairwise by halves: first lane i and lane i + VL / 2. */
FNN_INLINE REAL FNN(hsum)(VEC x) {
  FNN_UNROLL(4)
  for (ptrdiff_t half = VL / 2; half; half /= 2) x = x + FNN(swap_lanes)(x, half);
  return x[0];
}

/* The largest lane; NaN only if all are. */
FNN_INLINE REAL FNN(hmax)(VEC x) {
  FNN_UNROLL(4)
  for (ptrdiff_t half = VL / 2; half; half /= 2) x = FNN(vmax)(x, FNN(swap_lanes)(x, half));
  return x[0];
}

/* The first n elements at p and zeros in the other lanes; reads nothing beyond them. */
FNN_INLINE VEC FNN(load_lanes)(const REAL *p, ptrdiff_t n) {
#if FNN_MASKED == 64
  return (VEC)FNN_MM(maskz_loadu)(n < VL ? (1u << n) - 1 : (1u << VL) - 1, p);
#elif FNN_MASKED == 32
  return (VEC)FNN_MM(maskload)((const void *)p, (__m256i)FNN(lane_mask)(n));
#else
  VEC x = {0};
  for (ptrdiff_t i = 0; i < VL && i < n; i++) x[i] = p[i];
  return x;
#endif
}

/* The first n lanes to p; writes nothing beyond them. */
FNN_INLINE void FNN(store_lanes)(REAL *p, VEC x, ptrdiff_t n) {
#if FNN_MASKED == 64
  FNN_MM(mask_storeu)(p, n < VL ? (1u << n) - 1 : (1u << VL) - 1, (FNN_MMVEC)x);
#elif FNN_MASKED == 32
  FNN_MM(maskstore)((void *)p, (__m256i)FNN(lane_mask)(n), (FNN_MMVEC)x);
#else
  for (ptrdiff_t i = 0; i < VL && i < n; i++) p[i] = x[i];
#endif
}

#include "math.inc"
#include "vector_function.inc"
