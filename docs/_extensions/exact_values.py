"""The functions of the specification on a row of numbers, for the role ``exact`` and for figures.

Logits are the positional arguments. Results are mpmath numbers, right to 30 digits at least.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mpmath import mp

from softmax_variants_spec.accuracy import gradient_coefficients
from softmax_variants_spec.exact import Row, weights
from softmax_variants_spec.formats import FORMATS
from softmax_variants_spec.variants import sa_softmax as sa
from softmax_variants_spec.variants import softmax as plain
from softmax_variants_spec.variants import ssmax as scalable

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "derivative",
    "gradient_c",
    "gradient_k",
    "ln",
    "sa_softmax",
    "scale_derivative",
    "softmax",
    "ssmax",
]

_DIGITS = 60
_BINARY64 = FORMATS["float64"]


def _weights(function: str, x: tuple[float, ...], options: dict[str, Any]) -> list[Any]:
    row = Row(function, tuple(map(float, x)), **options)
    return [weight.value for weight in weights(row, _BINARY64)]


def softmax(*x: float) -> list[Any]:
    """Return the softmax of a row.

    Examples
    --------
    >>> print(softmax(3, 3)[0])
    0.5
    """
    return _weights("softmax", x, {})


def ssmax(*x: float, s: float = 1.0, b: float = 0.0, n: float | None = None) -> list[Any]:
    """Return the SSMax of a row."""
    return _weights("ssmax", x, {"s": s, "b": b, "n": n})


def sa_softmax(*x: float, form: str = "normalized") -> list[Any]:
    """Return the SA-Softmax of a row."""
    return _weights("sa_softmax", x, {"form": form})


def ln(value: float) -> Any:
    """Return the natural logarithm."""
    with mp.workdps(_DIGITS):
        return mp.log(mp.mpf(value))


def derivative(
    function: Callable[..., list[Any]],
    i: int,
    j: int,
    *x: float,
    s: float = 1.0,
    b: float = 0.0,
    form: str = "normalized",
    detach_extrema: bool = False,
) -> Any:
    """Return ∂y_i/∂x_j by the Jacobian of the specification.

    Examples
    --------
    >>> print(derivative(softmax, 0, 0, 3, 3))
    0.25
    """
    with mp.workdps(_DIGITS):
        row = [mp.mpf(xi) for xi in x]
        if function is sa_softmax:
            gate = sa.gate(row, form, detach_extrema=detach_extrema)
            return sa.jacobian(row, plain.weights(row), gate)[i][j]
        c = scalable.factor(mp.mpf(s), mp.mpf(b), len(row)) if function is ssmax else 1
        return plain.jacobian(plain.weights(row, c), c)[i][j]


def scale_derivative(i: int, *x: float, s: float = 1.0) -> Any:
    """Return ∂y_i/∂s of SSMax by the formula of the specification."""
    with mp.workdps(_DIGITS):
        row = [mp.mpf(xi) for xi in x]
        y = scalable.weights(row, scalable.factor(mp.mpf(s), 0, len(row)))
        return scalable.by_scale(row, y, len(row))[i]


def gradient_k(accuracy: str) -> int:
    """Return the ULP of its value that a class allows a gradient."""
    return gradient_coefficients(accuracy, 0.0, 1.0)[0]


def gradient_c(accuracy: str) -> int:
    """Return the multiple of u · scale that a class allows a gradient."""
    return int(gradient_coefficients(accuracy, 0.0, 1.0)[1])
