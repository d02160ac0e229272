// Weights of rows of logits up to 32 bits: y = exp(c (x - v)) (x - lambda) / (S D).
//
// Evaluated in binary64 and rounded once. Errors, relative: 2^-46 of exp (see there; c doubles it),
// 2^-52 of each of S (a tree), 1 / S, the gate and the products: under 2^-44, which is 2^-20 units
// of binary32 and less of the 16-bit types, but for exp of those (2^-33: 2^-21 units).
//
// The exponentials, gated, are kept in registers or shared memory from the sum to the writing where
// there is room, else evaluated again. 16-bit results in binary64 would take longer than memory
// does: the exponentials are kept as floats and scaled as such; where 1 +- WINDOW times the result
// round differently, the entry is evaluated again in binary64. So all bits are those of binary64.

#if !WIDE && !GRADIENTS

struct Weights {
    RowFacts facts;
    double factor;   // 1 / (S D)

    DEVICE Weights(const RowFacts& row, double total) : facts(row) {
        factor = row.empty || row.span == 0.0 ? 0.0 : 1.0 / total / row.span;
    }

    // What is kept of an entry: LIFT, which the factor undoes, times exp, times the gate's
    // numerator.
    template <bool ALL>
    DEVICE static double gated(const RowFacts& facts, float x, double power) {
        return FUNCTION == SA_SOFTMAX ? power * facts.gate_numerator<ALL>(x) : power;
    }

    template <bool ALL>
    DEVICE double weight(float x) const {
        return gated<ALL>(facts, x, exponential(facts.argument<ALL>(x))) * factor;
    }
};

#if STORAGE_BITS == 16

// Roundings on the way: of what is kept, of the factor, of the product; each is 2^-24. (Products
// below the normal range of float, which are subnormal bfloat16 numbers, too, have an error of
// 2^-150 whatever the window is: 2^-17 of their units.)
constexpr double WINDOW = 0x1.2p-22;

struct FastWeights {
    float above, below;   // the factor times 1 +- WINDOW
    bool possible;        // whether no step leaves the range of float

    DEVICE explicit FastWeights(const Weights& weights) {
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
};

// One vector of weights from what is kept of it in two others; `unsure` gets bits where 1 + WINDOW
// and 1 - WINDOW times a weight round differently.
DEVICE Vector fast_vector(const FastWeights& fast, const Vector& first, const Vector& second,
                          Vector& unsure) {
    Vector result;
    UNROLL
    for (int i = 0; i < 4; ++i) {
        float a = from_bits(i < 2 ? first.word[2 * i] : second.word[2 * i - 4]);
        float b = from_bits(i < 2 ? first.word[2 * i + 1] : second.word[2 * i - 3]);
        result.word[i] = STORAGE::pack(a * fast.above, b * fast.above);
        unsure.word[i] = result.word[i] ^ STORAGE::pack(a * fast.below, b * fast.below);
    }
    return result;
}

// The same with what is unsure evaluated in binary64, from the entries.
DEVICE_CALL Vector sure_vector(const Weights& weights, const FastWeights& fast,
                               const Vector& entries, const Vector& first,
                               const Vector& second) {
    Vector unsure = {{~0u, ~0u, ~0u, ~0u}}, result = entries;
    if (fast.possible) result = fast_vector(fast, first, second, unsure);
#pragma unroll 1
    for (int i = 0; i < 4; ++i) {
        Word x = entries.word[i], value = result.word[i];
        if (unsure.word[i] & 0xffff) {
            float weight = sticky_float(weights.weight<false>(STORAGE::widen(x & 0xffff)));
            value = (value & 0xffff0000u) | (STORAGE::pack(weight, 0.0f) & 0xffff);
        }
        if (unsure.word[i] >> 16) {
            float weight = sticky_float(weights.weight<false>(STORAGE::widen(x >> 16)));
            value = (value & 0xffff) | (STORAGE::pack(0.0f, weight) & 0xffff0000u);
        }
        result.word[i] = value;
    }
    return result;
}

#endif

// A row in shared memory, with room for what is kept of its entries.
struct SharedWeights : SharedRow {
    const Regions& regions;

    DEVICE explicit SharedWeights(const Regions& all) : SharedRow{all.row(0)}, regions(all) {}

#if STORAGE_BITS == 16
    DEVICE void keep(int, int w, const double (&kept)[PER_VECTOR]) {
        regions.kept(0)[w] = rounded_to_floats(kept, 0);
        regions.kept(1)[w] = rounded_to_floats(kept, 4);
    }
    DEVICE Vector kept_floats(int, int w, int half) const { return regions.kept(half)[w]; }
#else
    // In the place of the logits, which are not needed any more, and one more.
    DEVICE void keep(int, int w, const double (&kept)[PER_VECTOR]) {
        Doubles pairs[2] = {{{kept[0], kept[1]}}, {{kept[2], kept[3]}}};
        row[w] = pairs[0].vector;
        regions.kept(0)[w] = pairs[1].vector;
    }
    DEVICE double kept_double(int, int w, int i) const {
        const Vector& vector = i < 2 ? row[w] : regions.kept(0)[w];
        return reinterpret_cast<const double*>(&vector)[i & 1];
    }
#endif
};

#if IS_HELD

// A row in registers: all loops over its vectors are unrolled. For arrays that are accessed 16
// bytes at a time.
struct HeldWeights {
    Vector x[VECTORS];
#if STORAGE_BITS == 16
    Vector floats[VECTORS][2];
#else
    double doubles[VECTORS][PER_VECTOR];
#endif

    // -inf stands for a row that does not exist.
    DEVICE HeldWeights(const Call& call, const RowGroup& group, const Span& span,
                       long long row) {
        bool exists = row < call.rows;
        Entries none;
        UNROLL
        for (int i = 0; i < PER_VECTOR; ++i) none.bits[i] = STORAGE::MINUS_INFINITY;
        long long offset = exists ? row_offset(call, call.x_strides, row) : 0;
        const Bits* first = static_cast<const Bits*>(call.x) + offset + span.start;
        const Vector* source = reinterpret_cast<const Vector*>(first) + group.lane;
        UNROLL
        for (int m = 0; m < VECTORS; ++m) x[m] = exists ? source[m * group.lanes] : none.vector;
        if (call.mask == nullptr || !exists) return;
        const unsigned char* mask = mask_of_part(call, span, row);
        UNROLL
        for (int m = 0; m < VECTORS; ++m) {
            mask_vector(call, span, mask, (m * group.lanes + group.lane) * PER_VECTOR, x[m]);
        }
    }

    DEVICE Vector vector(int m, int) const { return x[m]; }
#if STORAGE_BITS == 16
    DEVICE void keep(int m, int, const double (&kept)[PER_VECTOR]) {
        floats[m][0] = rounded_to_floats(kept, 0);
        floats[m][1] = rounded_to_floats(kept, 4);
    }
    DEVICE Vector kept_floats(int m, int, int half) const { return floats[m][half]; }
#else
    DEVICE void keep(int m, int, const double (&kept)[PER_VECTOR]) {
        UNROLL
        for (int i = 0; i < PER_VECTOR; ++i) doubles[m][i] = kept[i];
    }
    DEVICE double kept_double(int m, int, int i) const { return doubles[m][i]; }
#endif
};

#endif

// The sum of the exponentials over this thread's vectors.
template <bool KEPT, bool ALL, typename Row>
DEVICE double sum_of_vectors(int vectors, const RowGroup& group, Row& row,
                             const RowFacts& facts) {
    double total = 0.0;
    UNROLL_VECTORS
    for (int m = 0, w = group.lane; m < vectors; ++m, w += group.lanes) {
        Floats x(row.vector(m, w));
        double power[PER_VECTOR];
        UNROLL
        for (int i = 0; i < PER_VECTOR; ++i) {
            power[i] = exponential(facts.argument<ALL>(x.value[i]));
        }
        total += tree(power);
        if (KEPT) {
            UNROLL
            for (int i = 0; i < PER_VECTOR; ++i) {
                power[i] = Weights::gated<ALL>(facts, x.value[i], power[i]);
            }
            row.keep(m, w, power);
        }
    }
    return total;
}

// Write this thread's vectors from the logits.
template <bool ALL, typename Row>
DEVICE void write_again(int vectors, const RowGroup& group, const Row& row,
                        const Weights& weights, const Output& output) {
#pragma unroll 1
    for (int m = 0, w = group.lane; m < vectors; ++m, w += group.lanes) {
        Floats x(row.vector(m, w));
        double result[PER_VECTOR];
        UNROLL
        for (int i = 0; i < PER_VECTOR; ++i) result[i] = weights.weight<ALL>(x.value[i]);
        output.store(w, rounded(result));
    }
}

template <typename Row>
DEVICE void write_kept(int vectors, const RowGroup& group, const Row& row,
                       const Weights& weights, const Output& output) {
#if STORAGE_BITS == 16
    // All vectors (of a module that knows them) at first without a branch: few threads need one.
    constexpr int TOGETHER = VECTORS > 0 ? VECTORS : 1;
    FastWeights fast(weights);
    for (int m = 0; m < vectors; m += TOGETHER) {
        Vector result[TOGETHER];
        Word unsure = fast.possible ? 0 : 1;
        UNROLL
        for (int i = 0; i < TOGETHER; ++i) {
            int w = (m + i) * group.lanes + group.lane;
            Vector bits;
            result[i] = fast_vector(fast, row.kept_floats(m + i, w, 0),
                                    row.kept_floats(m + i, w, 1), bits);
            unsure |= bits.word[0] | bits.word[1] | bits.word[2] | bits.word[3];
        }
        if (unsure) {
            UNROLL
            for (int i = 0; i < TOGETHER; ++i) {
                int w = (m + i) * group.lanes + group.lane;
                result[i] = sure_vector(weights, fast, row.vector(m + i, w),
                                        row.kept_floats(m + i, w, 0),
                                        row.kept_floats(m + i, w, 1));
            }
        }
        UNROLL
        for (int i = 0; i < TOGETHER; ++i) {
            output.store((m + i) * group.lanes + group.lane, result[i]);
        }
    }
#else
    UNROLL_VECTORS
    for (int m = 0, w = group.lane; m < vectors; ++m, w += group.lanes) {
        double result[PER_VECTOR];
        UNROLL
        for (int i = 0; i < PER_VECTOR; ++i) {
            result[i] = row.kept_double(m, w, i) * weights.factor;
        }
        output.store(w, rounded(result));
    }
#endif
}

#if PARTS > 0

// One row of each group, from its logits, which `row` has, to its weights.
template <typename Row>
DEVICE void evaluate_rows(const Call& call, RowGroup& group, const Regions& regions,
                          const Span& span, Row& row, const Given& given, bool kept,
                          long long first_row) {
    int vectors = vectors_of(call);
    long long index = first_row + group.slot;
    Extrema extrema;
    extrema.see(group, vectors, row, nullptr);
    extrema.across(group);
    RowFacts facts(call, given, extrema);
    double total[1] = {1.0};
    if (facts.invalid) {
        // Its entries are not evaluated.
    } else if (kept) {
        total[0] = facts.all ? sum_of_vectors<true, true>(vectors, group, row, facts)
                             : sum_of_vectors<true, false>(vectors, group, row, facts);
    } else {
        total[0] = facts.all ? sum_of_vectors<false, true>(vectors, group, row, facts)
                             : sum_of_vectors<false, false>(vectors, group, row, facts);
    }
    group.sum(total);

    Output output(call, regions, span, index);
    Weights weights(facts, total[0]);
    if (facts.invalid) {
        write_invalid(group, vectors, row, output);
    } else if (kept) {
        write_kept(vectors, group, row, weights, output);
    } else if (facts.all) {
        write_again<true>(vectors, group, row, weights, output);
    } else {
        write_again<false>(vectors, group, row, weights, output);
    }
    store_entries(call, group, regions, span, first_row);
}

DEVICE void rows_on_chip(const Call& call, int rank) {
    RowGroup group(call, rank);
    Regions regions(call, group);
    Span span(call, group);
    long long first_row = block_index() / PARTS * call.rows_per_block;
    long long index = first_row + group.slot;
#if IS_HELD
    HeldWeights row(call, group, span, index);
    Given given = given_for(call, index);
    evaluate_rows(call, group, regions, span, row, given, true, first_row);
#else
    bool meet = start_rows(call, group, regions, span, first_row);
    Given given = given_for(call, index);
    finish_rows(meet);
    apply_mask(call, group, regions, span, index);
    SharedWeights row(regions);
    evaluate_rows(call, group, regions, span, row, given, call.kept != 0, first_row);
#endif
}

#endif

#endif
