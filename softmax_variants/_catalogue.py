"""The catalogue: which functions exist, with which forms, and which backends are ours.

Read by the dispatcher and by the conformance suite, so that both speak of the same functions.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["BACKEND_MODULES", "FORMS", "FUNCTIONS", "Function"]

FORMS = ("plain", "shifted", "minmax", "normalized")
"""Gates of ``sa_softmax``; the paper's default is ``"normalized"``."""


@dataclass(frozen=True)
class Function:
    """One function of the family, as the public API and every backend name it."""

    name: str
    """Name of the weights function; its vector-Jacobian product is ``<name>_vjp``."""
    parameters: tuple[str, ...]
    """Parameters beside the logits that receive gradients, in the order of the signature."""
    forms: tuple[str, ...]
    """Values of ``form=``; empty where the function takes none."""

    @property
    def vjp(self) -> str:
        """Name of the vector-Jacobian product."""
        return f"{self.name}_vjp"


FUNCTIONS = (
    Function("softmax", parameters=(), forms=()),
    Function("ssmax", parameters=("s", "b"), forms=()),
    Function("sa_softmax", parameters=(), forms=FORMS),
)

BACKEND_MODULES = {
    "numpy": "softmax_variants_backends.numpy",
    "torch": "softmax_variants_backends.torch",
    "cupy": "softmax_variants_backends.cupy",
    "jax": "softmax_variants_backends.jax",
    "dask": "softmax_variants_backends.dask",
    "array_api": "softmax_variants_backends.array_api",
}
"""Names that ``backend=`` and the command line accept, with the module behind each."""
