"""Every function of a backend with every option that changes its formula, called in one way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from softmax_variants_spec.exact import Row

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["VARIANTS", "Variant"]


@dataclass(frozen=True)
class Variant:
    """A function, and for ``sa_softmax`` its form and what is done with the extrema."""

    function: str
    form: str = "normalized"
    detach_extrema: bool = False

    def __str__(self) -> str:
        if self.function != "sa_softmax":
            return self.function
        return f"{self.form}-detached" if self.detach_extrema else self.form

    def row(self, x: Iterable[float], *, s: Any = 1.0, b: Any = 0.0, n: Any = None) -> Row:
        """Return a row as the exact reference takes it."""
        logits = tuple(float(xi) for xi in x)
        return Row(
            self.function, logits, None, s, b, n, self.form, detach_extrema=self.detach_extrema
        )

    def weights(
        self,
        backend: Any,
        x: Any,
        *,
        s: Any = 1.0,
        b: Any = 0.0,
        n: Any = None,
        axis: int = 0,
        where: Any = None,
        out: Any = None,
        **more: Any,
    ) -> Any:
        """Return a backend's weights; parameters that the function has not are ignored."""
        common: dict[str, Any] = {"axis": axis, "where": where, "out": out, **more}
        if self.function == "softmax":
            return backend.softmax(x, **common)
        if self.function == "ssmax":
            return backend.ssmax(x, s, b, n=n, **common)
        gate = {"form": self.form, "detach_extrema": self.detach_extrema}
        return backend.sa_softmax(x, **gate, **common)

    def gradients(
        self,
        backend: Any,
        x: Any,
        dy: Any,
        *,
        s: Any = 1.0,
        b: Any = 0.0,
        n: Any = None,
        axis: int = 0,
        where: Any = None,
        **more: Any,
    ) -> tuple[Any, ...]:
        """Return (dx,), of ``ssmax`` (dx, ds, db)."""
        common: dict[str, Any] = {"axis": axis, "where": where, **more}
        if self.function == "softmax":
            return (backend.softmax_vjp(x, dy, **common),)
        if self.function == "ssmax":
            return tuple(backend.ssmax_vjp(x, dy, s, b, n=n, **common))
        gate = {"form": self.form, "detach_extrema": self.detach_extrema}
        return (backend.sa_softmax_vjp(x, dy, **gate, **common),)


VARIANTS = (
    Variant("softmax"),
    Variant("ssmax"),
    *(
        Variant("sa_softmax", form, detach)
        for form in ("plain", "shifted", "minmax", "normalized")
        for detach in ((False,) if form == "plain" else (False, True))
    ),
)
