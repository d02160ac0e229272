// Weights of rows of logits up to 32 bits: y = (x - lambda) / D * exp(c (x - v)) / S.
//
// Evaluated in binary64 and rounded once. Errors, relative: 2^-46 of exp (see there; c doubles it),
// 2^-52 of each of S (a tree), 1 / S, the gate and the products: under 2^-44, which is 2^-20 units
// of binary32 and less of the 16-bit types, but for S of those (2^-32.6: 2^-20 units).
//
// For 16-bit results binary64 in every entry's last steps would take longer than memory does. They
// are evaluated in float from the exponentials kept of the sum; where 1 +- WINDOW times the result
// round differently, the entry is evaluated again in binary64. So all bits are those of binary64.

#if !WIDE && !GRADIENTS

struct Weights {
    RowFacts facts;
    double factor;   // 1 / (S D)

    DEVICE Weights(const RowFacts& row, double total) : facts(row) {
        factor = row.empty || row.span == 0.0 ? 0.0 : 1.0 / total / row.span;
    }

    // The weight from LIFT * exp: the same factor is in the total.
    DEVICE double weight(float x, double power) const {
        if (FUNCTION != SA_SOFTMAX) return power * factor;
        double gate = static_cast<double>(is_absent(x) ? facts.lower : x) -
                      static_cast<double>(facts.lower);
        return power * gate * factor;
    }

    DEVICE double alone(float x) const {
        return weight(x, exponential_alone(facts.argument(x)));
    }

    // In binary64, each thread alone; absent entries are 0 in rows of NaNs, too.
    DEVICE Vector slow_vector(const Vector& vector) const {
        Floats x(vector);
        double result[PER_VECTOR];
        UNROLL
        for (int i = 0; i < PER_VECTOR; ++i) {
            if (is_absent(x.value[i])) {
                result[i] = 0.0;
            } else {
                result[i] = facts.invalid ? NAN_DOUBLE : alone(x.value[i]);
            }
        }
        return rounded(result);
    }
};

#if STORAGE_BITS == 16

// Roundings on the way: of the exponential, of the gate, of the factor, of two products; each is
// 2^-24. The window has room for three more.
constexpr double WINDOW = 0x1p-21;

struct FastWeights {
    float lower;
    float above, below;   // the factor times 1 +- WINDOW
    bool possible;        // whether no step leaves the range of float

    DEVICE explicit FastWeights(const Weights& weights) : lower(weights.facts.lower) {
        // LIFT keeps the factor far from the ends of the range, unless the gate's D is there.
        above = round_to_float(weights.factor * (1.0 + WINDOW));
        below = round_to_float(weights.factor * (1.0 - WINDOW));
        possible = true;
        if (FUNCTION == SA_SOFTMAX) {
            const RowFacts& facts = weights.facts;
            possible = facts.span >= 0x1p-20 && facts.largest <= 0x1p40f &&
                       facts.smallest >= -0x1p40f;
        }
    }

    // The exponential times the gate's numerator.
    DEVICE float gated(float x, float power) const {
        if (FUNCTION != SA_SOFTMAX) return power;
        return power * ((is_absent(x) ? lower : x) - lower);
    }
};

// Evaluate in binary64 the entries that `differ` marks by bits in their half.
DEVICE_CALL Word exact_pair(const Weights& weights, Word entries, Word value, Word differ) {
    if (differ & 0xffff) {
        double weight = weights.alone(STORAGE::widen(entries & 0xffff));
        Word exact = STORAGE::pack(sticky_float(weight), 0.0f);
        value = (value & 0xffff0000u) | (exact & 0xffff);
    }
    if (differ >> 16) {
        double weight = weights.alone(STORAGE::widen(entries >> 16));
        Word exact = STORAGE::pack(0.0f, sticky_float(weight));
        value = (value & 0xffff) | (exact & 0xffff0000u);
    }
    return value;
}

// One vector of weights from the exponentials in two others.
DEVICE Vector fast_vector(const Weights& weights, const FastWeights& fast, const Vector& entries,
                          const Vector& first, const Vector& second) {
    Vector result;
    Word difference[4];
    UNROLL
    for (int i = 0; i < 4; ++i) {
        float a = from_bits(i < 2 ? first.word[2 * i] : second.word[2 * i - 4]);
        float b = from_bits(i < 2 ? first.word[2 * i + 1] : second.word[2 * i - 3]);
        if (FUNCTION == SA_SOFTMAX) {
            a = fast.gated(STORAGE::widen(entries.word[i] & 0xffff), a);
            b = fast.gated(STORAGE::widen(entries.word[i] >> 16), b);
        }
        result.word[i] = STORAGE::pack(a * fast.above, b * fast.above);
        difference[i] = result.word[i] ^ STORAGE::pack(a * fast.below, b * fast.below);
    }
    if (difference[0] | difference[1] | difference[2] | difference[3]) {
        UNROLL
        for (int i = 0; i < 4; ++i) {
            if (difference[i]) {
                result.word[i] =
                    exact_pair(weights, entries.word[i], result.word[i], difference[i]);
            }
        }
    }
    return result;
}

#endif

// The sum of the exponentials over this thread's vectors; they are KEPT as floats for what follows.
template <bool KEPT>
DEVICE double sum_of_vectors(const Call& call, const RowGroup& group, const Regions& regions,
                             const RowFacts& facts, double root) {
    double total = 0.0;
    const Vector* x = regions.row(0);
    for (int m = 0; m < static_cast<int>(call.vectors); ++m) {
        int w = m * group.lanes + group.lane;
        Floats entries(x[w]);
        double power[PER_VECTOR];
        UNROLL
        for (int i = 0; i < PER_VECTOR; ++i) {
            power[i] = exponential<ACCURATE>(facts.argument(entries.value[i]), root);
        }
        total += tree(power);
#if STORAGE_BITS == 16
        if (KEPT) {
            regions.row(1)[w] = rounded_to_floats(power, 0);
            regions.row(2)[w] = rounded_to_floats(power, 4);
        }
#endif
    }
    return total;
}

// Write this thread's vectors, evaluated in binary64 throughout.
DEVICE void write_exactly(const Call& call, const RowGroup& group, const Regions& regions,
                          const Weights& weights, double root, Bits* out, const Span& span) {
    Vector* x = regions.row(0);
    for (int m = 0; m < static_cast<int>(call.vectors); ++m) {
        int w = m * group.lanes + group.lane;
        Floats entries(x[w]);
        double result[PER_VECTOR];
        UNROLL
        for (int i = 0; i < PER_VECTOR; ++i) {
            float value = entries.value[i];
            double argument = weights.facts.argument(value);
            result[i] = weights.weight(value, exponential<true>(argument, root));
        }
        // All threads of a warp take part in the exponentials, rows of NaNs included.
        Vector vector = rounded(result);
        if (weights.facts.invalid) vector = weights.slow_vector(x[w]);
        store_vector(out, span, w, x, vector);
    }
}

DEVICE void write_vectors(const Call& call, const RowGroup& group, const Regions& regions,
                          const Weights& weights, double root, Bits* out, const Span& span) {
#if STORAGE_BITS == 16
    int vectors = static_cast<int>(call.vectors);
    Vector* x = regions.row(0);
    FastWeights fast(weights);
    if (fast.possible && !weights.facts.invalid) {
        for (int m = 0; m < vectors; ++m) {
            int w = m * group.lanes + group.lane;
            store_vector(out, span, w, x,
                         fast_vector(weights, fast, x[w], regions.row(1)[w], regions.row(2)[w]));
        }
        return;
    }
#pragma unroll 1
    for (int m = 0; m < vectors; ++m) {
        int w = m * group.lanes + group.lane;
        store_vector(out, span, w, x, weights.slow_vector(x[w]));
    }
#else
    write_exactly(call, group, regions, weights, root, out, span);
#endif
}

#if PARTS > 0

DEVICE void rows_on_chip(const Call& call, int rank) {
    RowGroup group(static_cast<int>(call.lanes), rank);
    Regions regions(call, group);
    long long first_row = block_index() / PARTS * call.rows_per_block;
    long long row = first_row + group.slot;
    double root = own_root();
    load_rows(call, group, regions, first_row, call.x, nullptr);
    apply_mask(call, group, regions, row);

    Extrema extrema;
    extrema.see(group, static_cast<int>(call.vectors), regions.row(0), nullptr);
    extrema.across(group);
    RowFacts facts(call, row < call.rows ? row : 0, extrema);
    double total[1] = {sum_of_vectors<true>(call, group, regions, facts, root)};
    group.sum(total);
    group.done_reducing();

    Span span(call, group, row < call.rows);
    write_vectors(call, group, regions, Weights(facts, total[0]), root,
                  output_row(call, span, row), span);
    store_entries(call, group, regions, first_row);
    group.leave();
}

#else

// Split rows: a part by itself, the row's sums from its parts, and a part of the results.

DEVICE PartSums sums_of_part(const Call& call, const RowGroup& group, const Regions& regions,
                             const RowFacts& facts, double root) {
    PartSums sums;
    sums.value[TOTAL] = sum_of_vectors<false>(call, group, regions, facts, root);
    return sums;
}

struct RowSums {
    double total[1] = {0.0};

    DEVICE void add(const RowFacts&, const RowFacts&, const PartSums& part, double power) {
        total[0] += power * part.value[TOTAL];
    }
    DEVICE void across(RowGroup& group) { group.sum(total); }
    DEVICE PartSums stored() const {
        PartSums sums;
        sums.value[TOTAL] = total[0];
        return sums;
    }
};

DEVICE void finish_row(const Call&, const RowFacts&, const PartSums&, long long) {}

DEVICE void write_part(const Call& call, const RowGroup& group, const Regions& regions,
                       const RowFacts& facts, const PartSums& sums, double root, Bits* out,
                       const Span& span) {
    write_exactly(call, group, regions, Weights(facts, sums.value[TOTAL]), root, out, span);
}

#endif

#endif
