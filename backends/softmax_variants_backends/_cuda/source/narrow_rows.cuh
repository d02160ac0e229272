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

// A thread's vectors of a row in shared memory; those of a row held in registers have the same
// functions. Vector number m of a thread is number w of the row.
struct SharedRow {
    Vector* row;

    DEVICE Vector vector(int, int w) const { return row[w]; }
};

// Results of a row whose present entries are all NaN.
DEVICE Vector invalid_vector(const Vector& entries) {
    Floats x(entries);
    double result[PER_VECTOR];
    UNROLL
    for (int i = 0; i < PER_VECTOR; ++i) result[i] = is_absent(x.value[i]) ? 0.0 : NAN_DOUBLE;
    return rounded(result);
}

template <typename Row>
DEVICE void write_invalid(const RowGroup& group, int vectors, const Row& x,
                          const Output& output) {
    UNROLL_VECTORS
    for (int m = 0, w = group.lane; m < vectors; ++m, w += group.lanes) {
        output.store(w, invalid_vector(x.vector(m, w)));
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

    // All vectors of this thread. Vectors without an absent entry, which show by their smallest,
    // are taken at once. `dy` is of the same entries, null where there are no gradients.
    template <typename Row>
    DEVICE void see(const RowGroup& group, int vectors, const Row& row, Vector* dy) {
        constexpr bool largest_only = FUNCTION == SOFTMAX && !GRADIENTS;
#if STORAGE_BITS == 16
        const Word absent = STORAGE::MINUS_INFINITY;
        Word high = absent << 16 | absent;
#endif
        UNROLL_VECTORS
        for (int m = 0; m < vectors; ++m) {
            Vector vector = row.vector(m, m * group.lanes + group.lane);
#if STORAGE_BITS == 16
            UNROLL
            for (int i = 0; i < 4; ++i) high = STORAGE::larger(high, vector.word[i]);
            if (largest_only) continue;
            Word low = STORAGE::smaller(STORAGE::smaller(vector.word[0], vector.word[1]),
                                        STORAGE::smaller(vector.word[2], vector.word[3]));
            float least = smaller_or_nan(STORAGE::widen(low & 0xffff), STORAGE::widen(low >> 16));
#else
            Floats x(vector);
            float least = INFINITY_FLOAT;
            UNROLL
            for (int i = 0; i < PER_VECTOR; ++i) {
                largest = larger_or_nan(largest, x.value[i]);
                if (!largest_only) least = smaller_or_nan(least, x.value[i]);
            }
            if (largest_only) continue;
#endif
            if (is_absent(least)) {
                see_some(vector, dy + m * group.lanes + group.lane);
            } else {
                smallest = smaller_or_nan(smallest, least);
                count += PER_VECTOR;
            }
        }
#if STORAGE_BITS == 16
        largest = larger_or_nan(STORAGE::widen(high & 0xffff), STORAGE::widen(high >> 16));
#endif
    }

    DEVICE void across(RowGroup& group) {
        largest = reduce_warp(largest, group.lanes, LargerOrNaN());
        if (FUNCTION != SOFTMAX) {
            smallest = reduce_warp(smallest, group.lanes, SmallerOrNaN());
            count = reduce_warp(count, group.lanes, Sum());
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
// (For the gates' weights, two ways cost more registers than one saves.)
constexpr bool ASKS = WHOLE && (FUNCTION == SSMAX || (FUNCTION == SA_SOFTMAX && GRADIENTS));

// What the extrema and the parameters make of a row.
struct RowFacts {
    bool empty;      // no present entry: results are 0
    bool invalid;    // results at present entries are NaN
    bool all;        // whether no entry is absent, nor beyond the row's end in a vector
    double pivot;    // the logit where c x is largest
    double scale;    // c
    double log_n;
    float lower;     // lambda of the gate
    double span;     // D of the gate; 0 where it is 0, 1 where there is none
    float smallest, largest;

    DEVICE RowFacts(const Call& call, const Given& given, const Extrema& extrema)
        : empty(extrema.largest == -INFINITY_FLOAT),
          invalid(!(extrema.largest < INFINITY_FLOAT)),
          all(ASKS && extrema.count == call.length),
          scale(1.0), log_n(0.0), lower(0.0f), span(1.0),
          smallest(empty ? 0.0f : extrema.smallest), largest(empty ? 0.0f : extrema.largest) {
        pivot = largest;
        if (FUNCTION == SSMAX && !empty) {
            Scale found = scale_of_row(call, given, extrema.count);
            invalid = invalid || found.invalid;
            scale = found.c.high;
            log_n = found.log_n.high;
            if (scale < 0.0) pivot = smallest;
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

    // x - lambda; 0 for absent entries.
    template <bool ALL>
    DEVICE double gate_numerator(float x) const {
        double found = static_cast<double>(x) - static_cast<double>(lower);
        return ALL ? found : zero_if(is_absent(x), found);
    }
};

#endif
