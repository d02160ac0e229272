"""Faults of SSMax's scale and of the gradients of its parameters."""

from __future__ import annotations

from ._broken import Broken

__all__ = ["SCALES"]

_EVERY_VALUE = r"result/parameter-dtypes|(scale|shape|values|gradients|invariance)/.*"

SCALES = (
    Broken(
        "log_base_two",
        "ssmax",
        {
            "scale/natural-logarithm": r"c = s log2\(n\) \+ b, with the logarithm to base 2\. In "
            r"row 3, .* wants s ln n \+ b = 4\.40888"
        },
        _EVERY_VALUE,
    ),
    Broken(
        "n_off_by_one",
        "ssmax",
        {
            "scale/n-along-axis": r"c = s ln\(n \+ 1\) \+ b: n is one too large",
            "scale/n-present": r"c = s ln\(n \+ 1\) \+ b: n is one too large",
        },
        _EVERY_VALUE,
        r"backend\.ssmax\(x, s, b, n=n, axis=",
    ),
    Broken(
        "n_of_the_last_axis",
        "ssmax",
        {"scale/n-along-axis": r"along axis 0 of \(3, 5, 7\): .* with n the length of axis 2, 7"},
        r"scale/parameters-by-row|shape/(gradient-)?axis|same-bits/axis",
        r"axis=0",
    ),
    Broken(
        "absent_counted",
        "ssmax",
        {
            "scale/n-present": r"with n the length of the row: absent entries are counted",
            "special/n-counts-present": r"absent ones do not count\. weights\[0\] is 0\.0, must",
        },
        r"(values|gradients)/(d.\.)?(masked|scales|recorded)|invariance/padding",
        r"backend\.ssmax\(x, .* n=",
    ),
    Broken(
        "n_as_int32",
        "ssmax",
        {"scale/integer-n": r"an array n of uint32: row 2 has weights \[nan, nan\]"},
        r"(values|gradients)/(d.\.)?(given|large)-n",
        r"n = .*, xp\.asarray\(\[\[2\], \[3\], \[3000000000\]\], dtype=xp\.uint32\)",
    ),
    Broken(
        "given_n_ignored",
        "ssmax",
        {
            "scale/natural-logarithm": r"with n the number of entries, 3: the given n is ignored",
            "special/n-given": r"A given n, whole or not, takes the place of the number of present",
        },
        r"special/(n-not-positive|n-one|factor-overflow)|scale/(log-n-unrounded|integer-n)"
        r"|(values|gradients)/(d.\.)?(scaled-large-centre|(given|large)-n|cancell(ing|ed)-scale"
        r"|recorded-additive-mask)"
        r"|invariance/broadcast-parameters",
    ),
    Broken(
        "log_n_rounded",
        "ssmax",
        {"scale/log-n-unrounded": r"c = s ln\(n\) \+ b with ln\(n\) rounded to float32"},
        r"scale/.*|shape/.*|values/.*|invariance/.*",
    ),
    Broken(
        "parameter_broadcast",
        "ssmax",
        {
            "scale/parameters-by-row": r"s of shape \(2, 1, 1\): .* with s of another row: "
            r"repeated along the wrong axis"
        },
        r"invariance/broadcast-parameters",
    ),
    Broken(
        "scale_before_shift",
        "ssmax",
        {
            "values/scaled-large-centre": r"scale before shift loses everything\. error [\d.e+]+",
            "invariance/shift": r"logits shifted by 1024: error [\d.e+]+ ULP, wants bounded",
        },
        r"values/(large-centre|thresholds|range-ends|extreme-scale|subnormal-logits)",
        r"n=(4096|None)",
    ),
    Broken(
        "largest_logit_subtracted",
        "ssmax",
        {
            "special/negative-factor": r"Where c is negative, the smallest logit has the largest "
            r"weight\. weights\[0\] is nan"
        },
        # n below 1 makes the scale negative.
        r"special/n-given|values/(scales|extreme-scale|given-n|large-n)",
    ),
    Broken(
        "masked_logits_scaled",
        "ssmax",
        {
            "special/zero-factor": r"Where c is 0, every present entry has the same weight, and −∞ "
            r"is absent as ever\. weights\[0\] is nan"
        },
        # With one present entry, and so ln n = 0, c is 0 as well.
        r"special/(absent-(weight|gradient)|lone-entry|zero-factor-gradient)",
    ),
    Broken(
        "parameters_cleaned",
        "ssmax",
        {
            "special/non-finite-parameter": r"An s or b that is not finite .* is 0\.\d+, must be",
            "special/n-not-positive": r"n that is not positive and finite .* is 0\.\d+, must",
        },
    ),
    Broken(
        "no_log_n",
        "ssmax",
        {
            "special/n-one": r"the gradient by s is 0\. ds\[0\] is -0\.5, must be 0\.0",
            "gradients/ds.normal": r"ds is off by [\d.e+]+ times",
            "gradients/ds.given-n": r"ds is off by [\d.e+]+ times",
        },
        r"gradients/ds\..*|invariance/broadcast-parameters|result/parameter-dtypes",
        r"backend\.ssmax_vjp\(",
    ),
    Broken(
        "parameters_uncentred",
        "ssmax",
        {"special/lone-entry-parameters": r"adds nothing to the gradients by s and b; .* is 6\.0"},
        r"special/(zero-factor-gradient|n-one|non-finite-cotangent-parameters)"
        r"|gradients/d[sb]\..*|invariance/broadcast-parameters|result/parameter-dtypes",
    ),
    Broken(
        "empty_row_parameters",
        "ssmax",
        {"special/empty-row-parameters": r"A row without present entries adds nothing .* is nan"},
        r"result/zero-size|gradients/d[sb]\.masked",
    ),
    Broken(
        "cotangent_cleaned",
        "ssmax",
        {
            "special/non-finite-cotangent": r"A cotangent that is not finite.* is 0\.0, must be",
            "special/non-finite-cotangent-parameters": r"makes the gradients by s and b NaN\. ds",
        },
    ),
)
