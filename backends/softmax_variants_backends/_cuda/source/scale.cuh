// SSMax's scale c = s ln n + b of a row.

// Element `offset` of an array of one of the TYPE_..., exactly.
DEVICE_CALL Words read_number(const void* data, long long type, long long offset) {
    long long integer;
    switch (type) {
        case TYPE_FLOAT16:
            return {float_of_half(static_cast<const unsigned short*>(data)[offset]), 0.0};
        case TYPE_BFLOAT16:
            return {float_of_bfloat(static_cast<const unsigned short*>(data)[offset]), 0.0};
        case TYPE_FLOAT32: return {static_cast<const float*>(data)[offset], 0.0};
        case TYPE_FLOAT64: return {static_cast<const double*>(data)[offset], 0.0};
        case TYPE_INT8: integer = static_cast<const signed char*>(data)[offset]; break;
        case TYPE_INT16: integer = static_cast<const short*>(data)[offset]; break;
        case TYPE_INT32: integer = static_cast<const int*>(data)[offset]; break;
        case TYPE_UINT8: integer = static_cast<const unsigned char*>(data)[offset]; break;
        case TYPE_UINT16: integer = static_cast<const unsigned short*>(data)[offset]; break;
        case TYPE_UINT32: integer = static_cast<const Word*>(data)[offset]; break;
        case TYPE_INT64: integer = static_cast<const long long*>(data)[offset]; break;
        default: {   // TYPE_UINT64
            unsigned long long bits = static_cast<const unsigned long long*>(data)[offset];
            return fast_two_sum(static_cast<double>(static_cast<Word>(bits >> 32)) * 0x1p32,
                                static_cast<double>(static_cast<Word>(bits)));
        }
    }
    // Each half is exact, and binary64 holds not all of 64 bits.
    return fast_two_sum(static_cast<double>(static_cast<int>(integer >> 32)) * 0x1p32,
                        static_cast<double>(static_cast<Word>(integer)));
}

// What c is made of. Where `invalid`, the row's present weights are NaN, and s, b, ln n are 0.
struct Parameters {
    double s, b;
    Words log_n;
    bool invalid;
};

// s, b and n as they are given for a row. Read early: others wait for memory meanwhile.
struct Given {
    double s, b;
    Words n;

    DEVICE Given() : s(0.0), b(0.0), n{0.0, 0.0} {}
    DEVICE Given(const Call& call, long long row)
        : s(call.s_value), b(call.b_value), n{0.0, 0.0} {
        // s and b are of floating types: one word.
        if (call.s_from == FROM_ARRAY) {
            s = read_number(call.s, call.s_type, row_offset(call, call.s_strides, row)).high;
        }
        if (call.b_from == FROM_ARRAY) {
            b = read_number(call.b, call.b_type, row_offset(call, call.b_strides, row)).high;
        }
        if (call.n_from == FROM_ARRAY) {
            n = read_number(call.n, call.n_type, row_offset(call, call.n_strides, row));
        }
    }
};

// Those of a row with `count` >= 1 present entries.
DEVICE Parameters parameters_of_row(const Call& call, const Given& given, long long count) {
    Parameters found = {given.s, given.b, {call.log_length[0], call.log_length[1]}, false};
    found.invalid = !(fabs(found.s) < INFINITY_DOUBLE && fabs(found.b) < INFINITY_DOUBLE);
    // The host knows the logarithms of a number n and of the length.
    bool known = call.n_from == FROM_NUMBER || (call.n_from == FROM_COUNT && count == call.length);
    if (!known) {
        Words n = given.n;
        if (call.n_from == FROM_COUNT) n = {static_cast<double>(count), 0.0};   // exact
        bool usable = n.high > 0.0 && n.high < INFINITY_DOUBLE;
        found.invalid = found.invalid || !usable;
        if (usable) found.log_n = logarithm(n);
    }
    return found.invalid ? Parameters{0.0, 0.0, {0.0, 0.0}, true} : found;
}

struct Scale {
    Words c, log_n;
    bool invalid;
};

// c of a row with `count` >= 1 present entries, for logits up to 32 bits.
//
// It may cancel: in two words it has a relative error below 2^-80 (|s| ln n + |b|)/|c|. Where terms
// below 2^-960 lose their low words, c times a logit is below 2^-800, and so is what it changes.
// Terms that overflow make the row invalid, as a c that does.
DEVICE Scale scale_of_row(const Call& call, const Given& given, long long count) {
    Parameters found = parameters_of_row(call, given, count);
    Words c = add(multiply(found.log_n, found.s), found.b);
    bool finite = fabs(c.high) < INFINITY_DOUBLE;
    if (!finite) c = {0.0, 0.0};
    return {c, found.log_n, found.invalid || !finite};
}
