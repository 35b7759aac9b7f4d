/* The types of one inclusion: REAL, its vectors, and FNN(name) -> fnn_name_f32 or fnn_name_f64.
 * FNN_BITS is 32 or 64; FNN_VECTOR_BYTES is the width of the instruction set's vectors. */
#undef REAL
#undef FNN
#undef FNN_INT
#undef FNN_UINT
#undef VEC
#undef IVEC
#undef UVEC
#undef VECU
#undef VL
#undef FNN_LANES
#undef FNN_REAL

#if FNN_BITS == 32
#define REAL float
#define FNN_INT int32_t
#define FNN_UINT uint32_t
#define FNN(name) fnn_##name##_f32
#define FNN_REAL FNN_F32
#else
#define REAL double
#define FNN_INT int64_t
#define FNN_UINT uint64_t
#define FNN(name) fnn_##name##_f64
#define FNN_REAL FNN_F64
#endif

#define VL ((ptrdiff_t)(FNN_VECTOR_BYTES / sizeof(REAL))) /* lanes */
#define FNN_LANES(n) (((n) + VL - 1) / VL * VL) /* whole vectors that hold n elements */
#define VEC FNN(vec)
#define IVEC FNN(ivec)
#define UVEC FNN(uvec)
#define VECU FNN(vecu)
typedef REAL VEC __attribute__((vector_size(FNN_VECTOR_BYTES)));
typedef FNN_INT IVEC __attribute__((vector_size(FNN_VECTOR_BYTES)));
typedef FNN_UINT UVEC __attribute__((vector_size(FNN_VECTOR_BYTES)));
/* a vector anywhere in memory, aliasing arrays of REAL */
typedef REAL VECU __attribute__((vector_size(FNN_VECTOR_BYTES), aligned(sizeof(REAL)), may_alias));
