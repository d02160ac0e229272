"""Dispatch: from the library of the logits, or the choice of the caller, to a backend's function.

The table is closed. Packages may name backends of their own (entry points of the group
``softmax_variants.backends``), but such a name only works when asked for: an installed package
changes nobody's numbers by being there.
"""

from __future__ import annotations

from importlib import metadata
from types import ModuleType
from typing import TYPE_CHECKING, Any

from ._catalogue import BACKEND_MODULES
from ._libraries import COMPAT_PREFIX, describe, title

if TYPE_CHECKING:
    from collections.abc import Callable

    from ._typing import Backend

__all__ = ["ANY_LIBRARY", "ENTRY_POINT_GROUP", "find"]

ENTRY_POINT_GROUP = "softmax_variants.backends"

ANY_LIBRARY = "array_api"
"""The backend of every namespace without one of its own; it can be asked for with any array."""

_OWN_NAMES = {path: name for name, path in BACKEND_MODULES.items()}

_LIBRARIES = {name: name for name in BACKEND_MODULES} | {"jax": "jax.numpy", "dask": "dask.array"}
"""The library whose arrays each of our backends takes, as ``library_of`` names it."""

_BACKENDS = {library: name for name, library in _LIBRARIES.items()}

_loaded: dict[str, ModuleType] = {}
"""Modules of our own backends and of entry points, by name, once imported."""


def find(function: str, library: str, backend: Backend | None) -> Callable[..., Any]:
    """Return a backend's function for arrays of a library.

    Raises
    ------
    TypeError
        If ``backend`` is neither a name, a module nor None.
    ValueError
        If no backend has the name, or the backend is for arrays of another library.
    NotImplementedError
        If the backend lacks the function.
    ImportError
        If the backend that an entry point names cannot be imported.
    """
    if backend is None:
        module = _own(_BACKENDS.get(library, ANY_LIBRARY))
    else:
        module = _chosen(backend, library)
    found: Callable[..., Any] | None = getattr(module, function, None)
    if found is None:
        msg = f"backend {_label(module)} has no function {function}"
        raise NotImplementedError(msg)
    return found


def _own(name: str) -> ModuleType:
    """Return the module of one of our backends."""
    module = _loaded.get(name)
    if module is None:
        module = _loaded[name] = _import_own(name)
    return module


def _import_own(name: str) -> ModuleType:
    # Import statements, one a backend, since torch.compile traces them; importlib it does not.
    module: ModuleType
    if name == "numpy":
        from softmax_variants_backends import numpy as module
    elif name == "torch":
        from softmax_variants_backends import torch as module
    elif name == "cupy":
        from softmax_variants_backends import cupy as module
    elif name == "jax":
        from softmax_variants_backends import jax as module
    elif name == "dask":
        from softmax_variants_backends import dask as module
    else:
        from softmax_variants_backends import array_api as module
    return module


def _chosen(backend: Backend, library: str) -> ModuleType:
    """Return the module that ``backend=`` asks for, if it takes arrays of the library."""
    if isinstance(backend, str) and backend in BACKEND_MODULES:
        # Checked before the import: PyTorch's backend needs PyTorch.
        _check_library(repr(backend), _LIBRARIES[backend], library)
        return _own(backend)
    if isinstance(backend, str):
        module = _third_party(backend)
    elif isinstance(backend, ModuleType):
        module = backend
    else:
        msg = f"backend must be the name of a backend, a module or None, got {describe(backend)}"
        raise TypeError(msg)
    _check_library(_label(module), _library_served(module), library)
    return module


def _check_library(label: str, served: str, library: str) -> None:
    if served not in (library, ANY_LIBRARY):
        msg = f"backend {label} is for {title(served)} arrays, got x of {title(library)}"
        raise ValueError(msg)


def _library_served(module: ModuleType) -> str:
    """Return the library whose arrays a backend takes: the one of its namespace."""
    if module.__name__ in _OWN_NAMES:
        return _LIBRARIES[_OWN_NAMES[module.__name__]]
    namespace: str = getattr(module, "NAMESPACE", "numpy")
    return namespace.removeprefix(COMPAT_PREFIX)


def _third_party(name: str) -> ModuleType:
    """Return the module that an entry point gives a name."""
    if name in _loaded:
        return _loaded[name]
    registered = metadata.entry_points(group=ENTRY_POINT_GROUP)
    named = [entry for entry in registered if entry.name == name]
    if not named:
        known = ", ".join(map(repr, [*BACKEND_MODULES, *sorted(registered.names)]))
        msg = f"backend must be one of {known}, a module or None, got {name!r}"
        raise ValueError(msg)
    if len(named) > 1:
        values = ", ".join(entry.value for entry in named)
        msg = f"backend must be the name of one backend, got {name!r}, the name of {values}"
        raise ValueError(msg)
    (entry,) = named
    try:
        module = entry.load()
    except (ImportError, AttributeError) as error:
        msg = f"backend {name!r} ({entry.value}) cannot be imported: {error}"
        raise ImportError(msg) from error
    if not isinstance(module, ModuleType):
        msg = f"backend {name!r} ({entry.value}) must be a module, got {describe(module)}"
        raise TypeError(msg)
    _loaded[name] = module
    return module


def _label(module: ModuleType) -> str:
    """Return a backend as messages show it: by its name if it is ours, by its module if not."""
    return repr(_OWN_NAMES.get(module.__name__, module.__name__))
