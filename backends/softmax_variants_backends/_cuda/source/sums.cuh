// Gradients of s and b: sums of the rows' terms, in an order that the call fixes, without atomics.
//
// A thread adds every lanes-th term of its chunk, a butterfly adds the lanes of a warp, and the
// warps follow in order. Every sum has two words: the high one is the plain sum, NaN and infinities
// included, the low one sums its rounding errors. In one chunk no path through the tree has more
// than 300 additions: the error is below 2^-90 of the sum of magnitudes.

constexpr int SUM_THREADS = 256;

struct TermSum {
    double high, low;

    DEVICE void add(double other, double other_low) {
        double total = high + other;
        double part = total - high;
        low += ((high - (total - part)) + (other - part)) + other_low;
        high = total;
    }
};

// Where an element or a term is: its number, in axes of the last one fastest, to an offset.
DEVICE long long term_offset(long long axes, const long long (&sizes)[MAX_AXES],
                             const long long (&strides)[MAX_AXES], long long number) {
    long long offset = 0;
    for (int axis = static_cast<int>(axes) - 1; axis > 0; --axis) {
        long long rest = number / sizes[axis];
        offset += (number - rest * sizes[axis]) * strides[axis];
        number = rest;
    }
    return offset + number * strides[0];
}

// Two words as one that rounds to fewer bits as their sum would: if it is not exact, its last bit
// is set (round to odd; it has more than the two bits beyond those of binary32 that this needs).
DEVICE double odd_double(double high, double low) {
    double total = high + low;
    double error = low - (total - high);
    if (error == 0.0 || (low_word(total) & 1) != 0) return total;
    // One towards the error, in the order of magnitudes.
    bool up = (error > 0.0) == (total > 0.0);
    int last = low_word(total), first = high_word(total);
    if (up) return from_words(first, last + 1);
    return last == 0 ? from_words(first - 1, -1) : from_words(first, last - 1);
}

DEVICE void store_sum(void* out, long long type, long long index, const TermSum& sum) {
    // An infinite or NaN sum has no low word.
    bool finite = sum.high - sum.high == 0.0;
    double low = finite ? sum.low : 0.0;
    if (type == TYPE_FLOAT64) {
        static_cast<double*>(out)[index] = sum.high + low;
        return;
    }
    double odd = finite ? odd_double(sum.high, low) : sum.high;
    if (type == TYPE_FLOAT32) {
        static_cast<float*>(out)[index] = round_to_float(odd);
        return;
    }
    // To 16 bits by a float that is cut off, its last bit set if anything was.
    float cut = truncate_to_float(odd);
    if (finite && static_cast<double>(cut) != odd) cut = from_bits(bits_of(cut) | 1u);
    Word bits = type == TYPE_FLOAT16 ? pack_halves(cut, 0.0f) : pack_bfloats(cut, 0.0f);
    static_cast<unsigned short*>(out)[index] = static_cast<unsigned short>(bits & 0xffffu);
}

DEVICE void sum_chunk(const SumCall& call, long long block) {
    int lanes = static_cast<int>(call.lanes);
    int lane = thread_index() & (lanes - 1), slot = thread_index() / lanes;
    long long index = block * (SUM_THREADS / lanes) + slot;
    bool exists = index < call.elements * call.chunks;
    TermSum sum = {0.0, 0.0};
    if (exists) {
        long long element = index / call.chunks, chunk = index - element * call.chunks;
        long long left = call.terms_each - chunk * call.chunk;
        long long count = left < call.chunk ? left : call.chunk;
        const double* first = call.terms + term_offset(call.kept_axes, call.kept_sizes,
                                                       call.kept_strides, element);
        for (long long i = lane; i < count; i += lanes) {
            const double* term = first + term_offset(call.summed_axes, call.summed_sizes,
                                                     call.summed_strides, chunk * call.chunk + i);
            sum.add(term[0], call.low == 0 ? 0.0 : term[call.low]);
        }
    }
    for (int mask = 16; mask > 0; mask >>= 1) {
        double high = exchange(sum.high, mask), low = exchange(sum.low, mask);
        if (mask < lanes) sum.add(high, low);
    }
    if (lanes > 32) {
        double* shared = reinterpret_cast<double*>(shared_memory());
        int warp = thread_index() >> 5, warps = lanes >> 5;
        if ((thread_index() & 31) == 0) {
            shared[2 * warp] = sum.high;
            shared[2 * warp + 1] = sum.low;
        }
        block_sync();
        for (int other = 1; lane == 0 && other < warps; ++other) {
            sum.add(shared[2 * (warp + other)], shared[2 * (warp + other) + 1]);
        }
    }
    if (!exists || lane != 0) return;
    if (call.out_low == 0) {
        store_sum(call.out, call.out_type, index, sum);
        return;
    }
    double* out = static_cast<double*>(call.out);
    out[index] = sum.high;
    out[index + call.out_low] = sum.low;
}

KERNEL sum_terms(CALL_ARGUMENT(SumCalls) calls) {
    long long block = block_index();
    if (block < calls.ds.blocks) {
        sum_chunk(calls.ds, block);
    } else {
        sum_chunk(calls.db, block - calls.ds.blocks);
    }
}
