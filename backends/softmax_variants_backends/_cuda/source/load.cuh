// Rows between global and shared memory.
//
// In shared memory a part of a row is contiguous, 16-byte vector w of it belongs to lane
// w % lanes: each thread computes on its own vectors only. Where rows are aligned they are copied
// there 16 bytes at a time by the lane that owns them; else entry by entry, by all threads in the
// order of global memory (entries of a row, or neighbouring rows, first), so that accesses coalesce.
// Entries beyond the row's end and masked ones are stored as -inf: absent.

// Offset of a row, in elements.
DEVICE_CALL long long offset_on_axes(const Call& call, const long long* strides, long long row) {
    long long offset = 0;
#pragma unroll 1
    for (int axis = static_cast<int>(call.axes) - 1; axis > 0; --axis) {
        long long size = call.sizes[axis], rest;
        // A division of 32 bits takes a fifth of the time.
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

// Where the rows of a block are in shared memory, region after region.
struct Regions {
    long long vectors;      // of one row or part, lanes * call.vectors
    Vector* first;          // of this thread's row
    long long region;       // vectors of all rows of a block

    DEVICE Regions(const Call& call, const RowGroup& group)
        : vectors(call.vectors * call.lanes),
          first(reinterpret_cast<Vector*>(shared_memory() + SCRATCH_BYTES) + group.slot * vectors),
          region(call.rows_per_block * vectors) {}

    // This thread's row in a region.
    DEVICE Vector* row(int which) const { return first + which * region; }
};

// How many entries of the part there are, and which is the first.
struct Span {
    long long start;
    int count;
    int whole;   // vectors of nothing but entries

    DEVICE Span(const Call& call, const RowGroup& group, bool exists) {
        start = group.part * call.part_length;
        long long left = call.length - start;
        left = !exists || left < 0 ? 0 : left < call.part_length ? left : call.part_length;
        count = static_cast<int>(left);
        whole = count / PER_VECTOR;
    }
};

// Copy this thread's vectors of a row into a region; `fill` stands beyond its end.
DEVICE void load_own_vectors(const Call& call, const RowGroup& group, const Bits* row,
                             const Span& span, Vector* target, Bits fill) {
    const Vector* source = reinterpret_cast<const Vector*>(row + span.start);
    int vectors = static_cast<int>(call.vectors);
#pragma unroll 4
    for (int m = 0; m < vectors; ++m) {
        int w = m * group.lanes + group.lane;
        if (w < span.whole) {
            start_copy(target + w, source + w);
        } else {
            const Bits* entry = row + span.start + w * PER_VECTOR;
            int left = span.count - w * PER_VECTOR;
            Entries entries;
            UNROLL
            for (int i = 0; i < PER_VECTOR; ++i) entries.bits[i] = i < left ? entry[i] : fill;
            target[w] = entries.vector;
        }
    }
}

// The same entry by entry; for x, masked entries become `fill`.
DEVICE void load_entries(const Call& call, const RowGroup& group, const Bits* data,
                         const long long (&strides)[MAX_AXES], long long step, bool rows_first,
                         const unsigned char* mask, long long first_row, Vector* region,
                         const Regions& regions, Bits fill) {
    int rows = static_cast<int>(call.rows_per_block);
    int slot = rows_first ? thread_index() & (rows - 1) : group.slot;
    int begin = rows_first ? thread_index() / rows : group.lane;
    int threads = rows_first ? block_threads() / rows : group.lanes;
    long long row = first_row + slot;
    Span span(call, group, row < call.rows);
    int length = static_cast<int>(regions.vectors) * PER_VECTOR;
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

// Bring x, and dy unless null, to regions 0 and 1. On return each thread may read its own vectors.
// The mask is applied to x; if rows are copied as vectors, by `apply_mask` afterwards.
DEVICE void load_rows(const Call& call, const RowGroup& group, const Regions& regions,
                      long long first_row, const void* x, const void* dy) {
    long long row = first_row + group.slot;
    bool exists = row < call.rows;
    Span span(call, group, exists);
    Vector* block_first = regions.first - group.slot * regions.vectors;
    bool meet = false;
    if (call.x_vector) {
        long long offset = exists ? row_offset(call, call.x_strides, row) : 0;
        load_own_vectors(call, group, static_cast<const Bits*>(x) + offset, span, regions.row(0),
                         STORAGE::MINUS_INFINITY);
    } else {
        load_entries(call, group, static_cast<const Bits*>(x), call.x_strides, call.x_step,
                     call.x_rows_first != 0, call.mask, first_row, block_first, regions,
                     STORAGE::MINUS_INFINITY);
        meet = true;
    }
    if (dy != nullptr) {
        if (call.dy_vector) {
            long long offset = exists ? row_offset(call, call.dy_strides, row) : 0;
            load_own_vectors(call, group, static_cast<const Bits*>(dy) + offset, span,
                             regions.row(1), 0);
        } else {
            load_entries(call, group, static_cast<const Bits*>(dy), call.dy_strides, call.dy_step,
                         call.dy_rows_first != 0, nullptr, first_row,
                         block_first + regions.region, regions, 0);
            meet = true;
        }
    }
    wait_for_copies();
    if (meet) block_sync();
}

// Set the masked entries of this thread's vectors of x to -inf, where load_entries has not.
DEVICE void apply_mask(const Call& call, const RowGroup& group, const Regions& regions,
                       long long row) {
    if (call.mask == nullptr || !call.x_vector || row >= call.rows) return;
    Span span(call, group, true);
    const unsigned char* mask = call.mask + row_offset(call, call.mask_strides, row) +
                                span.start * call.mask_step;
    Bits* x = reinterpret_cast<Bits*>(regions.row(0));
    for (int m = 0; m < static_cast<int>(call.vectors); ++m) {
        int j = (m * group.lanes + group.lane) * PER_VECTOR;
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
                if (!present.byte[i]) x[j + i] = STORAGE::MINUS_INFINITY;
            }
        } else {
            UNROLL
            for (int i = 0; i < PER_VECTOR; ++i) {
                if (j + i < span.count && !mask[(j + i) * call.mask_step]) {
                    x[j + i] = STORAGE::MINUS_INFINITY;
                }
            }
        }
    }
}

// Write one of this thread's vectors of results: to global memory, or back to region 0, from where
// store_entries takes them. `row` is null in the latter case.
DEVICE void store_vector(Bits* row, const Span& span, int w, Vector* region,
                         const Vector& value) {
    if (row == nullptr) {
        region[w] = value;
    } else if (w < span.whole) {
        reinterpret_cast<Vector*>(row)[w] = value;
    } else {
        Entries entries;
        entries.vector = value;
        UNROLL
        for (int i = 0; i < PER_VECTOR; ++i) {
            if (w * PER_VECTOR + i < span.count) row[w * PER_VECTOR + i] = entries.bits[i];
        }
    }
}

// Where store_vector writes this thread's row.
DEVICE Bits* output_row(const Call& call, const Span& span, long long row) {
    if (!call.out_vector) return nullptr;
    // A row that does not exist has no entries to write.
    long long offset = row < call.rows ? row_offset(call, call.out_strides, row) : 0;
    return static_cast<Bits*>(call.out) + offset + span.start;
}

// Write the results of a block in the order of global memory.
DEVICE void store_entries(const Call& call, const RowGroup& group, const Regions& regions,
                          long long first_row) {
    if (call.out_vector) return;
    block_sync();
    int rows = static_cast<int>(call.rows_per_block);
    bool rows_first = call.out_rows_first != 0;
    int slot = rows_first ? thread_index() & (rows - 1) : group.slot;
    int begin = rows_first ? thread_index() / rows : group.lane;
    int threads = rows_first ? block_threads() / rows : group.lanes;
    long long row = first_row + slot;
    Span span(call, group, row < call.rows);
    if (span.count == 0) return;
    const Vector* block_first = regions.first - group.slot * regions.vectors;
    const Bits* source = reinterpret_cast<const Bits*>(block_first + slot * regions.vectors);
    Bits* target = static_cast<Bits*>(call.out) + row_offset(call, call.out_strides, row) +
                   span.start * call.out_step;
#pragma unroll 4
    for (int j = begin; j < span.count; j += threads) target[j * call.out_step] = source[j];
}
