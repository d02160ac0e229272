"""The module under judgement: found by name or dotted path, with its claims and its library."""

from __future__ import annotations

import importlib
import math
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

import numpy as np

from softmax_variants import backends
from softmax_variants._catalogue import BACKEND_MODULES, FUNCTIONS
from softmax_variants_spec.accuracy import CLASSES

from .arrays import FORMATS, Library, library
from .context import Fault
from .time_limit import TimedOut, TimeLimit

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    import numpy.typing as npt

    from .blocks import Block
    from .variants import Variant

__all__ = ["Claim", "Subject", "SubjectError", "load_subject"]

_PATIENCE = 3
"""So many entries may time out, one after the other, before a function is not called any more."""


class SubjectError(Exception):
    """The module cannot be judged; the message says why and what to do, in one line."""


@dataclass(frozen=True)
class Claim:
    """What a backend promises for a function and dtype.

    Either a class, or the largest error in ULP as a number: then results next to midpoints of
    the format are to be faithful, and gradients of the class that the number implies.
    """

    stated: str | float

    @property
    def weight_class(self) -> str:
        """The class implied."""
        if isinstance(self.stated, str):
            return self.stated
        if self.stated <= 0.5:
            return "correct"
        if self.stated < 1.0:
            return "faithful"
        return "tight" if self.stated <= 4.0 else "bounded"

    def __str__(self) -> str:
        return self.stated if isinstance(self.stated, str) else f"{self.stated:.6g} ULP"


class Subject:
    """A backend with the conversions and conventions needed to call it."""

    def __init__(self, name: str, module: ModuleType, lib: Library) -> None:
        self.name, self.module, self.library = name, module, lib
        claims = getattr(module, "CLAIMS", {})
        if not isinstance(claims, Mapping):
            msg = f"{name}: CLAIMS is {claims!r}; it is a dict of (function, dtype) to a claim"
            raise SubjectError(msg)
        self._check_claims(claims)
        self.claims: dict[tuple[str, str], str | float] = dict(claims)
        self.time_limit = TimeLimit(None)
        """On the calls of the backend's functions; whoever runs entries sets it."""
        self.timeouts: Counter[str] = Counter()
        """How many entries on end timed out in a function."""
        self._flushing = self._formats_that_flush(getattr(module, "FLUSHES_SUBNORMALS", False))
        self.ordered_sums = bool(getattr(module, "ORDERED_SUMS", True))
        if not self.formats():
            claimed = ", ".join(dict.fromkeys(dtype for _, dtype in self.claims)) or "any format"
            has = ", ".join(lib.formats()) or "none"
            msg = f"{name}: nothing to judge, it claims {claimed} and {lib.name} has {has}"
            raise SubjectError(msg)

    def _formats_that_flush(self, declared: Any) -> frozenset[str]:
        if isinstance(declared, bool):
            return frozenset(FORMATS if declared else ())
        if isinstance(declared, str) or not isinstance(declared, Iterable):
            declared = [declared]
        names = list(declared)
        if not all(name in FORMATS for name in names):
            msg = (
                f"{self.name}: FLUSHES_SUBNORMALS is {names!r}; it is True, False or some of "
                f"{', '.join(FORMATS)}"
            )
            raise SubjectError(msg)
        return frozenset(names)

    def flushes_subnormals(self, dtype: str) -> bool:
        """Return whether the backend declares that it takes subnormal numbers of a dtype as 0."""
        return dtype in self._flushing

    def _check_claims(self, claims: Mapping[Any, Any]) -> None:
        names = [function.name for function in FUNCTIONS]
        for key, claim in claims.items():
            known = isinstance(key, tuple) and len(key) == 2
            if not known or key[0] not in names or key[1] not in FORMATS:
                msg = (
                    f"{self.name}: CLAIMS has the key {key!r}; keys are (function, dtype) with "
                    f"one of {', '.join(names)} and one of {', '.join(FORMATS)}"
                )
                raise SubjectError(msg)
            number = isinstance(claim, (int, float)) and not isinstance(claim, bool)
            if claim not in CLASSES and not (number and 0.5 <= claim < math.inf):
                msg = (
                    f"{self.name}: CLAIMS[{key!r}] is {claim!r}; it is one of "
                    f"{', '.join(CLASSES)} or the largest error in ULP, at least 0.5"
                )
                raise SubjectError(msg)

    def formats(self) -> tuple[str, ...]:
        """Return the formats to judge: those that the library has and, if any, that are claimed."""
        claimed = {dtype for _, dtype in self.claims}
        return tuple(f for f in self.library.formats() if not claimed or f in claimed)

    def claim(self, variant: Variant, dtype: str) -> Claim:
        """Return the claim; "bounded" where none is stated."""
        return Claim(self.claims.get((variant.function, dtype), "bounded"))

    def function(self, name: str) -> Any:
        """Return a function of the backend; a missing one is a fault."""
        found = getattr(self.module, name, None)
        if found is None:
            msg = f"{self.name} has no function {name}"
            raise Fault(msg)
        return found

    def _limited(self, name: str) -> Callable[..., Any]:
        """Return a function of the backend, called under the time limit.

        One that did not return in several entries on end is not called any more.
        """
        function = self.function(name)

        def limited(x: Any, *arguments: Any, **options: Any) -> Any:
            if self.timeouts[name] >= _PATIENCE:
                msg = f"is not called any more: {_PATIENCE} entries on end took too long"
                raise TimedOut(msg, name)
            call = partial(function, x, *arguments, **options)
            result = self.time_limit.call(call, name)
            self.timeouts[name] = 0
            return result

        return limited

    def arguments(self, block: Block, dtype: str) -> dict[str, Any]:
        """Return x, dy, where, s, b, n of a block as the backend takes them."""
        lib = self.library

        def parameter(value: Any, *, exact: bool = False) -> Any:
            if not isinstance(value, np.ndarray):
                return value
            return lib.asarray(value, self.dtype_of_n(value, dtype) if exact else dtype)

        return {
            "x": lib.asarray(block.x, dtype),
            "dy": lib.asarray(block.dy, dtype),
            "where": None if block.where is None else lib.asarray(block.where),
            "s": parameter(block.s),
            "b": parameter(block.b),
            "n": parameter(block.n, exact=True),
        }

    def dtype_of_n(self, n: npt.NDArray[Any], dtype: str) -> str | None:
        """Return the format for an array n: integers stay, reals get the widest that there is."""
        if n.dtype.kind in "iu":
            return None
        formats = self.library.formats()
        return "float64" if "float64" in formats else "float32" if "float32" in formats else dtype

    def weights(
        self, variant: Variant, a: dict[str, Any], *, axis: int = 1, out: Any = None
    ) -> Any:
        """Return the weights of arguments made by ``arguments``."""
        call = self._limited(variant.function)
        common = {"axis": axis, "where": a["where"], "out": out}
        if variant.function == "ssmax":
            return call(a["x"], a["s"], a["b"], n=a["n"], **common)
        if variant.form is not None:
            return call(a["x"], form=variant.form, detach_extrema=False, **common)
        return call(a["x"], **common)

    def vjp(
        self,
        variant: Variant,
        a: dict[str, Any],
        *,
        axis: int = 1,
        detach_extrema: bool = False,
    ) -> tuple[Any, ...]:
        """Return (dx,), for SSMax (dx, ds, db)."""
        call = self._limited(f"{variant.function}_vjp")
        common = {"axis": axis, "where": a["where"]}
        if variant.function == "ssmax":
            gradients = call(a["x"], a["dy"], a["s"], a["b"], n=a["n"], **common)
            if not isinstance(gradients, tuple):
                msg = f"ssmax_vjp returned {type(gradients).__name__}, wants (dx, ds, db)"
                raise Fault(msg)
            if len(gradients) != 3:
                msg = f"ssmax_vjp returned a tuple of {len(gradients)}, wants (dx, ds, db)"
                raise Fault(msg)
            return gradients
        if variant.form is not None:
            options = {"form": variant.form, "detach_extrema": detach_extrema}
            return (call(a["x"], a["dy"], **options, **common),)
        return (call(a["x"], a["dy"], **common),)


def load_subject(name: str, namespace: str | None = None, device: str | None = None) -> Subject:
    """Return the backend of that name: one of ours, an entry point, or a dotted module path."""
    module = _module(name)
    wanted = namespace or getattr(module, "NAMESPACE", "numpy")
    if not isinstance(wanted, str):
        msg = f"{name}: NAMESPACE is {wanted!r}; it is the name of a module, a string"
        raise SubjectError(msg)
    try:
        lib = library(wanted, device or getattr(module, "DEVICE", None))
    except ImportError as error:
        msg = f"{name} computes on {wanted} arrays, and {wanted} cannot be imported: {error}"
        raise SubjectError(msg) from error
    if all(not hasattr(module, function.name) for function in FUNCTIONS):
        functions = ", ".join(function.name for function in FUNCTIONS)
        msg = f"{name} ({module.__name__}) has none of the functions {functions} of a backend"
        raise SubjectError(msg)
    return Subject(name, module, lib)


def _module(name: str) -> ModuleType:
    points = {p.name: p.value for p in entry_points(group="softmax_variants.backends")}
    path = BACKEND_MODULES.get(name) or points.get(name) or name
    if "" not in sys.path:
        sys.path.insert(0, "")  # modules of the current directory, as `python -m` finds them
    try:
        return importlib.import_module(path.split(":", maxsplit=1)[0])
    except ModuleNotFoundError as error:
        missing = error.name or ""
        if path == missing or path.startswith(f"{missing}."):
            known = ", ".join([*BACKEND_MODULES, *points])
            msg = f"no backend {name!r}: known are {known}, or give a module by its dotted path"
            if name.endswith(".py"):
                msg += ", without .py"
        elif name in BACKEND_MODULES and missing.split(".")[0] in {"torch", "cupy", "jax"}:
            (install,) = (status.install for status in backends() if status.name == name)
            msg = f"the backend {name!r} needs {missing}, which is not installed: {install}"
        else:
            msg = f"the backend {name!r} needs {missing}, which is not installed"
        raise SubjectError(msg) from error
    except Exception as error:
        text = (str(error).strip().splitlines() or [""])[0]
        msg = f"importing {path} failed: {type(error).__name__}: {text}"
        raise SubjectError(msg) from error
