"""What this package needs: the import says how to get it where it is missing."""

from __future__ import annotations

try:
    import transformers  # noqa: F401
except ModuleNotFoundError as error:
    if error.name != "transformers":
        raise
    msg = (
        "softmax_variants.transformers needs the transformers library: "
        'pip install "softmax-variants[transformers]"'
    )
    raise ModuleNotFoundError(msg, name="transformers") from error

__all__: list[str] = []
