// The types of logits in memory, and what is needed to read and write them 16 bytes at a time.

struct Half {
    typedef unsigned short Bits;
    static constexpr Bits MINUS_INFINITY = 0xfc00;
    static DEVICE float widen(Word bits) { return float_of_half(bits); }
    static DEVICE Word pack(float low, float high) { return pack_halves(low, high); }
    // Extrema of the word's two numbers each; a NaN is handed on.
    static DEVICE Word larger(Word a, Word b) { return larger_halves_or_nan(a, b); }
    static DEVICE Word smaller(Word a, Word b) { return smaller_halves_or_nan(a, b); }
};

struct Bfloat {
    typedef unsigned short Bits;
    static constexpr Bits MINUS_INFINITY = 0xff80;
    static DEVICE float widen(Word bits) { return float_of_bfloat(bits); }
    static DEVICE Word pack(float low, float high) { return pack_bfloats(low, high); }
    static DEVICE Word larger(Word a, Word b) { return larger_bfloats_or_nan(a, b); }
    static DEVICE Word smaller(Word a, Word b) { return smaller_bfloats_or_nan(a, b); }
};

struct Float {
    typedef Word Bits;
    static constexpr Bits MINUS_INFINITY = 0xff800000u;
};

struct Double {
    typedef unsigned long long Bits;
    static constexpr Bits MINUS_INFINITY = 0xfff0000000000000ull;
};

typedef STORAGE::Bits Bits;
constexpr int PER_VECTOR = sizeof(Vector) / sizeof(Bits);   // entries of 16 bytes
static_assert(STORAGE_BITS == 8 * sizeof(Bits), "-DSTORAGE_BITS goes with -DSTORAGE");

// One vector's entries as bits, whatever their type.
union Entries {
    Vector vector;
    Bits bits[PER_VECTOR];
};
