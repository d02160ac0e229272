"""Exact references of the regimes' rows, computed once and cached under a hash of the source."""

from __future__ import annotations

import hashlib
import json
import math
import os
import sys
import tempfile
from dataclasses import asdict, dataclass, fields
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import mpmath
import numpy as np

import softmax_variants_spec
from softmax_variants_spec import exact
from softmax_variants_spec.accuracy import relative_bound, weight_allowance
from softmax_variants_spec.exact import Row

from .regimes import REGIMES

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from softmax_variants_spec.formats import Format

    from .blocks import Block
    from .variants import Variant

    Floats = npt.NDArray[np.float64]

__all__ = ["BlockReference", "GradientReference", "ParameterReference", "WeightReference"]
__all__ += ["LOW_SHIFT", "References", "rows_of"]

T = TypeVar("T")


@dataclass(frozen=True)
class WeightReference:
    """Exact weights: value = rounded + residual * 2**ulp_exponent."""

    rounded: Floats
    residual: Floats
    ulp_exponent: npt.NDArray[np.int32]
    exact: npt.NDArray[np.bool_]
    bound: Floats
    """Relative part of the error that the class "bounded" allows."""
    tolerance: Floats
    """All of that error, in ULP of the value."""


@dataclass(frozen=True)
class GradientReference:
    """Exact gradients: value = high + low, with the parts of the bound on their error."""

    high: Floats
    low: Floats
    ulp: Floats
    scale: Floats
    """The scale of the bound; not times the unit roundoff, which would underflow."""
    tail: Floats
    """The smallest subnormal number times the tail of the bound."""
    judged: npt.NDArray[np.bool_]


LOW_SHIFT = 64
"""Keeps what a subnormal number leaves in the range of binary64: terms are yet to be summed."""


@dataclass(frozen=True)
class ParameterReference:
    """Exact terms of ds and db, a column a row of the block: ds + ds_low * 2**-LOW_SHIFT."""

    ds: Floats
    ds_low: Floats
    ds_scale: Floats
    db: Floats
    db_low: Floats
    db_scale: Floats

    def summed(
        self, name: str, rows: tuple[int, ...], shape: tuple[int, ...]
    ) -> ParameterReference:
        """Return the terms summed as a parameter of ``shape`` sums them, a column an element.

        ``rows`` is the shape of the rows, whose number of axes ``shape`` has; both ``ds`` and
        ``db`` of the result hold the terms of ``name``.
        """
        terms = [np.reshape(getattr(self, name + part), rows) for part in ("", "_low", "_scale")]
        axes = tuple(i for i, length in enumerate(shape) if length != rows[i])
        kept = [i for i in range(len(rows)) if i not in axes]
        flat = [np.transpose(t, [*kept, *axes]).reshape(math.prod(shape), -1) for t in terms]
        highs, lows, scales = [], [], []
        for high, low, scale in zip(*(array.tolist() for array in flat), strict=True):
            total, rest = self._total(high, low)
            highs.append([total])
            lows.append([rest])
            scales.append([sum(scale)])
        columns = [np.asarray(column) for column in (highs, lows, scales)]
        return ParameterReference(*columns, *columns)

    @staticmethod
    def _total(highs: list[float], lows: list[float]) -> tuple[float, float]:
        """Return a sum as high and low; NaN beyond the range, where nothing is judged."""
        try:
            exact_sum = sum(map(Fraction, highs)) + sum(map(Fraction, lows)) / 2**LOW_SHIFT
            high = float(exact_sum)
        except (OverflowError, ValueError):
            return math.nan, math.nan
        return high, float((exact_sum - Fraction(high)) * 2**LOW_SHIFT)


@dataclass(frozen=True)
class BlockReference:
    """All references of a block; ``detached`` where detaching the extrema makes a difference."""

    weights: WeightReference
    gradient: GradientReference
    detached: GradientReference | None
    parameters: ParameterReference | None


def rows_of(block: Block, variant: Variant, *, detach_extrema: bool = False) -> list[Row]:
    """Return the rows of a block as the exact reference takes them."""

    def of_row(value: Any, i: int) -> Any:
        return value[i, 0].item() if isinstance(value, np.ndarray) else value

    return [
        Row(
            variant.function,
            tuple(block.x[i].tolist()),
            where=None if block.where is None else tuple(block.where[i].tolist()),
            s=of_row(block.s, i),
            b=of_row(block.b, i),
            n=of_row(block.n, i),
            form=variant.form or "normalized",
            detach_extrema=detach_extrema,
        )
        for i in range(block.x.shape[0])
    ]


def _table(entries: list[list[Any]], attribute: str, dtype: Any = np.float64) -> Any:
    return np.asarray([[getattr(e, attribute) for e in row] for row in entries], dtype=dtype)


def _weights(rows: list[Row], fmt: Format) -> WeightReference:
    values = [exact.weights(row, fmt) for row in rows]
    return WeightReference(
        rounded=_table(values, "rounded"),
        residual=_table(values, "residual"),
        ulp_exponent=_table(values, "ulp_exponent", np.int32),
        exact=_table(values, "exact", np.bool_),
        bound=np.asarray([relative_bound(row, fmt) for row in rows], dtype=np.float64),
        tolerance=np.asarray([weight_allowance(row, fmt) for row in rows], dtype=np.float64),
    )


def _high_low(value: Any, shift: int = 0) -> tuple[float, float]:
    """Return a real number as high + low * 2**-shift in binary64; infinite beyond the range."""
    high = float(value)
    return high, (float(mpmath.ldexp(value - high, shift)) if np.isfinite(high) else 0.0)


def _gradient(rows: list[Row], dy: Floats, fmt: Format) -> GradientReference:
    tables: dict[str, list[list[Any]]] = {
        name: [] for name in GradientReference.__dataclass_fields__
    }
    limit = mpmath.mpf(2) ** 1022
    with mpmath.workprec(200):
        for row, cotangent in zip(rows, dy.tolist(), strict=True):
            entries = exact.gradient(row, cotangent, fmt)
            pairs = [_high_low(e.value) for e in entries]
            tables["high"].append([high for high, _ in pairs])
            tables["low"].append([low for _, low in pairs])
            tables["ulp"].append([2.0 ** fmt.ulp_exponent(e.value) for e in entries])
            tables["scale"].append([float(e.scale) for e in entries])
            tables["tail"].append([float(e.tail * fmt.min_subnormal) for e in entries])
            tables["judged"].append([fmt.name != "float64" or e.scale < limit for e in entries])
    return GradientReference(**{name: np.asarray(table) for name, table in tables.items()})


def _parameters(rows: list[Row], dy: Floats, fmt: Format) -> ParameterReference:
    columns: dict[str, list[list[float]]] = {
        name: [] for name in ParameterReference.__dataclass_fields__
    }
    with mpmath.workprec(200):
        for row, cotangent in zip(rows, dy.tolist(), strict=True):
            terms = exact.parameter_gradients(row, cotangent, fmt)
            for name in ("ds", "db"):
                high, low = _high_low(getattr(terms, name), LOW_SHIFT)
                columns[name].append([high])
                columns[f"{name}_low"].append([low])
                columns[f"{name}_scale"].append([float(getattr(terms, f"{name}_scale"))])
    return ParameterReference(**{name: np.asarray(table) for name, table in columns.items()})


def reference_of(block: Block, variant: Variant, fmt: Format) -> BlockReference:
    """Return the exact references of a block."""
    rows = rows_of(block, variant)
    detached = None
    if variant.has_extrema:
        detached = _gradient(rows_of(block, variant, detach_extrema=True), block.dy, fmt)
    return BlockReference(
        weights=_weights(rows, fmt),
        gradient=_gradient(rows, block.dy, fmt),
        detached=detached,
        parameters=_parameters(rows, block.dy, fmt) if variant.function == "ssmax" else None,
    )


class References:
    """References of all regimes for one variant and format, from the cache where it has them."""

    def __init__(
        self,
        variant: Variant,
        fmt: Format,
        *,
        smoke: bool,
        progress: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.variant, self.fmt, self.smoke = variant, fmt, smoke
        self.blocks = {
            regime.name: regime.blocks(variant, fmt, smoke=smoke)
            for regime in REGIMES
            if variant.function in regime.functions
        }
        path = _cache_file(variant, fmt, self.blocks, smoke=smoke)
        stored = _load(path)
        names = [f"{name}/{i}" for name, blocks in self.blocks.items() for i in range(len(blocks))]
        if stored is not None and any(f"{name}/weights/rounded" not in stored for name in names):
            stored = None
        self._references: dict[str, list[BlockReference]] = {}
        for name, blocks in self.blocks.items():
            if stored is None:
                progress(name)
                self._references[name] = [reference_of(b, variant, fmt) for b in blocks]
            else:
                self._references[name] = [
                    _unflatten(stored, f"{name}/{i}") for i in range(len(blocks))
                ]
        if stored is None:
            _store(path, self._references)

    def __getitem__(self, regime: str) -> list[tuple[Block, BlockReference]]:
        """Return the blocks of a regime with their references."""
        return list(zip(self.blocks[regime], self._references[regime], strict=True))


_PARTS: dict[str, type[Any]] = {
    "weights": WeightReference,
    "gradient": GradientReference,
    "detached": GradientReference,
    "parameters": ParameterReference,
}


def _flatten(prefix: str, reference: BlockReference) -> dict[str, npt.NDArray[Any]]:
    return {
        f"{prefix}/{part}/{name}": array
        for part, arrays in asdict(reference).items()
        if arrays is not None
        for name, array in arrays.items()
    }


def _unflatten(stored: dict[str, npt.NDArray[Any]], prefix: str) -> BlockReference:
    def part(name: str, kind: type[T]) -> T | None:
        fields: Any = kind
        keys = {f: f"{prefix}/{name}/{f}" for f in fields.__dataclass_fields__}
        if not all(key in stored for key in keys.values()):
            return None
        return kind(**{f: stored[key] for f, key in keys.items()})

    parts: dict[str, Any] = {name: part(name, kind) for name, kind in _PARTS.items()}
    return BlockReference(**parts)


def _source_hash() -> str:
    """Return a hash of the specification, the regimes and what computes references from them."""
    root = Path(softmax_variants_spec.__file__).parent
    here = Path(__file__).parent
    others = {here, root / "vectors"}
    files = [p for p in sorted(root.rglob("*.py")) if others.isdisjoint(p.parents)]
    files += [*sorted(here.glob("regimes*.py")), here / "blocks.py", Path(__file__)]
    files += [*sorted(here.glob("recorded/*.json"))]
    digest = hashlib.sha256(mpmath.__version__.encode())
    for file in files:
        digest.update(file.name.encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()[:16]


def _cache_root() -> Path:
    chosen = os.environ.get("SOFTMAX_VARIANTS_CACHE")
    if chosen:
        return Path(chosen)
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or str(Path.home())
    else:
        base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "softmax_variants"


def _rows_hash(blocks: dict[str, list[Block]]) -> str:
    """Return a hash of the rows.

    The source makes them with NumPy, whose streams and functions may have other bits in another
    version or on another processor.
    """
    digest = hashlib.sha256()
    for name, ones in blocks.items():
        for block in ones:
            digest.update(name.encode())
            for part in fields(block):
                value = getattr(block, part.name)
                array = isinstance(value, np.ndarray)
                digest.update(value.tobytes() if array else repr(value).encode())
    return digest.hexdigest()[:8]


def _cache_file(
    variant: Variant, fmt: Format, blocks: dict[str, list[Block]], *, smoke: bool
) -> Path:
    part = "smoke" if smoke else "full"
    name = f"{variant.label}-{fmt.name}-{part}-{_rows_hash(blocks)}.npz"
    return _cache_root() / _source_hash() / name


def _load(path: Path) -> dict[str, npt.NDArray[Any]] | None:
    """Return what is stored, or None where nothing whole is: it is then computed again."""
    try:
        # Opened here: a file that is no whole archive would be left open by NumPy.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            index, data = json.loads(str(stored["index"])), stored["data"]
            arrays, start = {}, 0
            for name, dtype, shape in index:
                stop = start + math.prod(shape)
                arrays[name] = data[start:stop].reshape(shape).astype(dtype)
                start = stop
    except Exception:
        return None
    return arrays if start == data.size else None


def _store(path: Path, references: dict[str, list[BlockReference]]) -> None:
    """Write the references whole or not at all; a cache that cannot be written is done without.

    All arrays go into one of binary64, which holds their integers and booleans too: thousands of
    small ones would take longer to read than to compute.
    """
    arrays: dict[str, npt.NDArray[Any]] = {}
    for name, blocks in references.items():
        for i, reference in enumerate(blocks):
            arrays |= _flatten(f"{name}/{i}", reference)
    index = [(name, array.dtype.str, array.shape) for name, array in arrays.items()]
    data = np.concatenate([array.astype(np.float64).ravel() for array in arrays.values()])
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".part", delete=False) as file:
            try:
                np.savez_compressed(file, index=json.dumps(index), data=data)
                file.close()
                Path(file.name).replace(path)
            except BaseException:
                Path(file.name).unlink(missing_ok=True)
                raise
    except OSError:
        return
