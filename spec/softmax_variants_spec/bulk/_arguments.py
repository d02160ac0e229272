"""Checks of the arguments of :func:`softmax_variants_spec.bulk.weights`."""

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Number: TypeAlias = float | int
Parameter: TypeAlias = Number | np.generic | npt.NDArray[np.floating] | npt.NDArray[np.integer]

_FUNCTIONS = ("softmax", "ssmax", "sa_softmax")
_FORMS = ("normalized", "minmax", "shifted", "plain")


def check(function: str, x: object, where: object, form: str) -> None:
    """Raise a ValueError that names the argument, what it got and what it wants."""
    if function not in _FUNCTIONS:
        msg = f"function must be one of {_FUNCTIONS}, got {function!r}"
        raise ValueError(msg)
    if function == "sa_softmax" and form not in _FORMS:
        msg = f"form must be one of {_FORMS}, got {form!r}"
        raise ValueError(msg)
    if not isinstance(x, np.ndarray) or x.dtype != np.float64 or x.ndim != 2:
        msg = f"x must be a float64 array of shape (rows, n), got {_describe(x)}"
        raise ValueError(msg)
    if where is not None and (
        not isinstance(where, np.ndarray) or where.dtype != np.bool_ or where.shape != x.shape
    ):
        msg = f"where must be a bool array of shape {x.shape}, got {_describe(where)}"
        raise ValueError(msg)


def column(name: str, value: object, rows: int) -> list[Number]:
    """Return a parameter as one exact Python number a row, or raise a ValueError."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, (int, float)):
        return [value] * rows
    # tolist is exact for these kinds; a long double would not become a Python number.
    if (
        not isinstance(value, np.ndarray)
        or value.dtype.kind not in "fiu"
        or value.dtype.itemsize > 8
        or value.shape != (rows, 1)
    ):
        msg = (
            f"{name} must be a number or a real array of shape {(rows, 1)}, got {_describe(value)}"
        )
        raise ValueError(msg)
    numbers: list[Number] = value[:, 0].tolist()
    return numbers


def _describe(value: object) -> str:
    if isinstance(value, np.ndarray):
        return f"a {value.dtype} array of shape {value.shape}"
    return repr(value)
