// Split rows: a part by itself, the row's sums from its parts, and a part of the results.

#if !WIDE && !GRADIENTS && PARTS == 0

DEVICE PartSums sums_of_part(const Call& call, const RowGroup& group, const Regions& regions,
                             const RowFacts& facts) {
    PartSums sums;
    sums.value[TOTAL] = sum_of_vectors<false, false>(call, group, regions, facts);
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
                       const RowFacts& facts, const PartSums& sums, const Output& output) {
    if (facts.invalid) {
        write_invalid(group, vectors_of(call), regions.row(0), output);
    } else {
        write_again(call, group, regions, Weights(facts, sums.value[TOTAL]), output);
    }
}

#endif
