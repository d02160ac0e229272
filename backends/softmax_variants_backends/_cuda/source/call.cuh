// What every kernel takes: one call of a function of the family, by value.
//
// _call.py packs the same fields in the same order; all have 8 bytes. Strides count elements of the
// array's own type; "axes" are what is left of the row's index after merging, the last one running
// fastest.

constexpr int MAX_AXES = 8;

// Modules for rows of whole vectors, as many for every lane, know the numbers of lanes and vectors:
// -DLANES and -DVECTORS. In the others these are 0, and the call's count.

// Functions of the family, as -DFUNCTION names them.
#define SOFTMAX 1
#define SSMAX 2
#define SA_SOFTMAX 3

// Where s, b and n come from.
#define FROM_NUMBER 0   // s_value, b_value; for n: log_length
#define FROM_ARRAY 1    // read from the array, whose type is s_type, b_type, n_type
#define FROM_COUNT 2    // n only: the number of present entries

// Types of s, b and n in memory.
#define TYPE_FLOAT16 0
#define TYPE_BFLOAT16 1
#define TYPE_FLOAT32 2
#define TYPE_FLOAT64 3
#define TYPE_INT8 4
#define TYPE_INT16 5
#define TYPE_INT32 6
#define TYPE_INT64 7
#define TYPE_UINT8 8
#define TYPE_UINT16 9
#define TYPE_UINT32 10
#define TYPE_UINT64 11

#define FORM_PLAIN 0
#define FORM_SHIFTED 1
#define FORM_MINMAX 2
#define FORM_NORMALIZED 3

struct Call {
    // New at every call.
    const void* x;
    const void* dy;             // gradients only
    void* out;                  // weights or dx
    const unsigned char* mask;  // null: all entries are present unless -inf
    const void* s;
    const void* b;
    const void* n;
    double* terms;              // gradients of SSMax: per row the terms of ds and of db
    double* records;            // split rows: what each part found
    double s_value;
    double b_value;
    double log_length[2];       // ln n in two words: of the number n, or of the length of a row
    // The same for every call with arrays of the same shapes and strides.
    long long s_from, b_from, n_from;
    long long s_type, b_type, n_type;
    long long form, detach_extrema;
    long long stage;            // split rows: 0, or 1 where parts are summed again (see split.cuh)
    long long rows, length, axes;
    long long lanes;            // threads that share a row (or its part), a power of two
    long long rows_per_block;   // a power of two
    long long parts;            // blocks that share a row
    long long part_length;      // entries of a part, a multiple of the entries of 16 bytes
    long long vectors;          // 16-byte vectors of a part for each lane
    long long on_chip;          // 1: rows are kept in shared memory; 0: read again (Double only)
    long long kept;             // 1: so are exponentials; 0: they are evaluated again
    long long x_vector, dy_vector, out_vector, mask_vector;    // 1: 16-byte accesses (mask: whole
                                                               // vectors), rows are aligned for it
    long long x_rows_first, dy_rows_first, out_rows_first;     // 1: neighbouring rows are next to
                                                               // each other in memory, not entries
    long long x_step, dy_step, out_step, mask_step;            // strides along the row
    long long sizes[MAX_AXES];
    long long x_strides[MAX_AXES], dy_strides[MAX_AXES], out_strides[MAX_AXES];
    long long mask_strides[MAX_AXES];
    long long s_strides[MAX_AXES], b_strides[MAX_AXES], n_strides[MAX_AXES];
};

// A sum over rows: the gradient of s or of b, or a first stage of it.
struct SumCall {
    const double* terms;        // high words of the rows' terms, or of an earlier stage's sums
    void* out;
    long long out_type;         // of the parameter; FLOAT64 for an earlier stage
    long long low;              // how far the low words are behind the high ones, in doubles; or 0
    long long out_low;          // the same in out: of an earlier stage, whose sums have two words
    long long elements;         // of the parameter
    long long terms_each;       // terms that one element sums
    long long chunk;            // terms of a partial sum; chunks * chunk >= terms_each
    long long chunks;           // out has elements * chunks entries
    long long lanes;            // threads that share a partial sum, a power of two
    long long blocks;
    long long kept_axes, summed_axes;
    long long kept_sizes[MAX_AXES], kept_strides[MAX_AXES];       // element -> its first term
    long long summed_sizes[MAX_AXES], summed_strides[MAX_AXES];   // term -> offset from it
};

// Both at once: the first blocks are those of ds.
struct SumCalls {
    SumCall ds, db;
};
