"""Faults of arrays: dtype, device, size, out=, inputs, and bits that depend on the arrangement."""

from __future__ import annotations

from ._broken import Broken

__all__ = ["RESULTS"]

_EVERY_WEIGHT = (
    r"result/zero-size|(special|shape|values|absent|invariance|purity|same-bits|probe)/.*"
)
_EVERY_GRADIENT = (
    r"result/(zero-size|parameter-dtypes)"
    r"|(special|shape|extrema|gradients|absent|invariance|same-bits|probe)/.*"
)

RESULTS = (
    Broken(
        "wrong_dtype",
        "softmax",
        {"result/dtype": r"the result has dtype float64, wants that of x, float32"},
        _EVERY_WEIGHT,
    ),
    *(
        Broken(
            "gradient_dtype",
            function,
            {"result/gradient-dtype": r"dx has dtype float64, wants that of x, float32"},
            _EVERY_GRADIENT,
        )
        for function in ("softmax", "sa_softmax.minmax")
    ),
    Broken(
        "parameter_gradient_dtype",
        "ssmax",
        {"result/gradient-dtype": r"ds has dtype float64, wants that of x, float32"},
        _EVERY_GRADIENT,
    ),
    Broken(
        "parameter_gradient_of_x",
        "ssmax",
        {
            "result/parameter-dtypes": r"ds has dtype float32, wants that of s, float16, "
            r"where x has float32"
        },
    ),
    Broken(
        "rows_poisoned",
        "softmax",
        {
            "invariance/other-rows": r"weights of other rows change where row 1 .* holds NaN",
            "invariance/gradient-other-rows": r"dx of other rows change where row 1 .* holds NaN",
        },
        r"special/(absent-weight|absent-gradient|nan|plus-infinity|non-finite-cotangent)",
    ),
    Broken(
        "other_device",
        "softmax",
        {"result/device": r"the result is on gpu:1, x on cpu"},
    ),
    Broken(
        "zero_size_raises",
        "softmax",
        {"result/zero-size": r"raised ValueError: zero-size array to reduction"},
        r"special/zero-size",
        r"# raised in ",
    ),
    Broken(
        "input_overwritten",
        "softmax",
        {"purity/inputs-kept": r"the call changed its input x"},
    ),
    Broken(
        "cotangent_overwritten",
        "softmax",
        {"purity/gradient-inputs-kept": r"the call changed its input dy"},
    ),
    Broken(
        "out_ignored",
        "softmax",
        {"purity/out": r"the call returns something other than out"},
        r"purity/out-is-x",
    ),
    Broken(
        "out_read_late",
        "softmax",
        {"purity/out-is-x": r"with out=x, as if x were read after it was written"},
    ),
    Broken(
        "batch_dependent",
        "softmax",
        {"same-bits/batch": r"weights have other bits in another batch or at another position"},
    ),
    Broken(
        "layout_dependent",
        "softmax",
        {"same-bits/layout": r"weights have other bits in column-major layout"},
        r"same-bits/axis",
    ),
    Broken(
        "run_dependent",
        "softmax",
        {"same-bits/run": r"weights have other bits on a second run"},
        r"absent/holds-.*|purity/out(-is-x)?|same-bits/.*|invariance/other-rows",
    ),
    Broken(
        "mask_dependent",
        "softmax",
        {"same-bits/mask": r"weights have other bits with (-inf in place of where|where all)"},
    ),
    Broken(
        "parameter_sums_unordered",
        "ssmax",
        {"same-bits/parameter-sums": r"d[sb] has other bits on a second run"},
    ),
)
