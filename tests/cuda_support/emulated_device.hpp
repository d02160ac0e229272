// device.cuh for a CPU: the same names, so that g++ compiles the kernels and tests run them.
//
// It takes the place of device.cuh in the concatenated source. Threads are fibers that take turns
// (emulated_threads.cpp); arithmetic is that of IEEE 754, given -ffp-contract=off. Like device.cuh
// it includes nothing: headers would take a third of the time to compile.

// All else is hidden: libraries of other kernels in the process have functions of the same names.
#define KERNEL extern "C" __attribute__((visibility("default"))) void
#define DEVICE inline
#define DEVICE_CALL static
#define CONSTANT static const
#define CALL_ARGUMENT(Type) const Type&
#define UNROLL
#define UNROLL_VECTORS

typedef unsigned int Word;
typedef unsigned long long Address;
typedef unsigned long long Bits64;

struct alignas(16) Vector {
    Word word[4];
};

// What emulated_threads.cpp serves, for the thread that runs.

enum Operation { EXCHANGE_INT, EXCHANGE_FLOAT, EXCHANGE_DOUBLE };

extern "C" {
int emulated_thread_index();
int emulated_block_threads();
long long emulated_block_index();
int emulated_cluster_rank();
unsigned char* emulated_shared_memory();
// The value that lane `from` passes in the same operation.
Bits64 emulated_exchange(int operation, Bits64 value, int from);
void emulated_block_sync();
void emulated_cluster_arrive();
void emulated_cluster_wait();
void emulated_open_mail(Bits64* box);
void emulated_expect_mail(Bits64* box, int bytes);
void emulated_send_mail(Bits64* box, double* slot, double value, int rank);
void emulated_wait_for_mail(Bits64* box, int turn);
void emulated_start_copy(void* shared, const void* global);
void emulated_wait_for_copies();
}

// Threads -------------------------------------------------------------------------------------

DEVICE int thread_index() { return emulated_thread_index(); }
DEVICE int block_threads() { return emulated_block_threads(); }
DEVICE long long block_index() { return emulated_block_index(); }
DEVICE void block_sync() { emulated_block_sync(); }

// CUDA's own functions.
DEVICE double fma(double a, double b, double c) { return __builtin_fma(a, b, c); }
DEVICE float fmaf(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
DEVICE double fabs(double a) { return __builtin_fabs(a); }

template <class To, class From>
DEVICE To same_bits(From value) {
    static_assert(sizeof(To) == sizeof(From), "bits are neither lost nor made up");
    To result;
    __builtin_memcpy(&result, &value, sizeof result);
    return result;
}

DEVICE int exchange(int value, int mask) {
    int from = (thread_index() & 31) ^ mask;
    return static_cast<int>(emulated_exchange(EXCHANGE_INT, static_cast<Word>(value), from));
}
DEVICE float exchange(float value, int mask) {
    int from = (thread_index() & 31) ^ mask;
    Word bits = same_bits<Word>(value);
    return same_bits<float>(static_cast<Word>(emulated_exchange(EXCHANGE_FLOAT, bits, from)));
}
DEVICE double exchange(double value, int mask) {
    int from = (thread_index() & 31) ^ mask;
    Bits64 bits = same_bits<Bits64>(value);
    return same_bits<double>(emulated_exchange(EXCHANGE_DOUBLE, bits, from));
}

DEVICE int sum_of_warp(int value) {
    for (int mask = 16; mask > 0; mask >>= 1) value += exchange(value, mask);
    return value;
}
DEVICE int largest_of_warp(int value) {
    for (int mask = 16; mask > 0; mask >>= 1) {
        int other = exchange(value, mask);
        if (other > value) value = other;
    }
    return value;
}

DEVICE unsigned char* shared_memory() { return emulated_shared_memory(); }

// Clusters of blocks ----------------------------------------------------------------------------

#define CLUSTER(size)
DEVICE int cluster_rank() { return emulated_cluster_rank(); }
DEVICE void cluster_arrive() { emulated_cluster_arrive(); }
DEVICE void cluster_wait() { emulated_cluster_wait(); }

// Mail between them.
typedef Bits64 Mailbox;
DEVICE void open_mail(Mailbox* box) { emulated_open_mail(box); }
DEVICE void expect_mail(Mailbox* box, int bytes) { emulated_expect_mail(box, bytes); }
DEVICE void send_mail(Mailbox* box, double* slot, double value, int rank) {
    emulated_send_mail(box, slot, value, rank);
}
DEVICE void wait_for_mail(Mailbox* box, int turn) { emulated_wait_for_mail(box, turn); }

// Copies ----------------------------------------------------------------------------------------

DEVICE void start_copy(void* shared, const void* global) { emulated_start_copy(shared, global); }
DEVICE void wait_for_copies() { emulated_wait_for_copies(); }

// Bits ------------------------------------------------------------------------------------------

DEVICE int high_word(double a) { return static_cast<int>(same_bits<Bits64>(a) >> 32); }
DEVICE int low_word(double a) { return static_cast<int>(same_bits<Bits64>(a)); }
DEVICE double from_words(int high, int low) {
    Bits64 above = static_cast<Word>(high);
    return same_bits<double>(above << 32 | static_cast<Word>(low));
}
DEVICE Word bits_of(float a) { return same_bits<Word>(a); }
DEVICE float from_bits(Word bits) { return same_bits<float>(bits); }
DEVICE Word smaller(Word a, Word b) { return a < b ? a : b; }
DEVICE int larger(int a, int b) { return a > b ? a : b; }
DEVICE int lowest_bit(Word bits) { return __builtin_ctz(bits); }

// Conversions and extrema -----------------------------------------------------------------------

constexpr double INFINITY_DOUBLE = __builtin_huge_val();
constexpr float INFINITY_FLOAT = __builtin_huge_valf();
constexpr double NAN_DOUBLE = __builtin_nan("");

DEVICE float round_to_float(double a) { return static_cast<float>(a); }
// Where rounding to nearest went away from 0, the float before it is meant; infinity comes after
// the largest float in the order of the bits too.
DEVICE float truncate_to_float(double a) {
    float nearest = static_cast<float>(a);
    return fabs(static_cast<double>(nearest)) > fabs(a) ? from_bits(bits_of(nearest) - 1) : nearest;
}

constexpr Word NAN_BITS = 0x7fffffffu;    // the NaN that GPU instructions return

DEVICE bool emulated_nan(float a) { return a != a; }

// +0 is larger than -0 here as on the GPU.
DEVICE float larger_or_nan(float a, float b) {
    if (emulated_nan(a) || emulated_nan(b)) return from_bits(NAN_BITS);
    if (a == b) return from_bits(bits_of(a) & bits_of(b));
    return a > b ? a : b;
}
DEVICE float smaller_or_nan(float a, float b) {
    if (emulated_nan(a) || emulated_nan(b)) return from_bits(NAN_BITS);
    if (a == b) return from_bits(bits_of(a) | bits_of(b));
    return a < b ? a : b;
}
DEVICE float larger(float a, float b) {
    if (emulated_nan(a)) return emulated_nan(b) ? from_bits(NAN_BITS) : b;
    return emulated_nan(b) ? a : larger_or_nan(a, b);
}

DEVICE float float_of_half(Word bits) {
    Word sign = (bits & 0x8000u) << 16, exponent = bits >> 10 & 31, fraction = bits & 0x3ffu;
    if (exponent == 31) return from_bits(fraction ? NAN_BITS : sign | 0x7f800000u);
    if (exponent == 0) {
        float magnitude = static_cast<float>(fraction) * 0x1p-24f;    // exact
        return from_bits(sign | bits_of(magnitude));
    }
    return from_bits(sign | (exponent + 112) << 23 | fraction << 13);
}
DEVICE float float_of_bfloat(Word bits) { return from_bits(bits << 16); }

DEVICE Word half_of_float(float a) {
    Word sign = bits_of(a) >> 16 & 0x8000u, magnitude = bits_of(a) & 0x7fffffffu;
    if (magnitude > 0x7f800000u) return 0x7fff;
    if (magnitude >= 0x477ff000u) return sign | 0x7c00;    // from 65520 on
    if (magnitude < 0x38800000u) {
        // Below 2^-14: the spacing of floats at 0.5 is that of the subnormal halves, 2^-24.
        return sign | (bits_of(from_bits(magnitude) + 0.5f) - 0x3f000000u);
    }
    magnitude += 0xfffu + (magnitude >> 13 & 1);           // to nearest, ties to even
    return sign | (magnitude - 0x38000000u) >> 13;
}
DEVICE Word bfloat_of_float(float a) {
    Word bits = bits_of(a);
    if (emulated_nan(a)) return 0x7fff;
    return (bits + 0x7fffu + (bits >> 16 & 1)) >> 16;
}
DEVICE Word pack_halves(float low, float high) {
    return half_of_float(high) << 16 | half_of_float(low);
}
DEVICE Word pack_bfloats(float low, float high) {
    return bfloat_of_float(high) << 16 | bfloat_of_float(low);
}

// Extrema of 16-bit numbers, two in a word: those of the floats that they are.
#define EMULATED_PAIRS(name, extremum, widen, pack)                                       \
    DEVICE Word name(Word a, Word b) {                                                    \
        return pack(extremum(widen(a & 0xffffu), widen(b & 0xffffu)),                     \
                    extremum(widen(a >> 16), widen(b >> 16)));                            \
    }
EMULATED_PAIRS(larger_halves_or_nan, larger_or_nan, float_of_half, pack_halves)
EMULATED_PAIRS(smaller_halves_or_nan, smaller_or_nan, float_of_half, pack_halves)
EMULATED_PAIRS(larger_bfloats_or_nan, larger_or_nan, float_of_bfloat, pack_bfloats)
EMULATED_PAIRS(smaller_bfloats_or_nan, smaller_or_nan, float_of_bfloat, pack_bfloats)
