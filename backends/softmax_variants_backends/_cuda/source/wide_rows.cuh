// Rows of binary64: entries, extrema, and what follows from them for the whole row.

#if WIDE

// From here on twice a number, or a difference, may overflow.
constexpr double LARGE = 0x1p1022;

struct Pair {
    double value[PER_VECTOR];
};

// One thread's entries of a row, two at a time, from shared memory or, where a row is too long for
// it, from global memory at every look. Absent ones are -inf. Vectors of a thread are vector(0),
// ... vector(call.vectors - 1) of its part of the row.
template <bool ON_CHIP>
struct Entries64;

template <>
struct Entries64<true> {
    const Call& call;
    const RowGroup& group;
    Regions regions;
    Span span;

    DEVICE Entries64(const Call& arguments, const RowGroup& threads, long long first_row)
        : call(arguments), group(threads), regions(arguments, threads), span(arguments, threads) {
        finish_rows(start_rows(call, group, regions, span, first_row));
        apply_mask(call, group, regions, span, first_row + group.slot);
    }

    DEVICE int vector(int m) const { return m * group.lanes + group.lane; }
    DEVICE Pair logits(int w) const { return same_bits(regions.row(0)[w]); }
    DEVICE Pair cotangents(int w) const { return same_bits(regions.row(1)[w]); }

    DEVICE Output output(long long row) const { return Output(call, regions, span, row); }

    DEVICE static void store(const Output& output, int w, const Pair& results) {
        Vector vector;
        UNROLL
        for (int i = 0; i < PER_VECTOR; ++i) {
            vector.word[2 * i] = static_cast<Word>(low_word(results.value[i]));
            vector.word[2 * i + 1] = static_cast<Word>(high_word(results.value[i]));
        }
        output.store(w, vector);
    }

    DEVICE void finish(long long first_row) const {
        store_entries(call, group, regions, span, first_row);
    }

    DEVICE static Pair same_bits(const Vector& vector) {
        Pair pair;
        UNROLL
        for (int i = 0; i < PER_VECTOR; ++i) {
            pair.value[i] = from_words(static_cast<int>(vector.word[2 * i + 1]),
                                       static_cast<int>(vector.word[2 * i]));
        }
        return pair;
    }
};

template <>
struct Entries64<false> {
    const Call& call;
    const RowGroup& group;
    Word count;                  // of the part's entries, below 2^31
    const double* x;             // where the part begins
    const double* dy;
    const unsigned char* mask;   // or null

    DEVICE Entries64(const Call& arguments, const RowGroup& threads, long long first_row)
        : call(arguments), group(threads), count(0), x(nullptr), dy(nullptr), mask(nullptr) {
        long long row = first_row + group.slot;
        if (row >= call.rows) return;
        long long start = group.part * call.part_length, left = call.length - start;
        if (left > call.part_length) left = call.part_length;
        count = left < 0 ? 0 : static_cast<Word>(left);
        x = static_cast<const double*>(call.x) + row_offset(call, call.x_strides, row) +
            start * call.x_step;
        if (GRADIENTS) {
            dy = static_cast<const double*>(call.dy) + row_offset(call, call.dy_strides, row) +
                 start * call.dy_step;
        }
        if (call.mask != nullptr) {
            mask = call.mask + row_offset(call, call.mask_strides, row) + start * call.mask_step;
        }
    }

    // Unsigned: beyond the part's end it may pass 2^31.
    DEVICE Word vector(int m) const {
        return static_cast<Word>(m) * group.lanes + group.lane;
    }

    DEVICE Pair logits(Word w) const {
        Pair pair;
        UNROLL
        for (int i = 0; i < PER_VECTOR; ++i) {
            Word j = w * PER_VECTOR + i;
            bool present = j < count && (mask == nullptr || mask[j * call.mask_step] != 0);
            pair.value[i] = present ? x[j * call.x_step] : -INFINITY_DOUBLE;
        }
        return pair;
    }

    DEVICE Pair cotangents(Word w) const {
        Pair pair;
        UNROLL
        for (int i = 0; i < PER_VECTOR; ++i) {
            Word j = w * PER_VECTOR + i;
            pair.value[i] = j < count ? dy[j * call.dy_step] : 0.0;
        }
        return pair;
    }

    DEVICE double* output(long long row) const {
        return static_cast<double*>(call.out) + row_offset(call, call.out_strides, row) +
               group.part * call.part_length * call.out_step;
    }

    DEVICE void store(double* output, Word w, const Pair& results) const {
        UNROLL
        for (int i = 0; i < PER_VECTOR; ++i) {
            Word j = w * PER_VECTOR + i;
            if (j < count) output[j * call.out_step] = results.value[i];
        }
    }

    DEVICE void finish(long long) const {}
};

DEVICE bool is_finite(double a) { return fabs(a) < INFINITY_DOUBLE; }

// A NaN takes no part in comparisons: it counts as +inf, which has the same consequences.
struct Extrema64 {
    double largest, smallest;
    double count;    // present entries

    template <typename Source>
    DEVICE Extrema64(const Source& entries, RowGroup& group)
        : largest(-INFINITY_DOUBLE), smallest(INFINITY_DOUBLE), count(0.0) {
        int present = 0;
        for (int m = 0; m < static_cast<int>(entries.call.vectors); ++m) {
            auto w = entries.vector(m);
            Pair x = entries.logits(w), dy = {};
            if (GRADIENTS) dy = entries.cotangents(w);
            UNROLL
            for (int i = 0; i < PER_VECTOR; ++i) {
                double entry = x.value[i];
                bool absent = entry == -INFINITY_DOUBLE;
                bool valid = entry < INFINITY_DOUBLE && (absent || is_finite(dy.value[i]));
                largest = Larger()(largest, valid ? entry : INFINITY_DOUBLE);
                smallest = Smaller()(smallest, absent ? INFINITY_DOUBLE : entry);
                present += absent ? 0 : 1;
            }
        }
        largest = reduce_warp(largest, group.lanes, Larger());
        smallest = reduce_warp(smallest, group.lanes, Smaller());
        double values[3] = {largest, smallest,
                            static_cast<double>(reduce_warp(present, group.lanes, Sum()))};
        group.across_warps(values, [](int i, double a, double b) {
            return i == 0 ? Larger()(a, b) : i == 1 ? Smaller()(a, b) : a + b;
        });
        largest = values[0];
        smallest = values[1];
        count = values[2];
    }
};

// The difference of two logits, halved where it could overflow: exact, but where a subnormal number
// is halved beside one next to which it does not count.
struct Difference {
    Words words;
    int exponent;    // the difference is words * 2^exponent

    DEVICE Difference(double a, double b) {
        bool large = fabs(a) >= LARGE || fabs(b) >= LARGE;
        double factor = large ? 0.5 : 1.0;
        words = two_sum(a * factor, -b * factor);
        exponent = large ? 1 : 0;
    }
};

DEVICE Ranged ranged(Difference a) { return ranged(a.words, a.exponent); }

// What the extrema and the parameters make of a row.
struct RowFacts64 {
    bool empty;          // no present entry: results are 0
    bool invalid;        // results at present entries are NaN
    bool flat;           // the gate's D is 0: results are 0
    double smallest, largest, pivot;
    Ranged scale;        // c
    Words log_n;
    double lower;        // lambda of the gate
    Ranged inverse;      // 1 / D of the gate, or 1

    DEVICE RowFacts64(const Call& call, long long row, const Extrema64& extrema)
        : empty(extrema.count == 0.0),
          invalid(extrema.largest == INFINITY_DOUBLE),
          flat(false), smallest(extrema.smallest), largest(extrema.largest), pivot(extrema.largest),
          scale{{1.0, 0.0}, 0}, log_n{0.0, 0.0},
          lower(0.0), inverse{{1.0, 0.0}, 0} {
        if (empty || invalid) return;
        if (FUNCTION == SSMAX) set_scale(call, row, static_cast<long long>(extrema.count));
        if (FUNCTION == SA_SOFTMAX) set_gate(call);
    }

    DEVICE void set_scale(const Call& call, long long row, long long count) {
        Parameters found = parameters_of_row(call, Given(call, row), count);
        log_n = found.log_n;
        Ranged c = add(multiply(ranged(log_n), ranged(found.s)), ranged(found.b));
        invalid = found.invalid || !is_finite(rounded(c));
        scale = ranged(c.words, c.exponent);
        // A c of 0 must not meet a difference that overflows.
        if (invalid || scale.words.high == 0.0) scale = {{0.0, 0.0}, -1};
        if (scale.words.high < 0.0) pivot = smallest;
    }

    DEVICE void set_gate(const Call& call) {
        bool appended = call.form == FORM_NORMALIZED;   // a 0, which takes part in extrema
        if (call.form != FORM_PLAIN) lower = appended && smallest > 0.0 ? 0.0 : smallest;
        if (call.form == FORM_MINMAX || appended) {
            double upper = appended && largest < 0.0 ? 0.0 : largest;
            flat = upper == lower;
            if (!flat) inverse = reciprocal(ranged(Difference(upper, lower)));
        }
    }

    // The gate times D, for an entry whose weight is not 0.
    DEVICE Ranged numerator(double x) const { return ranged(Difference(x, lower)); }
};

// exp(c (x - v)) of an entry, with v the logit where c x is largest; shifted first and scaled then.
struct Power {
    Exponential value;
    bool alive;      // present, and its weight may be other than 0

    DEVICE Power(const RowFacts64& facts, double x) {
        Words z;
        if (FUNCTION == SSMAX) {
            Difference difference(x, facts.pivot);
            // In two steps of one direction: the power may be no normal number.
            int moves = facts.scale.exponent + difference.exponent, half = moves >> 1;
            Words moved = scaled(scaled(difference.words, power_of_two(half)),
                                 power_of_two(moves - half));
            alive = x != -INFINITY_DOUBLE && moved.high * facts.scale.words.high >= FLOOR;
            // Words of what is not alive may be NaN after an overflow.
            moved = {alive ? moved.high : 0.0, alive ? moved.low : 0.0};
            z = multiply(facts.scale.words, moved);
        } else {
            z = two_sum(x, -facts.pivot);
            alive = z.high >= FLOOR;   // an overflow is -inf
            z = {alive ? z.high : 0.0, alive ? z.low : 0.0};
        }
        value = exponential_in_words(z);
    }

    // The exponential itself where it counts beside the 1 that is the row's largest.
    DEVICE Words true_words() const {
        return scaled(value.words, alive ? power_of_half(value.halvings) : 0.0);
    }
};

// Results of this block's rows (wide_forward.cuh, wide_gradients.cuh).
template <bool ON_CHIP>
DEVICE void evaluate_rows(const Call& call, int rank);

// What a kernel does. Only where parts are as many as can be, or one because there are no clusters,
// may a row be longer than what its blocks hold.
DEVICE void rows_on_chip(const Call& call, int rank) {
    constexpr bool MAY_BE_LONGER = PARTS == 1 || PARTS == MAX_PARTS;
    if (!MAY_BE_LONGER || call.on_chip) {
        evaluate_rows<true>(call, rank);
    } else {
        evaluate_rows<false>(call, rank);
    }
}

#endif
