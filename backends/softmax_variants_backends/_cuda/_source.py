"""The CUDA C++ source: files that make one translation unit, and the macros that choose its parts.

They include nothing, neither each other nor CUDA's headers, which NVRTC from a wheel comes without.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ._launch import Module

__all__ = ["files_of", "macros_of", "source_of"]

_ROWS = (
    *("call", "device", "storage", "groups", "load", "words", "logarithm", "scale"),
    *("exponential", "narrow_rows", "part_sums", "forward", "gradients"),
    *("split_weights", "split_gradients", "split"),
    *("ranged", "wide_exponential", "wide_sums", "wide_rows", "wide_forward", "wide_gradients"),
    "kernels",
)
"""Files of the kernels for rows, in order."""
_SUMS = ("call", "device", "sums")

_BITS = {"Half": (16, 11), "Bfloat": (16, 8), "Float": (32, 24), "Double": (64, 53)}
"""Of a number, and of its significand."""


def files_of(module: Module) -> tuple[tuple[str, str], ...]:
    """Return the names and texts of a module's files, in order."""
    names = _ROWS if module.storage else _SUMS
    return tuple((f"{name}.cuh", _text(f"{name}.cuh")) for name in names)


def macros_of(module: Module) -> dict[str, str]:
    """Return the macros that a module is compiled with."""
    if not module.storage:
        return {}
    bits, significand_bits = _BITS[module.storage]
    return {
        "STORAGE": module.storage,
        "STORAGE_BITS": str(bits),
        "SIGNIFICAND_BITS": str(significand_bits),
        "WIDE": str(int(bits == 64)),
        "FUNCTION": module.function.upper(),
        "GRADIENTS": str(int(module.gradients)),
        "PARTS": str(module.parts),
        "LANES": str(module.lanes),
        "VECTORS": str(module.vectors),
    }


def source_of(module: Module) -> str:
    """Return a module's source; the compiler's messages name the files."""
    return "".join(f'#line 1 "{name}"\n{text}\n' for name, text in files_of(module))


@cache
def _text(name: str) -> str:
    return (files(__package__) / "source" / name).read_text(encoding="utf-8")
