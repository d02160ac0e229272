"""How many threads a call may use, where the array library does not say: NumPy does not.

``OMP_NUM_THREADS`` if it is set, else the CPUs that this process may use: those of its affinity
mask (and of ``PYTHON_CPU_COUNT``, from Python 3.13 on), but no more than a container's CPU quota
amounts to. Found out once a process, at the first call that is large enough.
"""

from __future__ import annotations

import os
import re
from functools import cache
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["process_threads"]

_GROUPS_OF_PROCESS = Path("/proc/self/cgroup")
_GROUPS = Path("/sys/fs/cgroup")


@cache
def process_threads() -> int:
    """Return the number of threads, 1 at least."""
    # A list has one number for each level of nesting.
    wanted = re.match(r"\s*(\d+)\s*(,|$)", os.environ.get("OMP_NUM_THREADS", ""))
    if wanted and int(wanted[1]) > 0:
        return int(wanted[1])
    return min([_cpus(), *map(ceil, _quotas())])


def _cpus() -> int:
    if hasattr(os, "process_cpu_count"):
        return os.process_cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _quotas() -> Iterator[float]:
    """Yield the CPUs that each control group of this process is allowed to keep busy."""
    try:
        memberships = _GROUPS_OF_PROCESS.read_text(encoding="utf-8").splitlines()
    except OSError:  # not Linux
        return
    for membership in memberships:
        _, controllers, path = membership.split(":", maxsplit=2)
        # Version 2 has one hierarchy for all controllers, version 1 one each.
        if controllers and "cpu" not in controllers.split(","):
            continue
        top = _GROUPS / "cpu" if controllers else _GROUPS
        group = top / path.lstrip("/")
        # In a container, the path may be the one outside of it: then only the top is there.
        for folder in (group, *group.parents):
            quota = _quota(folder)
            if quota is not None:
                yield quota
            if folder == top:
                break


def _quota(folder: Path) -> float | None:
    """Return the CPUs that a control group is allowed, None if it sets no limit."""
    try:
        if (folder / "cpu.max").exists():
            quota, period = (folder / "cpu.max").read_text(encoding="utf-8").split()
        else:
            quota, period = (
                (folder / f"cpu.cfs_{name}_us").read_text(encoding="utf-8").strip()
                for name in ("quota", "period")
            )
        return int(quota) / int(period) if int(quota) > 0 else None
    except (OSError, ValueError, ZeroDivisionError):
        # No such file at the root, or "max".
        return None
