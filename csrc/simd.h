/* Lane helpers on the vectors of template.h. Vectors go by value; everything inlines.
 *
 * Written in GCC's vector extensions. C has no `mask ? a : b` on vectors, and gcc 12 does not turn
 * bit operations into min, max or masked memory access, so those few have x86 intrinsics.
 * A helper treats every lane alike: a value's result does not depend on the lane it stands in.
 */
#if defined(__SSE2__)
#include <immintrin.h>
#endif

#undef FNN_MM     /* FNN_MM(max) is the intrinsic max of this vector type */
#undef FNN_MMVEC  /* the type that intrinsics take */
#undef FNN_MMCMP  /* comparison to a bit mask, AVX-512 */
#undef FNN_AVX512
#if defined(__SSE2__) && FNN_VECTOR_BYTES == 64 && FNN_BITS == 32
#define FNN_MM(op) _mm512_##op##_ps
#define FNN_MMVEC __m512
#define FNN_AVX512 1
#define FNN_MMCMP _mm512_cmp_ps_mask
#elif defined(__SSE2__) && FNN_VECTOR_BYTES == 64
#define FNN_MM(op) _mm512_##op##_pd
#define FNN_MMVEC __m512d
#define FNN_AVX512 1
#define FNN_MMCMP _mm512_cmp_pd_mask
#elif defined(__SSE2__) && FNN_VECTOR_BYTES == 32 && FNN_BITS == 32
#define FNN_MM(op) _mm256_##op##_ps
#define FNN_MMVEC __m256
#elif defined(__SSE2__) && FNN_VECTOR_BYTES == 32
#define FNN_MM(op) _mm256_##op##_pd
#define FNN_MMVEC __m256d
#elif defined(__SSE2__) && FNN_BITS == 32
#define FNN_MM(op) _mm_##op##_ps
#define FNN_MMVEC __m128
#elif defined(__SSE2__)
#define FNN_MM(op) _mm_##op##_pd
#define FNN_MMVEC __m128d
#endif

#ifndef FNN_INLINE
#define FNN_INLINE static inline __attribute__((always_inline, unused))
#endif

FNN_INLINE VEC FNN(load)(const REAL *p) { return *(const VECU *)p; }

FNN_INLINE void FNN(store)(REAL *p, VEC x) { *(VECU *)p = x; }

/* x - zero, not x + zero: gcc folds the first into a plain broadcast, the second costs an addition. */
FNN_INLINE VEC FNN(splat)(REAL x) { return x - (VEC){0}; }

FNN_INLINE IVEC FNN(isplat)(FNN_INT x) { return x - (IVEC){0}; }

/* Whether all lanes of a mask are ones. */
FNN_INLINE int FNN(all)(IVEC mask) {
#ifdef FNN_AVX512
  return FNN_MMCMP((FNN_MMVEC)mask, (FNN_MMVEC)mask, _CMP_ORD_Q) == 0;
#elif defined(FNN_MM)
  return FNN_MM(movemask)((FNN_MMVEC)mask) == (1 << VL) - 1;
#else
  FNN_INT ones = -1;
  for (ptrdiff_t i = 0; i < VL; i++) ones &= mask[i];
  return ones != 0;
#endif
}

/* mask ? a : b; each lane of mask is all ones or all zeros, as comparisons give. */
FNN_INLINE VEC FNN(select)(IVEC mask, VEC a, VEC b) {
#if defined(FNN_MM) && FNN_VECTOR_BYTES == 32
  return (VEC)FNN_MM(blendv)((FNN_MMVEC)b, (FNN_MMVEC)a, (FNN_MMVEC)mask);
#else
  return (VEC)(((IVEC)a & mask) | ((IVEC)b & ~mask));
#endif
}

/* x < limit ? a : b; b where x is NaN. One masked move where AVX-512 has it. */
FNN_INLINE VEC FNN(select_less)(VEC x, VEC limit, VEC a, VEC b) {
#ifdef FNN_AVX512
  return (VEC)FNN_MM(mask_mov)((FNN_MMVEC)b, FNN_MMCMP((FNN_MMVEC)x, (FNN_MMVEC)limit, _CMP_LT_OQ), (FNN_MMVEC)a);
#else
  return FNN(select)(x < limit, a, b);
#endif
}

/* The larger of a and b; a NaN in a is kept, a NaN in b is not. */
FNN_INLINE VEC FNN(vmax)(VEC a, VEC b) {
#ifdef FNN_MM
  return (VEC)FNN_MM(max)((FNN_MMVEC)b, (FNN_MMVEC)a);
#else
  return FNN(select)(b > a, b, a);
#endif
}

FNN_INLINE VEC FNN(vmin)(VEC a, VEC b) {
#ifdef FNN_MM
  return (VEC)FNN_MM(min)((FNN_MMVEC)b, (FNN_MMVEC)a);
#else
  return FNN(select)(b < a, b, a);
#endif
}

FNN_INLINE VEC FNN(vabs)(VEC x) { return (VEC)((IVEC)x & (IVEC)~(UVEC)FNN(splat)((REAL)-0.0)); }

/* Whether -limit <= x <= limit in all lanes; no where a NaN is among them. */
FNN_INLINE int FNN(all_within)(VEC x, REAL limit) {
  IVEC inside = FNN(vabs)(x) <= FNN(splat)(limit);
  return FNN(all)(inside);
}

/* |x| with the sign of s, for x >= 0. */
FNN_INLINE VEC FNN(with_sign)(VEC x, VEC s) { return (VEC)((IVEC)x | ((IVEC)s & (IVEC)FNN(splat)((REAL)-0.0))); }

/* Sum of the lanes, pairwise by halves: lane i and lane i + VL/2, and so on. */
FNN_INLINE REAL FNN(hsum)(VEC x) {
  REAL t[VL];
  FNN(store)(t, x);
  for (ptrdiff_t half = VL / 2; half; half /= 2)
    for (ptrdiff_t i = 0; i < half; i++) t[i] += t[i + half];
  return t[0];
}

FNN_INLINE REAL FNN(hmax)(VEC x) {
  REAL t[VL];
  FNN(store)(t, x);
  for (ptrdiff_t half = VL / 2; half; half /= 2)
    for (ptrdiff_t i = 0; i < half; i++) t[i] = t[i + half] > t[i] ? t[i + half] : t[i];
  return t[0];
}

/* All ones in the lanes below n, zeros elsewhere. */
FNN_INLINE IVEC FNN(lane_mask)(ptrdiff_t n) {
  IVEC lane;
  for (ptrdiff_t i = 0; i < VL; i++) lane[i] = (FNN_INT)i;
  return lane < FNN(isplat)((FNN_INT)(n < VL ? n : VL));
}

/* The first n elements at p, zeros in the other lanes; reads nothing beyond them. */
FNN_INLINE VEC FNN(load_lanes)(const REAL *p, ptrdiff_t n) {
  VEC x = {0};
  for (ptrdiff_t i = 0; i < n && i < VL; i++) x[i] = p[i];
  return x;
}

/* The first n lanes to p; writes nothing beyond them. */
FNN_INLINE void FNN(store_lanes)(REAL *p, VEC x, ptrdiff_t n) {
  for (ptrdiff_t i = 0; i < n && i < VL; i++) p[i] = x[i];
}

#include "math.inc"
