// What kernels ask of the device beside arithmetic: threads, exchanges, copies, bits, conversions.
//
// No CUDA header is included: NVRTC from a wheel comes without them. All code is compiled with
// -fmad=false -ftz=false: a fused multiply-add is meant wherever it is, and nothing is flushed.
// tests/cuda_support/ has the same functions for a CPU, which runs the kernels without a GPU.

// The threads of a block, and how many blocks are to be there at once, limit registers: to 128 for
// float64, 64 for the most threads, 80 for the smaller blocks of modules that know their rows.
#if WIDE
#define BOUNDS __launch_bounds__(512, 1)
#elif VECTORS > 0 && LANES <= 256
#define BOUNDS __launch_bounds__(256, 3)
#else
#define BOUNDS __launch_bounds__(1024, 1)
#endif
#define KERNEL extern "C" __global__ void BOUNDS
#define DEVICE __device__ __forceinline__
#define DEVICE_CALL static __device__ __noinline__    // rare and long: not copied where it is used
#define CONSTANT __constant__
#define CALL_ARGUMENT(Type) const __grid_constant__ Type
#define UNROLL _Pragma("unroll")
// Loops over a lane's vectors that do little. (Code that is long takes longer to fetch than to run.)
#if VECTORS > 0
#define UNROLL_VECTORS _Pragma("unroll")
#else
#define UNROLL_VECTORS _Pragma("unroll 1")
#endif

typedef unsigned int Word;             // 32 bits
typedef unsigned long long Address;

struct alignas(16) Vector {            // what one access moves
    Word word[4];
};

// Threads -------------------------------------------------------------------------------------

DEVICE int thread_index() { return threadIdx.x; }
DEVICE int block_threads() { return blockDim.x; }
DEVICE long long block_index() { return blockIdx.x; }
DEVICE void block_sync() { __syncthreads(); }

// The value that thread (index ^ mask) of the warp passes; all 32 threads must call.
DEVICE int exchange(int value, int mask) { return __shfl_xor_sync(0xffffffffu, value, mask); }
DEVICE float exchange(float value, int mask) { return __shfl_xor_sync(0xffffffffu, value, mask); }
DEVICE double exchange(double value, int mask) {
    return __shfl_xor_sync(0xffffffffu, value, mask);
}

// The sum, the largest and the smallest of all 32 threads' values.
DEVICE int sum_of_warp(int value) {
    int result;
    asm("redux.sync.add.s32 %0, %1, 0xffffffff;" : "=r"(result) : "r"(value));
    return result;
}
DEVICE int largest_of_warp(int value) {
    int result;
    asm("redux.sync.max.s32 %0, %1, 0xffffffff;" : "=r"(result) : "r"(value));
    return result;
}

// Dynamic shared memory, 16-byte aligned.
DEVICE unsigned char* shared_memory() {
    extern __shared__ Vector shared_vectors[];
    return reinterpret_cast<unsigned char*>(shared_vectors);
}

// Clusters of blocks ----------------------------------------------------------------------------

#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 900
#define CLUSTER(size) __cluster_dims__(size, 1, 1)
DEVICE int cluster_rank() {
    int rank;
    asm volatile("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
    return rank;
}
DEVICE void cluster_arrive() {
    asm volatile("barrier.cluster.arrive.release.aligned;" ::: "memory");
}
DEVICE void cluster_wait() { asm volatile("barrier.cluster.wait.acquire.aligned;" ::: "memory"); }

// Mail: doubles that blocks of a cluster write to each other's shared memory, and wait for. A box
// counts what has come; each of its uses begins with what is expected and ends with a wait, in
// turn.
typedef unsigned long long Mailbox;

DEVICE Word shared_address(const void* shared) {
    return static_cast<Word>(__cvta_generic_to_shared(shared));
}
// Where a block of the cluster has what this block has at an address.
DEVICE Word cluster_address(const void* shared, int rank) {
    Word remote;
    asm("mapa.shared::cluster.u32 %0, %1, %2;"
        : "=r"(remote) : "r"(shared_address(shared)), "r"(rank));
    return remote;
}
// By one thread, before the blocks meet for the first time.
DEVICE void open_mail(Mailbox* box) {
    asm volatile("mbarrier.init.shared::cta.b64 [%0], 1;" ::"r"(shared_address(box)) : "memory");
    asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
}
// By one thread, at each use.
DEVICE void expect_mail(Mailbox* box, int bytes) {
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(
                     shared_address(box)), "r"(bytes)
                 : "memory");
}
DEVICE void send_mail(Mailbox* box, double* slot, double value, int rank) {
    asm volatile("st.async.shared::cluster.mbarrier::complete_tx::bytes.b64 [%0], %1, [%2];" ::"r"(
                     cluster_address(slot, rank)),
                 "l"(__double_as_longlong(value)), "r"(cluster_address(box, rank))
                 : "memory");
}
// By all threads; `turn` is 0 and 1 in turns, from 0.
DEVICE void wait_for_mail(Mailbox* box, int turn) {
    int done;
    do {
        asm volatile(
            "{.reg .pred p; mbarrier.try_wait.parity.acquire.cluster.shared::cta.b64 p, [%1], %2; "
            "selp.b32 %0, 1, 0, p;}"
            : "=r"(done) : "r"(shared_address(box)), "r"(turn) : "memory");
    } while (!done);
}
#endif

// Copies ----------------------------------------------------------------------------------------

// Start copying 16 bytes to shared memory; only the copying thread may read them after waiting.
DEVICE void start_copy(void* shared, const void* global) {
    Word target = static_cast<Word>(__cvta_generic_to_shared(shared));
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(target), "l"(global)
                 : "memory");
}
DEVICE void wait_for_copies() { asm volatile("cp.async.wait_all;" ::: "memory"); }

// Bits ------------------------------------------------------------------------------------------

DEVICE int high_word(double a) { return __double2hiint(a); }
DEVICE int low_word(double a) { return __double2loint(a); }
DEVICE double from_words(int high, int low) { return __hiloint2double(high, low); }
DEVICE Word bits_of(float a) { return __float_as_uint(a); }
DEVICE float from_bits(Word bits) { return __uint_as_float(bits); }
DEVICE Word smaller(Word a, Word b) { return min(a, b); }
DEVICE int larger(int a, int b) { return max(a, b); }
DEVICE int lowest_bit(Word bits) { return __ffs(bits) - 1; }

// NVRTC has no constants for these.
#define INFINITY_DOUBLE __longlong_as_double(0x7ff0000000000000ll)
#define INFINITY_FLOAT __int_as_float(0x7f800000)
#define NAN_DOUBLE __longlong_as_double(0x7ff8000000000000ll)

// Conversions and extrema -----------------------------------------------------------------------

DEVICE float round_to_float(double a) { return __double2float_rn(a); }
DEVICE float truncate_to_float(double a) { return __double2float_rz(a); }

// The larger and the smaller; NaN if one is NaN.
DEVICE float larger_or_nan(float a, float b) {
    float result;
    asm("max.NaN.f32 %0, %1, %2;" : "=f"(result) : "f"(a), "f"(b));
    return result;
}
DEVICE float smaller_or_nan(float a, float b) {
    float result;
    asm("min.NaN.f32 %0, %1, %2;" : "=f"(result) : "f"(a), "f"(b));
    return result;
}
// The larger magnitude; a NaN is not seen.
DEVICE float larger(float a, float b) { return fmaxf(a, b); }

// The same of the two 16-bit numbers in each word.
DEVICE Word larger_halves_or_nan(Word a, Word b) {
    Word result;
    asm("max.NaN.f16x2 %0, %1, %2;" : "=r"(result) : "r"(a), "r"(b));
    return result;
}
DEVICE Word smaller_halves_or_nan(Word a, Word b) {
    Word result;
    asm("min.NaN.f16x2 %0, %1, %2;" : "=r"(result) : "r"(a), "r"(b));
    return result;
}
DEVICE Word larger_bfloats_or_nan(Word a, Word b) {
    Word result;
    asm("max.NaN.bf16x2 %0, %1, %2;" : "=r"(result) : "r"(a), "r"(b));
    return result;
}
DEVICE Word smaller_bfloats_or_nan(Word a, Word b) {
    Word result;
    asm("min.NaN.bf16x2 %0, %1, %2;" : "=r"(result) : "r"(a), "r"(b));
    return result;
}

DEVICE float float_of_half(Word bits) {
    float result;
    asm("{.reg .b16 h; cvt.u16.u32 h, %1; cvt.f32.f16 %0, h;}" : "=f"(result) : "r"(bits));
    return result;
}
DEVICE float float_of_bfloat(Word bits) { return from_bits(bits << 16); }
// Two floats as two 16-bit numbers of one word, rounded to nearest, ties to even.
DEVICE Word pack_halves(float low, float high) {
    Word result;
    asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(result) : "f"(high), "f"(low));
    return result;
}
DEVICE Word pack_bfloats(float low, float high) {
    Word result;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(result) : "f"(high), "f"(low));
    return result;
}
