// Rows of logits up to 32 bits: entries, extrema, and what follows from them for the whole row.

#if !WIDE

// The entries of a vector as floats: exact.
struct Floats {
    float value[PER_VECTOR];

    DEVICE explicit Floats(const Vector& vector) {
#if STORAGE_BITS == 16
        UNROLL
        for (int i = 0; i < PER_VECTOR / 2; ++i) {
            value[2 * i] = STORAGE::widen(vector.word[i] & 0xffff);
            value[2 * i + 1] = STORAGE::widen(vector.word[i] >> 16);
        }
#else
        UNROLL
        for (int i = 0; i < PER_VECTOR; ++i) value[i] = from_bits(vector.word[i]);
#endif
    }
};

// Two binary64 numbers as a vector.
union Doubles {
    double value[2];
    Vector vector;
};

DEVICE bool is_absent(float x) { return x == -INFINITY_FLOAT; }

// A binary64 number as a float that rounds to 16 bits as the number itself would: cut off, with the
// last bit set if anything was (round to odd; float has more than the two bits beyond those of a
// 16-bit type that this needs).
DEVICE float sticky_float(double a) {
    float cut = truncate_to_float(a);
    Word lost = static_cast<Word>(low_word(a)) & 0x1fffffffu;
    return from_bits(bits_of(cut) | smaller(lost, 1u));
}

// a, which is -inf or finite, or 0: the low word of -inf is 0 already.
DEVICE double zero_if(bool condition, double a) {
    return from_words(condition ? 0 : high_word(a), low_word(a));
}

// Results of a vector, each rounded once.
DEVICE Vector rounded(const double (&result)[PER_VECTOR]) {
    Vector vector;
#if STORAGE_BITS == 16
    UNROLL
    for (int i = 0; i < PER_VECTOR / 2; ++i) {
        vector.word[i] =
            STORAGE::pack(sticky_float(result[2 * i]), sticky_float(result[2 * i + 1]));
    }
#else
    UNROLL
    for (int i = 0; i < PER_VECTOR; ++i) vector.word[i] = bits_of(round_to_float(result[i]));
#endif
    return vector;
}

// Results of a row whose present entries are all NaN.
DEVICE Vector invalid_vector(const Vector& entries) {
    Floats x(entries);
    double result[PER_VECTOR];
    UNROLL
    for (int i = 0; i < PER_VECTOR; ++i) result[i] = is_absent(x.value[i]) ? 0.0 : NAN_DOUBLE;
    return rounded(result);
}

DEVICE void write_invalid(const RowGroup& group, int vectors, const Vector* x,
                          const Output& output) {
    UNROLL_VECTORS
    for (int m = 0, w = group.lane; m < vectors; ++m, w += group.lanes) {
        output.store(w, invalid_vector(x[w]));
    }
}

// The sum of a vector's numbers: short chains, and the same tree everywhere.
DEVICE double tree(const double (&a)[PER_VECTOR]) {
    double sum = (a[0] + a[1]) + (a[2] + a[3]);
#if STORAGE_BITS == 16
    sum += (a[4] + a[5]) + (a[6] + a[7]);
#endif
    return sum;
}

#if STORAGE_BITS == 16
// Four of a vector's numbers as floats.
DEVICE Vector rounded_to_floats(const double (&a)[PER_VECTOR], int first) {
    Vector vector;
    UNROLL
    for (int i = 0; i < 4; ++i) vector.word[i] = bits_of(round_to_float(a[first + i]));
    return vector;
}
#endif

// Integers in the order of the floats, and back. A NaN of an extremum has no sign.
DEVICE int in_order(float a) {
    int bits = static_cast<int>(bits_of(a));
    return bits ^ (bits >> 31 & 0x7fffffff);
}
DEVICE float float_in_order(int a) {
    return from_bits(static_cast<Word>(a ^ (a >> 31 & 0x7fffffff)));
}

struct Extrema {
    float largest = -INFINITY_FLOAT;   // NaN or +inf if an entry is
    float smallest = INFINITY_FLOAT;   // of the present entries
    int count = 0;                     // present entries

    // Entry by entry: absent ones are neither counted nor the smallest, and their dy is set to 0.
    DEVICE void see_some(const Vector& vector, Vector* dy) {
        Floats x(vector);
        Bits* cotangents = reinterpret_cast<Bits*>(dy);
        UNROLL
        for (int i = 0; i < PER_VECTOR; ++i) {
            if (is_absent(x.value[i])) {
                if (GRADIENTS) cotangents[i] = 0;
            } else {
                smallest = smaller_or_nan(smallest, x.value[i]);
                count += 1;
            }
        }
    }

    DEVICE void join(const Extrema& other) {
        largest = larger_or_nan(largest, other.largest);
        smallest = smaller_or_nan(smallest, other.smallest);
        count += other.count;
    }

    // All vectors of this thread. Where none has an absent entry, which the smallest shows, they
    // are taken at once. `dy` is of the same entries, null where there are no gradients.
    DEVICE void see(const RowGroup& group, int vectors, const Vector* x, Vector* dy) {
        constexpr bool largest_only = FUNCTION == SOFTMAX && !GRADIENTS;
#if STORAGE_BITS == 16
        const Word absent = STORAGE::MINUS_INFINITY, present = absent & 0x7fff;
        Word high = absent << 16 | absent, low = present << 16 | present;
#else
        float high = -INFINITY_FLOAT, low = INFINITY_FLOAT;
#endif
        UNROLL_VECTORS
        for (int m = 0; m < vectors; ++m) {
            Vector vector = x[m * group.lanes + group.lane];
            UNROLL
            for (int i = 0; i < 4; ++i) {
#if STORAGE_BITS == 16
                high = STORAGE::larger(high, vector.word[i]);
                if (!largest_only) low = STORAGE::smaller(low, vector.word[i]);
#else
                high = larger_or_nan(high, from_bits(vector.word[i]));
                if (!largest_only) low = smaller_or_nan(low, from_bits(vector.word[i]));
#endif
            }
        }
#if STORAGE_BITS == 16
        largest = larger_or_nan(STORAGE::widen(high & 0xffff), STORAGE::widen(high >> 16));
        smallest = smaller_or_nan(STORAGE::widen(low & 0xffff), STORAGE::widen(low >> 16));
#else
        largest = high;
        smallest = low;
#endif
        if (largest_only) return;
        count = vectors * PER_VECTOR;
        if (!is_absent(smallest)) return;
        count = 0;
        smallest = INFINITY_FLOAT;
#pragma unroll 1
        for (int m = 0, w = group.lane; m < vectors; ++m, w += group.lanes) {
            see_some(x[w], dy + w);
        }
    }

    DEVICE void across(RowGroup& group) {
        if (LANES >= 32) {
            // In one instruction each. A NaN is among the largest as the largest integer.
            largest = float_in_order(largest_of_warp(in_order(largest)));
            if (FUNCTION != SOFTMAX) {
                smallest = float_in_order(-largest_of_warp(-in_order(smallest)));
                count = sum_of_warp(count);
            }
        } else {
            largest = reduce_warp(largest, group.lanes, LargerOrNaN());
            if (FUNCTION != SOFTMAX) {
                smallest = reduce_warp(smallest, group.lanes, SmallerOrNaN());
                count = reduce_warp(count, group.lanes, Sum());
            }
        }
        if (!group.wide()) return;
        // As the bits of doubles: conversions would take longer than all the rest.
        double values[2] = {from_words(bits_of(largest), bits_of(smallest)),
                            from_words(0, count)};
        group.across_warps(values, [](int i, double a, double b) {
            if (i == 1) return from_words(0, low_word(a) + low_word(b));
            float high = larger_or_nan(from_bits(high_word(a)), from_bits(high_word(b)));
            float low = smaller_or_nan(from_bits(low_word(a)), from_bits(low_word(b)));
            return from_words(bits_of(high), bits_of(low));
        });
        largest = from_bits(high_word(values[0]));
        smallest = from_bits(low_word(values[0]));
        count = low_word(values[1]);
    }
};

// SSMax's s, b and n of a row; nothing for other functions, and for a row that does not exist.
DEVICE Given given_for(const Call& call, long long row) {
    return FUNCTION == SSMAX && row < call.rows ? Given(call, row) : Given();
}

// Whether rows without absent entries are evaluated without asking for them, in fewer instructions.
constexpr bool ASKS = WHOLE && FUNCTION != SOFTMAX && GRADIENTS;

// Rows whose c x is not far from 0 need no difference from the pivot for their weights: c x itself
// goes into the exponential, and the result is divided by a power of two. Far: where rounding c x,
// or ln(2) times the power, to binary64 could be off by more than 2^-45, in 16 bits by 2^-41.
constexpr double NEAR = STORAGE_BITS == 16 ? 0x1p12 : 0x1p7;
// How far below the pivot, in c x, an entry's weight is 0 in any type: 2^-184 is left of it, and
// nothing of n such in a sum.
constexpr double DEPTH = 128.0;

// What the extrema and the parameters make of a row.
struct RowFacts {
    bool empty;      // no present entry: results are 0
    bool invalid;    // results at present entries are NaN
    bool all;        // whether no entry is absent, nor beyond the row's end in a vector
    bool steep;      // whether c would make something of the exponential's floor in gradients
    double pivot;    // the logit where c x is largest
    double scale;    // c
    double log_n;
    float lower;     // lambda of the gate
    double span;     // D of the gate; 0 where it is 0, 1 where there is none
    float smallest, largest;
    bool near;         // see NEAR
    float floor;       // if near: entries count as no less, which takes absent ones in
    double rounding;   // if near: of the exponential, for the power of two next to the pivot's
    Word floors;       // twice the floor in 16 bits
    bool bounded;      // if near: whether negative gates are those of absent entries

    DEVICE RowFacts(const Call& call, const Given& given, const Extrema& extrema)
        : empty(extrema.largest == -INFINITY_FLOAT),
          invalid(!(extrema.largest < INFINITY_FLOAT)),
          all(ASKS && extrema.count == call.length), steep(false),
          scale(1.0), log_n(0.0), lower(0.0f), span(1.0),
          smallest(empty ? 0.0f : extrema.smallest), largest(empty ? 0.0f : extrema.largest),
          near(false), floor(0.0f), rounding(ROUNDING), floors(0),
          bounded(false) {
        pivot = largest;
        if (FUNCTION == SSMAX && !empty) {
            Scale found = scale_of_row(call, given, extrema.count);
            invalid = invalid || found.invalid;
            scale = found.c.high;
            log_n = found.log_n.high;
            if (scale < 0.0) pivot = smallest;
            steep = fabs(scale) > 0x1p600;
            all = all && !steep;
        }
        if (FUNCTION == SA_SOFTMAX) {
            bool appended = call.form == FORM_NORMALIZED;   // a 0, which takes part in extrema
            float upper = appended && largest < 0.0f ? 0.0f : largest;
            if (call.form != FORM_PLAIN) {
                lower = appended && smallest > 0.0f ? 0.0f : smallest;
            }
            if (call.form == FORM_MINMAX || appended) {
                span = static_cast<double>(upper) - static_cast<double>(lower);
            }
        }
        if (!GRADIENTS && PARTS > 0) approach(call, extrema.count);
    }

    DEVICE void approach(const Call& call, int count) {
        double top = FUNCTION == SSMAX ? scale * pivot : pivot;
        near = fabs(top) <= NEAR && fabs(pivot) <= 0x1p14;
        // The floor, which is rounded to the storage (by a relative 2^-9 at most), is to be below
        // the pivot by DEPTH all the same, within the range, and c x is to be near there, too.
        float depth = static_cast<float>(DEPTH + 0x1p-7 * NEAR);
        if (FUNCTION == SSMAX) {
            near = near && scale >= 0x1p-6 && scale <= 0x1p10;
            depth /= round_to_float(scale);
        }
        floor = round_to_float(pivot) - depth;
        if (FUNCTION == SA_SOFTMAX) {
            // Absent entries are to have weights of 0, not -0: no present one is below lambda, but
            // in the plain form, which has no such bound. Nor are gates to make up for DEPTH.
            bounded = call.form != FORM_PLAIN;
            near = near && (bounded ? lower >= -0x1p20f : count == call.length);
        }
#if STORAGE_BITS == 16
        floors = STORAGE::pack(floor, floor);
        floor = STORAGE::widen(floors & 0xffff);
#endif
        rounding = ROUNDING - (fma(top, LOG2_E, 0x1.8p52) - 0x1.8p52);
    }

    // What follows asks for absent entries unless ALL says that there are none.

    // x - v; 0 for absent entries where `finite` asks for it.
    template <bool ALL>
    DEVICE double difference(float x, bool finite) const {
        double found = static_cast<double>(x) - pivot;
        return finite && !ALL ? zero_if(is_absent(x), found) : found;
    }

    // exp's argument. Shifted first and scaled then: c (x - v) has an error of 2^-52 |c (x - v)|.
    template <bool ALL>
    DEVICE double argument(float x, double difference) const {
        if (FUNCTION != SSMAX) return difference;
        double z = scale * difference;
        if (ALL) return z;
        // A c of 0 or less makes something else of an absent entry's -inf.
        int high = is_absent(x) ? static_cast<int>(HIGH_WORD_OF_FLOOR) : high_word(z);
        return from_words(high, low_word(z));
    }
    template <bool ALL>
    DEVICE double argument(float x) const {
        return argument<ALL>(x, difference<ALL>(x, false));
    }

    // LIFT * exp(argument), for gradients, which c multiplies.
    template <bool ALL>
    DEVICE double power(double argument) const {
        double found = exponential(argument);
        if (FUNCTION != SSMAX || ALL) return found;
        return steep && argument < FLOOR ? 0.0 : found;
    }

    // x - lambda; 0 for absent entries.
    template <bool ALL>
    DEVICE double gate_numerator(float x) const {
        double found = static_cast<double>(x) - static_cast<double>(lower);
        return ALL ? found : zero_if(is_absent(x), found);
    }

    // For rows that are near: entries, none below the floor.
    DEVICE Vector raised(const Vector& entries) const {
        Vector result;
        UNROLL
        for (int i = 0; i < 4; ++i) {
#if STORAGE_BITS == 16
            result.word[i] = STORAGE::larger(entries.word[i], floors);
#else
            result.word[i] = bits_of(larger(from_bits(entries.word[i]), floor));
#endif
        }
        return result;
    }
    // LIFT * exp(c x) over the power of two.
    DEVICE double near_power(float x) const {
        double z = static_cast<double>(x);
        return exponential_over(FUNCTION == SSMAX ? scale * z : z, rounding);
    }
    DEVICE double near_gate_numerator(float x) const {
        double found = gate_numerator<true>(x);
        // A negative number's high word is below 0; without it, next to nothing is left of it.
        return bounded ? from_words(larger(high_word(found), 0), low_word(found)) : found;
    }
};

#endif
