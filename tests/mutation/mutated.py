"""Import the backend afresh, with one of its modules changed in memory."""

from __future__ import annotations

import hashlib
import importlib
import sys
from importlib.abc import MetaPathFinder
from importlib.machinery import SourceFileLoader
from importlib.util import spec_from_file_location
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from importlib.machinery import ModuleSpec

__all__ = ["BACKEND", "PACKAGE", "backend_hash", "mutate", "source_of"]

PACKAGE = "softmax_variants_backends.array_api"
BACKEND = Path(__file__).resolve().parents[2] / "backends/softmax_variants_backends/array_api"


class _Loader(SourceFileLoader):
    """Loads a module from the text it is given, never from compiled files."""

    def __init__(self, name: str, path: str, source: str) -> None:
        super().__init__(name, path)
        self._source = source

    def get_code(self, fullname: str) -> Any:
        return compile(self._source, self.path, "exec", dont_inherit=True)


class _Finder(MetaPathFinder):
    def __init__(self, name: str, path: Path, source: str) -> None:
        self._name, self._path, self._source = name, path, source

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> ModuleSpec | None:
        if fullname != self._name:
            return None
        package = self._path.name == "__init__.py"
        return spec_from_file_location(
            fullname,
            self._path,
            loader=_Loader(fullname, str(self._path), self._source),
            submodule_search_locations=[str(self._path.parent)] if package else None,
        )


def backend_hash() -> str:
    """Return a hash of the backend's source, for which mutants and results are valid."""
    digest = hashlib.sha256()
    for file in sorted(BACKEND.glob("*.py")):
        digest.update(file.name.encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()


def source_of(mutant: dict[str, Any]) -> str:
    """Return the source of a mutant's module."""
    source = (BACKEND / mutant["file"]).read_text(encoding="utf-8")
    return f"{source[: mutant['start']]}{mutant['text']}{source[mutant['stop'] :]}"


def mutate(mutant: dict[str, Any]) -> None:
    """Import the backend with the mutant in place of its module; for this process from now on."""
    path = BACKEND / mutant["file"]
    name = PACKAGE if path.stem == "__init__" else f"{PACKAGE}.{path.stem}"
    for imported in [one for one in sys.modules if one == PACKAGE or one.startswith(f"{PACKAGE}.")]:
        del sys.modules[imported]
    sys.meta_path.insert(0, _Finder(name, path, source_of(mutant)))
    importlib.import_module(PACKAGE)
