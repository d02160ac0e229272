"""What this package needs: the import says how to get it where it is missing."""

from __future__ import annotations

try:
    import torch  # noqa: F401
except ModuleNotFoundError as error:
    if error.name != "torch":
        raise
    msg = 'softmax_variants.torch needs PyTorch: pip install "softmax-variants[torch]"'
    raise ModuleNotFoundError(msg, name="torch") from error

__all__: list[str] = []
