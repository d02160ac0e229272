"""Block shapes of the attention kernels, chosen by measurement on an H100.

Devices of compute capability 8.6, 8.9 and 12.x have 99 KiB of shared memory for a program, against
163 KiB on 8.0 and 227 KiB on 9.0 and 10.0; and those before 9.0 hold the operands of a matrix
product in registers. They get smaller blocks, chosen so that nothing is short of either.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["Config", "forward_config", "keys_config", "queries_config", "rows_config"]


class Config(NamedTuple):
    """How a kernel is cut up and scheduled."""

    block_m: int
    """Queries in a block."""

    block_n: int
    """Keys in a block."""

    warps: int
    """Warps in a program."""

    stages: int
    """Loads in flight in its loops."""


def forward_config(
    dim: int, capability: tuple[int, int], *, extrema: bool, has_mask: bool
) -> Config:
    """Return the configuration of the forward kernel at a (padded) head dimension."""
    if not _is_large(capability):
        return Config(64, 32, 4, 2) if dim <= 64 else Config(64, 32, 8, 2)
    if dim <= 64:
        return Config(64, 64, 4, 3)
    if dim <= 128 and not has_mask:
        # Counting ties takes registers that larger blocks do not have.
        return Config(64, 64, 4, 2) if extrema else Config(128, 64, 8, 3)
    # A mask takes an address for each of a tile's elements: smaller tiles for each thread.
    return Config(64, 32, 8, 2)


def queries_config(dim: int, capability: tuple[int, int]) -> Config:
    """Return the configuration of the kernel that writes dq."""
    if not _is_large(capability):
        if dim <= 128:
            return Config(64, 64, 4, 2) if dim <= 64 else Config(64, 32, 4, 2)
        return Config(64, 32, 8, 1)
    if dim <= 64:
        return Config(64, 64, 4, 3)
    return Config(128, 64, 8, 3) if dim <= 128 else Config(64, 32, 8, 1)


def keys_config(dim: int, capability: tuple[int, int]) -> Config:
    """Return the configuration of the kernel that writes dk and dv."""
    if not _is_large(capability):
        if dim <= 128:
            return Config(32, 64, 4, 2) if dim <= 64 else Config(32, 64, 8, 2)
        return Config(32, 32, 8, 1)
    if dim <= 64:
        return Config(64, 64, 4, 2)
    return Config(32, 64, 4, 3) if dim <= 128 else Config(32, 64, 8, 1)


def rows_config(dim: int) -> Config:
    """Return the configuration of the kernel that comes before these two."""
    return Config(64, 32, 4, 2) if dim <= 128 else Config(32, 32, 8, 1)


def _is_large(capability: tuple[int, int]) -> bool:
    """Return whether a device has the shared memory of an H100, and its matrix instructions."""
    return capability[0] in (9, 10)
