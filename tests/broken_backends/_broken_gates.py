"""Faults of SA-Softmax's gates and of what is differentiated through them."""

from __future__ import annotations

from ._broken import Broken

__all__ = ["GATES"]

GATES = (
    *(
        Broken(
            "epsilon",
            f"sa_softmax.{form}",
            {"values/narrow": r"tiny denominators, in which an epsilon shows\. error [\d.e+]+ ULP"},
            r"values/(small-gates|entropy|zeros|subnormal-logits)|special/lone-entry|shape/.*",
            r"# exact +\d",
        )
        for form in ("minmax", "normalized")
    ),
    *(
        Broken(
            "absent_in_minimum",
            f"sa_softmax.{form}",
            {
                "extrema/weights": r"the minimum is taken over absent entries too",
                "absent/holds-lowest": r"change where absent entries hold lowest",
            },
            r"special/absent-(weight|gradient)|(values|gradients)/(dx(-detached)?\.)?(masked|recorded)"
            r"|absent/.*|same-bits/mask",
        )
        for form in ("minmax", "normalized")
    ),
    Broken(
        "normalized_without_zero",
        "sa_softmax.normalized",
        {
            "extrema/weights": r"the weights are those of the form minmax",
            "special/normalized-equal-logits": r"of equal logits is 1 where they are positive",
        },
        r"(special|extrema|shape|values|gradients|invariance|absent)/.*",
    ),
    Broken(
        "rounded_before_gate",
        "sa_softmax.plain",
        {
            "values/underflowing-weight": r"one that is rounded before it is multiplied by "
            r"the gate shows\. error [\d.e+]+ ULP, wants tight"
        },
        r"values/(thresholds|tail|binade-crossing|dominated)",
    ),
    Broken(
        "gate_clipped",
        "sa_softmax.normalized",
        {
            "special/zero-gate": r"Where the gate is 0 the weight is 0: .* is 4\.8\d+e-09, must",
            "special/normalized-equal-logits": r"\[0\] is 4\.99\d+e-07, must be 0\.0",
        },
        r"special/zero-denominator|extrema/weights|(shape|values|invariance)/.*",
    ),
    Broken(
        "difference_overflows",
        "sa_softmax.minmax",
        {"values/range-ends": r"lowest finite logits, whose differences overflow\. error"},
        r"special/full-range|values/any-finite|gradients/dx(-detached)?\.(range-ends|any-finite)",
    ),
    Broken(
        "zero_denominator_nan",
        "sa_softmax.minmax",
        {
            "special/zero-denominator": r"denominator of the gate is 0 .* the weights are 0\. "
            r"weights\[0\] is nan",
            "special/zero-denominator-gradient": r"the gradient is 0, .* gradient\[0\] is nan",
        },
        r"special/(absent-(weight|gradient)|lone-entry(-gradient)?)|shape/lengths"
        r"|(values|gradients)/(dx(-detached)?\.)?(zeros|ties|lengths|tied-extrema|powers-of-two)",
    ),
    Broken(
        "zero_denominator_first",
        "sa_softmax.minmax",
        {
            "special/zero-denominator-cotangent": r"denominator of the gate is 0 and a cotangent.* "
            r"is not finite, .* NaN\. gradient\[0\] is 0\.0, must be nan"
        },
        r"special/non-finite-cotangent",
    ),
    Broken(
        "shifted_equal_zero",
        "sa_softmax.shifted",
        {
            "special/shifted-equal-logits-gradient": r"but the gradient \(dy_j − mean dy\)/n\. "
            r"gradient\[0\] is 0\.0, must be 0\.25"
        },
        r"special/non-finite-cotangent|shape/gradient-axis"
        r"|gradients/dx(-detached)?\.(zeros|ties|lengths|tied-extrema|powers-of-two)",
    ),
    Broken(
        "gate_constant",
        "sa_softmax.plain",
        {"special/plain-gradient": r"equal logits x have the gradient \(dy_j \(1 \+ x\)"},
        r"special/(absent|lone-entry)-gradient|gradients/.*|invariance/.*",
    ),
    Broken(
        "gate_constant",
        "sa_softmax.minmax",
        {
            "extrema/gradient": r"is wrong: the gates are taken for constants",
            "extrema/detached-gradient": r"is wrong: the gates are taken for constants",
        },
        r"special/.*|gradients/.*|invariance/.*|shape/gradient-axis",
    ),
    *(
        Broken(
            "extrema_always_detached",
            f"sa_softmax.{form}",
            {"extrema/gradient": r"it is the detached one, nothing is differentiated through the"},
            r"special/.*|gradients/dx\..*|invariance/.*|shape/gradient-axis",
            r"detach_extrema=False",
        )
        for form in ("minmax", "normalized")
    ),
    Broken(
        "extrema_never_detached",
        "sa_softmax.normalized",
        {
            "extrema/detached-gradient": r"it is that without detaching, the extrema are",
            "special/detached-extrema": r"With the extrema detached, nothing is differentiated",
        },
        r"gradients/dx-detached\..*",
        r"detach_extrema=True",
    ),
    *(
        Broken(
            "tie_gradient_to_first",
            f"sa_softmax.{form}",
            {"extrema/gradient": r"derivative of a tied extremum goes to the first entry that"},
            r"special/(ties|shifted-equal-logits-gradient)"
            r"|gradients/dx\.(ties|zeros|tied-extrema|narrow|powers-of-two|recorded-.*)",
        )
        for form in ("normalized", "shifted")
    ),
    Broken(
        "tie_with_zero_halved",
        "sa_softmax.normalized",
        {"extrema/gradient": r"the appended 0 takes half of its derivative, .* 1/\(2k\) each"},
        r"gradients/dx\.(tied-extrema|narrow)",
    ),
    Broken(
        "tie_without_zero",
        "sa_softmax.normalized",
        {
            "extrema/gradient": r"where an extremum is 0, the appended 0 is forgotten, .* 1/k each",
            "special/ties-with-appended-zero": r"an extremum that is 0 shares its derivative with",
        },
        r"gradients/dx\.(tied-extrema|narrow|thresholds)",
    ),
)
