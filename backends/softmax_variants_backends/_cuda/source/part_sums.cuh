// What a part of a split row, or the whole of it, is known by between kernels.

#if !WIDE

constexpr int RECORD_DOUBLES = 8;
#define TOTAL 0

struct PartSums {
    double value[5] = {0.0, 0.0, 0.0, 0.0, 0.0};   // sum of e first; see split_*.cuh
};

struct Record {
    Extrema extrema;
    PartSums sums;

    DEVICE void store(double* record) const {
        record[0] = from_words(bits_of(extrema.largest), bits_of(extrema.smallest));
        record[1] = static_cast<double>(extrema.count);
        UNROLL
        for (int i = 0; i < 5; ++i) record[2 + i] = sums.value[i];
    }

    DEVICE static Record load(const double* record) {
        Record found;
        found.extrema.largest = from_bits(high_word(record[0]));
        found.extrema.smallest = from_bits(low_word(record[0]));
        found.extrema.count = static_cast<int>(record[1]);
        UNROLL
        for (int i = 0; i < 5; ++i) found.sums.value[i] = record[2 + i];
        return found;
    }
};

#endif
