"""Faults of softmax's weights and gradients."""

from __future__ import annotations

from ._broken import Broken

__all__ = ["WEIGHTS"]

WEIGHTS = (
    Broken(
        "no_shift",
        "softmax",
        {
            "probe/overflow": r"it is right below 709\.8, from where exp overflows in float64: the "
            r"largest logit is not subtracted before the exponential",
            "invariance/shift": r"logits shifted by 1024: NaN",
            "special/lone-entry": r"however large its logit\. weights\[0\] is nan, must be 1\.0",
            "special/full-range": r"difference overflows are as good as any.*\[0\] is nan, must be",
        },
        r"special/plus-infinity|values/(range-ends|any-finite|powers-of-two)",
        r"result = backend\.softmax\(x, axis=0, where=None, out=None\)",
    ),
    Broken(
        "division_free",
        "softmax",
        {"values/powers-of-two": r"without a division, exp\(x - logsumexp\), misses\. error \d+"},
        r"invariance/shift|values/(large-centre|range-ends|any-finite)",
    ),
    Broken(
        "tail_clipped",
        "softmax",
        {"values/tail": r"a tail that is clipped or cut off shows\. error [\d.e+]+ ULP"},
        r"special/full-range"
        r"|values/(binade-crossing|thresholds|range-ends|any-finite|recorded(-additive-mask)?)",
        r"# got    0x1\.[0-9a-f]+p-87 ",
    ),
    Broken(
        "flushing_undeclared",
        "softmax",
        {"probe/flushing": r"flushes subnormal numbers and does not declare FLUSHES_SUBNORMALS"},
        r"(values|gradients)/(dx\.)?(binade-crossing|thresholds|tail)",
        r"result = backend\.softmax\(",
    ),
    Broken(
        "flushing_declared_only",
        "softmax",
        {"probe/flushing": r"declares FLUSHES_SUBNORMALS = True, but flushes nothing"},
    ),
    Broken(
        "contraction",
        "softmax",
        {
            "probe/contraction": r"it is right where they are powers of two: c x - c M is not 0 at "
            r"the maximum M, as when a compiler contracts it to one fused multiply-add"
        },
        r"special/(lone-entry|full-range)|values/(range-ends|any-finite)",
    ),
    Broken(
        "narrow_sum",
        "softmax",
        {
            "probe/reassociation": r"as if they summed to 1 \(one by one from the large one on\).*"
            r"it is too narrow for the claim",
            "values/swamped-sum": r"a sum that is narrow and takes them one by one loses them all",
        },
    ),
    Broken(
        "rounded_twice",
        "softmax",
        {"values/midpoints": r"one that is rounded twice, .* on the wrong side\. error 0\.50\d+"},
        r"values/zeros",
        dtype="float16",
    ),
    Broken(
        "padding_leak",
        "softmax",
        {
            "shape/lengths": r"rows of lengths 1-7, 9 up to 9 are wrong, those of 8, "
            r"multiples of 8, right: what fills rows up to blocks of 8 counts as entries"
        },
        r"special/(absent-weight|lone-entry)|shape/axis|values/.*|invariance/.*",
    ),
    Broken(
        "axis_ignored",
        "softmax",
        {
            "shape/axis": r"along axis 0 of an array of shape .* weights are those along axis 2",
            "shape/gradient-axis": r"along axis 0 .* the gradients are those along axis 2",
        },
        r"same-bits/axis",
    ),
    Broken(
        "nan_swallowed",
        "softmax",
        {"special/nan": r"A present NaN makes the weights .* NaN\. weights\[0\] is 0\.0, must be"},
    ),
    Broken(
        "nan_leak",
        "softmax",
        {
            "absent/holds-nan": r"weights of present entries change where absent entries hold nan",
            "special/absent-weight": r"reaches no other entry.*weights\[0\] is nan, must be 0\.0",
        },
        r"absent/holds-inf|special/empty-row",
        r'h\("nan"\)',
    ),
    Broken(
        "where_ignored",
        "softmax",
        {
            "absent/exactly-zero": r"where is ignored: weights are those without it",
        },
        r"special/(absent-(weight|gradient)|empty-row(-gradient)?|nan|plus-infinity)|absent/.*"
        r"|(values|gradients)/(dx\.)?(masked|recorded)|same-bits/mask",
        r"where=xp\.asarray\(\[",
    ),
    Broken(
        "cotangent_leak",
        "softmax",
        {
            "absent/gradient-holds-nan": r"dx of present entries change where absent entries hold",
            "special/absent-gradient": r"nor its cotangent reaches another .*\[1\] is nan, must be",
        },
        r"absent/gradient-holds-(-?inf)",
    ),
    Broken(
        "empty_row_nan",
        "softmax",
        {
            "special/empty-row": r"A row without present entries has weights 0\. weights\[0\] is "
            r"nan, must be 0\.0"
        },
        r"values/masked",
    ),
)
