"""The array-API functions on JAX arrays, with derivatives by the variants' own vjp.

What JAX itself would differentiate are error terms, clamps and powers of two made of integers:
the result would be wrong without a word. So reverse mode goes through ``custom_vjp``; forward
mode raises JAX's TypeError, second derivatives a NotImplementedError.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jax

from softmax_variants_backends.array_api import _functions as array_api

from ._namespace import Guarded, guarded_namespace, namespace, reveal

if TYPE_CHECKING:
    from collections.abc import Callable

    Options = dict[str, Any]

__all__ = ["differentiable", "gradients"]


def _is_array(value: Any) -> bool:
    return isinstance(value, jax.Array)


def _call(name: str, arguments: tuple[Any, ...], options: Options) -> Any:
    """Return what the array-API function of that name returns, traced operations guarded."""
    function = getattr(array_api, name)
    if not any(isinstance(v, jax.core.Tracer) for v in (*arguments, *options.values())):
        return function(*arguments, **options, xp=namespace)
    guarded = [Guarded(v) if _is_array(v) else v for v in arguments]
    guarded_options = {k: Guarded(v) if _is_array(v) else v for k, v in options.items()}
    result = reveal(function(*guarded, **guarded_options, xp=guarded_namespace))
    return tuple(result) if isinstance(result, list) else result


def _closed(
    name: str, arguments: tuple[Any, ...], options: Options
) -> tuple[Callable[..., Any], tuple[Any, ...], tuple[Any, ...]]:
    """Return a function of the arrays among arguments and options, and these two groups.

    Python numbers stay outside: as arguments they would be rounded to JAX's default type.
    """
    places = [i for i, value in enumerate(arguments) if _is_array(value)]
    names = [key for key, value in options.items() if _is_array(value)]

    def function(differentiated: tuple[Any, ...], others: tuple[Any, ...]) -> Any:
        full = list(arguments)
        for i, value in zip(places, differentiated, strict=True):
            full[i] = value
        return _call(name, tuple(full), options | dict(zip(names, others, strict=True)))

    return function, tuple(arguments[i] for i in places), tuple(options[key] for key in names)


def differentiable(name: str, arguments: tuple[Any, ...], options: Options) -> Any:
    """Return the weights of the function ``name``.

    Derivatives are those of its vjp, by the arrays among ``arguments``, not those in ``options``.
    """
    plain, arrays, others = _closed(name, arguments, options | {"out": None})
    function = jax.custom_vjp(plain)

    def forward(arrays: tuple[Any, ...], others: tuple[Any, ...]) -> tuple[Any, Any]:
        return plain(arrays, others), (arrays, others)

    def backward(saved: tuple[Any, Any], dy: Any) -> tuple[Any, None]:
        arrays, others = saved
        restored = iter(arrays)
        full = [next(restored) if _is_array(value) else value for value in arguments]
        named = iter(others)
        kept = {k: next(named) if _is_array(value) else value for k, value in options.items()}
        found = gradients(f"{name}_vjp", (full[0], dy, *full[1:]), kept)
        each = found if isinstance(found, tuple) else (found,)
        asked = zip(each, arguments, strict=True)
        return tuple(one for one, value in asked if _is_array(value)), None

    function.defvjp(forward, backward)
    return function(arrays, others)


def gradients(name: str, arguments: tuple[Any, ...], options: Options) -> Any:
    """Return the gradients of the function ``name``, which cannot be differentiated again."""
    plain, arrays, others = _closed(name, arguments, options)
    function = jax.custom_vjp(plain)

    def forward(arrays: tuple[Any, ...], others: tuple[Any, ...]) -> tuple[Any, None]:
        return plain(arrays, others), None

    def backward(saved: None, cotangents: Any) -> Any:
        del saved, cotangents
        msg = "second derivatives of softmax_variants functions are not implemented"
        raise NotImplementedError(msg)

    function.defvjp(forward, backward)
    return function(arrays, others)
