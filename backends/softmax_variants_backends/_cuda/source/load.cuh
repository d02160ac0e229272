// Rows between global and shared memory.
//
// In shared memory a part of a row is contiguous, 16-byte vector w of it belongs to lane w % lanes:
// each thread computes on its own vectors only. Where rows are aligned they are copied there 16
// bytes at a time by the lane that owns them; else entry by entry, by all threads in the order of
// global memory (entries of a row, or neighbouring rows, first), so that accesses coalesce. Entries
// beyond the row's end and masked ones are stored as -inf: absent.

// Offset of a row, in elements.
DEVICE_CALL long long offset_on_axes(const Call& call, const long long* strides, long long row) {
    long long offset = 0;
#pragma unroll 1
    for (int axis = static_cast<int>(call.axes) - 1; axis > 0; --axis) {
        long long size = call.sizes[axis], rest;
        // A division of 32 bits takes far fewer instructions.
        if ((row | size) >> 31 == 0) {
            rest = static_cast<Word>(row) / static_cast<Word>(size);
        } else {
            rest = row / size;
        }
        offset += (row - rest * size) * strides[axis];
        row = rest;
    }
    return offset + row * strides[0];
}

DEVICE long long row_offset(const Call& call, const long long (&strides)[MAX_AXES],
                            long long row) {
    return call.axes == 1 ? row * strides[0] : offset_on_axes(call, strides, row);
}

// Where the rows of a block are in shared memory, region after region: x, for gradients dy, then
// what is kept of them.
struct Regions {
    int vectors;     // of one row or part, lanes * call.vectors
    int region;      // vectors of all rows of a block
    Vector* first;   // of this thread's row

    DEVICE Regions(const Call& call, const RowGroup& group)
        : vectors(vectors_of(call) * group.lanes),
          region(static_cast<int>(call.rows_per_block) * vectors),
          first(reinterpret_cast<Vector*>(shared_memory() + SCRATCH_BYTES) +
                group.slot * vectors) {}

    // This thread's row of x (0) and of dy (1), and of what is kept.
    DEVICE Vector* row(int which) const { return first + which * region; }
    DEVICE Vector* kept(int which) const {
        // Modules that know their rows keep floats of 16-bit weights in the place of the logits,
        // and once more.
        bool in_place = WHOLE && STORAGE_BITS == 16 && !GRADIENTS;
        return row(1 + GRADIENTS + which - (in_place ? 1 : 0));
    }
};

// How many entries of the part there are, and which is the first.
struct Span {
    long long start;
    int count;
    int whole;   // vectors of nothing but entries

    DEVICE Span(const Call& call, const RowGroup& group) {
        start = group.part * call.part_length;
        long long left = call.length - start;
        left = left < 0 ? 0 : left < call.part_length ? left : call.part_length;
        count = static_cast<int>(left);
        whole = count / PER_VECTOR;
    }
    // Of a row that may be none.
    DEVICE Span(const Span& span, bool exists)
        : start(span.start), count(exists ? span.count : 0), whole(exists ? span.whole : 0) {}
};

// A vector that is not whole, or lies beyond the row's end.
DEVICE_CALL void load_tail(const Bits* row, int left, Vector* target, Bits fill) {
    Entries entries;
#pragma unroll 1
    for (int i = 0; i < PER_VECTOR; ++i) entries.bits[i] = i < left ? row[i] : fill;
    *target = entries.vector;
}

// Copy this thread's vectors of a row into a region; `fill` stands beyond its end.
DEVICE void load_own_vectors(const Call& call, const RowGroup& group, const Bits* row,
                             const Span& span, Vector* target, Bits fill) {
    const Vector* source = reinterpret_cast<const Vector*>(row + span.start) + group.lane;
    int vectors = vectors_of(call), w = group.lane;
    if (WHOLE ? span.count > 0 : vectors * group.lanes <= span.whole) {
        UNROLL_VECTORS
        for (int m = 0; m < vectors; ++m, w += group.lanes, source += group.lanes) {
            start_copy(target + w, source);
        }
        return;
    }
#pragma unroll 1
    for (int m = 0; m < vectors; ++m, w += group.lanes, source += group.lanes) {
        if (w < span.whole) {
            start_copy(target + w, source);
        } else {
            load_tail(row + span.start + w * PER_VECTOR, span.count - w * PER_VECTOR, target + w,
                      fill);
        }
    }
}

// The same entry by entry; for x, masked entries become `fill`.
DEVICE void load_entries(const Call& call, const RowGroup& group, const Bits* data,
                         const long long (&strides)[MAX_AXES], long long step, bool rows_first,
                         const unsigned char* mask, long long first_row, const Span& row_span,
                         Vector* region, const Regions& regions, Bits fill) {
    int rows = static_cast<int>(call.rows_per_block);
    int slot = rows_first ? thread_index() & (rows - 1) : group.slot;
    int begin = rows_first ? thread_index() / rows : group.lane;
    int threads = rows_first ? block_threads() / rows : group.lanes;
    long long row = first_row + slot;
    Span span(row_span, row < call.rows);
    int length = regions.vectors * PER_VECTOR;
    Bits* target = reinterpret_cast<Bits*>(region + slot * regions.vectors);
    if (span.count > 0) {
        const Bits* source = data + row_offset(call, strides, row) + span.start * step;
        if (mask != nullptr) {
            mask += row_offset(call, call.mask_strides, row) + span.start * call.mask_step;
#pragma unroll 4
            for (int j = begin; j < span.count; j += threads) {
                target[j] = mask[j * call.mask_step] ? source[j * step] : fill;
            }
        } else {
#pragma unroll 8
            for (int j = begin; j < span.count; j += threads) target[j] = source[j * step];
        }
    }
    for (int j = span.count + begin; j < length; j += threads) target[j] = fill;
}

// Start bringing x, and dy for gradients, to their regions. Returns whether the block has to meet
// before they are read. The mask is applied to x; if rows are copied as vectors, by `apply_mask`
// afterwards.
DEVICE bool start_rows(const Call& call, const RowGroup& group, const Regions& regions,
                       const Span& row_span, long long first_row) {
    long long row = first_row + group.slot;
    bool exists = row < call.rows;
    Span span(row_span, exists);
    int others = group.slot * regions.vectors;
    if (WHOLE || call.x_vector) {
        long long offset = exists ? row_offset(call, call.x_strides, row) : 0;
        load_own_vectors(call, group, static_cast<const Bits*>(call.x) + offset, span,
                         regions.row(0), STORAGE::MINUS_INFINITY);
    } else {
        load_entries(call, group, static_cast<const Bits*>(call.x), call.x_strides, call.x_step,
                     call.x_rows_first != 0, call.mask, first_row, row_span,
                     regions.row(0) - others, regions, STORAGE::MINUS_INFINITY);
    }
#if GRADIENTS
    if (WHOLE || call.dy_vector) {
        long long offset = exists ? row_offset(call, call.dy_strides, row) : 0;
        load_own_vectors(call, group, static_cast<const Bits*>(call.dy) + offset, span,
                         regions.row(1), 0);
    } else {
        load_entries(call, group, static_cast<const Bits*>(call.dy), call.dy_strides,
                     call.dy_step, call.dy_rows_first != 0, nullptr, first_row, row_span,
                     regions.row(1) - others, regions, 0);
    }
    return !WHOLE && !(call.x_vector && call.dy_vector);
#else
    return !WHOLE && !call.x_vector;
#endif
}

// Wait for what start_rows started: each thread may then read its own vectors.
DEVICE void finish_rows(bool meet) {
    wait_for_copies();
    if (meet) block_sync();
}

// Set the masked entries of a vector, which begins with entry j of the part, to -inf.
DEVICE void mask_vector(const Call& call, const Span& span, const unsigned char* mask, int j,
                        Vector& vector) {
    Entries entries;
    entries.vector = vector;
    if (call.mask_vector && j + PER_VECTOR <= span.count) {
        union {
            Word word[4];
            unsigned char byte[16];
        } present;
        const Word* words = reinterpret_cast<const Word*>(mask + j);
        // PER_VECTOR is 4 or 8, or 2: then half a word is read.
        if (PER_VECTOR >= 4) {
            UNROLL
            for (int k = 0; k < PER_VECTOR / 4; ++k) present.word[k] = words[k];
        } else {
            present.word[0] = *reinterpret_cast<const unsigned short*>(mask + j);
        }
        UNROLL
        for (int i = 0; i < PER_VECTOR; ++i) {
            if (!present.byte[i]) entries.bits[i] = STORAGE::MINUS_INFINITY;
        }
    } else {
        UNROLL
        for (int i = 0; i < PER_VECTOR; ++i) {
            if (j + i < span.count && !mask[(j + i) * call.mask_step]) {
                entries.bits[i] = STORAGE::MINUS_INFINITY;
            }
        }
    }
    vector = entries.vector;
}

DEVICE const unsigned char* mask_of_part(const Call& call, const Span& span, long long row) {
    return call.mask + row_offset(call, call.mask_strides, row) + span.start * call.mask_step;
}

// Set the masked entries of this thread's vectors of x to -inf, where load_entries has not.
DEVICE void apply_mask(const Call& call, const RowGroup& group, const Regions& regions,
                       const Span& span, long long row) {
    if (call.mask == nullptr || !(WHOLE || call.x_vector) || row >= call.rows) return;
    const unsigned char* mask = mask_of_part(call, span, row);
    int vectors = vectors_of(call);
#pragma unroll 1
    for (int m = 0, w = group.lane; m < vectors; ++m, w += group.lanes) {
        mask_vector(call, span, mask, w * PER_VECTOR, regions.row(0)[w]);
    }
}

// A vector of results that is not whole, or goes to shared memory.
DEVICE_CALL void store_rest(Bits* row, Vector* region, int count, int w, Vector value) {
    if (row == nullptr) {
        if (region != nullptr) region[w] = value;
        return;
    }
    Entries entries;
    entries.vector = value;
    int left = count - w * PER_VECTOR;
#pragma unroll 1
    for (int i = 0; i < PER_VECTOR; ++i) {
        if (i < left) row[w * PER_VECTOR + i] = entries.bits[i];
    }
}

// Where this thread writes its vectors of results: to global memory, or where that is not to be
// accessed 16 bytes at a time, back to region 0, from where store_entries takes them.
struct Output {
    Bits* row;        // of the part; null in the latter case, and of rows that do not exist
    Vector* region;   // null in the former case
    int count;        // entries of the part
    int direct;       // vectors that can be written as they are

    DEVICE Output(const Call& call, const Regions& regions, const Span& span, long long index)
        : row(nullptr), region(WHOLE || call.out_vector ? nullptr : regions.row(0)), count(0),
          direct(0) {
        if (!(WHOLE || call.out_vector) || index >= call.rows) return;
        row = static_cast<Bits*>(call.out) + row_offset(call, call.out_strides, index) +
              span.start;
        count = span.count;
        direct = span.whole;
    }

    DEVICE void store(int w, const Vector& value) const {
        if (WHOLE ? row != nullptr : w < direct) {
            reinterpret_cast<Vector*>(row)[w] = value;
        } else if (!WHOLE) {
            store_rest(row, region, count, w, value);
        }
    }

    // Entry i of vector w once more; it is one of the row's.
    DEVICE void store_one(int w, int i, Bits value) const {
        if (WHOLE || row != nullptr) {
            row[w * PER_VECTOR + i] = value;
        } else {
            reinterpret_cast<Bits*>(region + w)[i] = value;
        }
    }
};

// Write the results of a block in the order of global memory.
DEVICE void store_entries(const Call& call, const RowGroup& group, const Regions& regions,
                          const Span& row_span, long long first_row) {
    if (WHOLE || call.out_vector) return;
    block_sync();
    int rows = static_cast<int>(call.rows_per_block);
    bool rows_first = call.out_rows_first != 0;
    int slot = rows_first ? thread_index() & (rows - 1) : group.slot;
    int begin = rows_first ? thread_index() / rows : group.lane;
    int threads = rows_first ? block_threads() / rows : group.lanes;
    long long row = first_row + slot;
    Span span(row_span, row < call.rows);
    if (span.count > 0) {
        const Vector* vectors = regions.row(0) + (slot - group.slot) * regions.vectors;
        const Bits* source = reinterpret_cast<const Bits*>(vectors);
        Bits* target = static_cast<Bits*>(call.out) + row_offset(call, call.out_strides, row) +
                       span.start * call.out_step;
#pragma unroll 4
        for (int j = begin; j < span.count; j += threads) target[j * call.out_step] = source[j];
    }
}
