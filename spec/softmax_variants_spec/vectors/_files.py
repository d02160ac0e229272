"""The files of golden vectors: reading, checksums, and what makes their inputs permanent."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from importlib import resources
from typing import TYPE_CHECKING, Any

from softmax_variants_spec.formats import FORMATS, Format
from softmax_variants_spec.vectors._results import results_of
from softmax_variants_spec.vectors._vector import Vector, lines

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

__all__ = [
    "VARIANTS",
    "Group",
    "VectorFile",
    "checksum",
    "data",
    "file_name",
    "first_difference",
    "frozen_inputs",
    "index_of",
    "load",
    "parse",
    "read_index",
    "recomputed",
]

FORMAT_VERSION = 1
"""Version of the layout of the files."""

SPECIFICATION_VERSION = "0.1.0"
"""Version of the distribution whose specification the results follow."""

LICENSE = "BSD-3-Clause"
"""SPDX identifier of the licence of the files."""

VARIANTS = (
    "softmax",
    "ssmax",
    "sa_softmax.plain",
    "sa_softmax.shifted",
    "sa_softmax.minmax",
    "sa_softmax.normalized",
)
"""Names of the variants, as `load` takes them."""


@dataclass(frozen=True)
class Group:
    """What rows have in common."""

    sentence: str
    """What they are hard for, or the sentence about special values that they check."""
    strictest: str
    """The strictest accuracy class that is asked of them: a stricter claim counts as this one."""


@dataclass(frozen=True)
class VectorFile:
    """The vectors of one variant and format.

    Examples
    --------
    >>> file = load("sa_softmax.plain", "float16")
    >>> file.function, file.form, file.fmt.precision, file.groups["masked"].strictest
    ('sa_softmax', 'plain', 11, 'correct')
    """

    variant: str
    """One of `VARIANTS`."""
    fmt: Format
    """Format of logits, cotangents and results; s, b and n are binary64 or integers."""
    groups: dict[str, Group]
    """By name."""
    vectors: tuple[Vector, ...]
    """In the order in which they were added."""

    @property
    def function(self) -> str:
        """Name of the function."""
        return self.variant.split(".")[0]

    @property
    def form(self) -> str | None:
        """Form of ``sa_softmax``; None for other functions."""
        return self.variant.partition(".")[2] or None

    def text(self) -> str:
        """Return the file's text."""
        written = {
            "schema": "vectors.schema.json",
            "format_version": FORMAT_VERSION,
            "license": LICENSE,
            "function": self.function,
            "form": self.form,
            "format": {
                "name": self.fmt.name,
                "precision": self.fmt.precision,
                "emax": self.fmt.emax,
            },
            "groups": {name: asdict(group) for name, group in self.groups.items()},
            "vectors": [vector.to_json() for vector in self.vectors],
        }
        return lines(written) + "\n"


def data() -> Traversable:
    """Return the folder of the files, which an installed package carries."""
    return resources.files("softmax_variants_spec.vectors") / "data"


def file_name(variant: str, dtype: str) -> str:
    """Return the name of the file of a variant and format.

    Raises
    ------
    ValueError
        If there is none.

    Examples
    --------
    >>> file_name("sa_softmax.plain", "float16")
    'sa_softmax.plain-float16.json'
    """
    if variant not in VARIANTS:
        msg = f"variant must be one of {', '.join(VARIANTS)}, got {variant!r}"
        raise ValueError(msg)
    if dtype not in FORMATS:
        msg = f"dtype must be one of {', '.join(FORMATS)}, got {dtype!r}"
        raise ValueError(msg)
    return f"{variant}-{dtype}.json"


def load(variant: str, dtype: str) -> VectorFile:
    """Return the vectors of a variant and format, after comparing the file with its checksum.

    Parameters
    ----------
    variant
        One of `VARIANTS`.
    dtype
        ``"float16"``, ``"bfloat16"``, ``"float32"`` or ``"float64"``.

    Raises
    ------
    ValueError
        If there is no such file, or it is not the one that the index describes.

    Examples
    --------
    >>> file = load("softmax", "float32")
    >>> vector = file.vectors[0]
    >>> vector.id, len(vector.row.x) == len(vector.results["weights"].value)
    ('softmax/float32/special/absent-weight/0', True)
    """
    name = file_name(variant, dtype)
    content = (data() / name).read_bytes()
    entries = {entry["file"]: entry for entry in read_index(data())["files"]}
    if name not in entries or entries[name]["sha256"] != checksum(content):
        msg = f"{name} is not the file that index.json describes: its SHA-256 differs"
        raise ValueError(msg)
    return parse(name, content)


def parse(name: str, content: bytes) -> VectorFile:
    """Return what a file holds.

    Parameters
    ----------
    name
        Name of the file, for messages.
    content
        Its bytes.

    Raises
    ------
    ValueError
        If it is not a file of golden vectors; the message names the vector.
    """
    place = "the file"
    try:
        written = json.loads(content)
        if written["format_version"] != FORMAT_VERSION:
            msg = f"format_version is {written['format_version']}, this reads {FORMAT_VERSION}"
            raise ValueError(msg)
        function, form = written["function"], written["form"]
        vectors = []
        for number, one in enumerate(written["vectors"]):
            place = f"vector {one.get('id', number)}"
            vectors.append(Vector.from_json(one, function, form))
        place = "the file"
        return VectorFile(
            variant=function if form is None else f"{function}.{form}",
            fmt=FORMATS[written["format"]["name"]],
            groups={name: Group(**group) for name, group in written["groups"].items()},
            vectors=tuple(vectors),
        )
    except KeyError as error:
        msg = f"{name}: {place} has no {error}"
        raise ValueError(msg) from error
    except (AttributeError, TypeError, ValueError) as error:
        msg = f"{name}: {place} is not as the schema wants it: {error}"
        raise ValueError(msg) from error


def checksum(content: bytes) -> str:
    """Return the SHA-256 of bytes as hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


def read_index(folder: Traversable) -> dict[str, Any]:
    """Return the index of a folder of files; an empty one where there is none yet."""
    path = folder / "index.json"
    if not path.is_file():
        return {"files": []}
    index: dict[str, Any] = json.loads(path.read_bytes())
    return index


def index_of(entries: list[dict[str, Any]]) -> str:
    """Return the text of the index of files."""
    index = {
        "schema": "index.schema.json",
        "format_version": FORMAT_VERSION,
        "specification_version": SPECIFICATION_VERSION,
        "license": LICENSE,
        "files": entries,
    }
    return lines(index) + "\n"


def frozen_inputs(vectors: tuple[Vector, ...]) -> str:
    """Return a hash of what never changes about vectors: ids, inputs, names of results."""
    fixed = [[vector.inputs(), sorted(vector.results)] for vector in vectors]
    return checksum(json.dumps(fixed, sort_keys=True).encode())


def recomputed(file: VectorFile) -> VectorFile:
    """Return a file with the results that the specification gives to its inputs."""
    return replace(file, vectors=tuple(_recomputed(vector, file.fmt) for vector in file.vectors))


def _recomputed(vector: Vector, fmt: Format) -> Vector:
    always = {name: result.always for name, result in vector.results.items()}
    return replace(vector, results=results_of(vector.row, vector.dy, fmt, always))


def first_difference(stored: Vector, computed: Vector) -> str:
    """Return where the results of a vector differ first, or "" where they do not.

    Examples
    --------
    >>> vector = load("softmax", "float32").vectors[0]
    >>> first_difference(vector, vector)
    ''
    """
    for name, result in stored.results.items():
        before, after = result.to_json(), computed.results[name].to_json()
        for field in {**before, **after}:
            if before.get(field) != after.get(field):
                was, now = before.get(field), after.get(field)
                return f"{stored.id}: {name}.{field} is {was} in the file, and computed {now}"
    return ""
