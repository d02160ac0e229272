"""The number of threads where no library says it: the variable, CPUs, quotas of containers."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from softmax_variants_backends._cpu import _threads

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """Eight CPUs, no control groups."""
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(os, "process_cpu_count", lambda: 8, raising=False)
    monkeypatch.setattr(_threads, "_GROUPS_OF_PROCESS", tmp_path / "cgroup")
    monkeypatch.setattr(_threads, "_GROUPS", tmp_path / "groups")
    _threads.process_threads.cache_clear()
    yield tmp_path
    _threads.process_threads.cache_clear()


@pytest.mark.parametrize(
    ("value", "threads"),
    [("3", 3), (" 12 ", 12), ("4,2", 4), ("", 8), ("0", 8), ("-1", 8), ("many", 8), ("2x", 8)],
)
def test_variable(value: str, threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", value)
    assert _threads.process_threads() == threads


def test_found_out_once(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _threads.process_threads() == 8
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert _threads.process_threads() == 8


def test_cpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "process_cpu_count", lambda: None)
    assert _threads.process_threads() == 1
    # Before Python 3.13.
    monkeypatch.delattr(os, "process_cpu_count")
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 3, 5}, raising=False)
    assert _threads._cpus() == 3
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 5)
    assert _threads._cpus() == 5


def write(folder: Path, **files: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text)


@pytest.mark.parametrize(
    ("quota", "threads"),
    [("max 100000", 8), ("200000 100000", 2), ("150000 100000", 2), ("10000 100000", 1)],
)
def test_quota(quota: str, threads: int, machine: Path) -> None:
    (machine / "cgroup").write_text("0::/pod/box\n")
    write(machine / "groups" / "pod" / "box", cpu__max=f"{quota}\n")
    assert _threads.process_threads() == threads


def test_quota_of_a_group_further_up(machine: Path) -> None:
    (machine / "cgroup").write_text("0::/pod/box\n")
    write(machine / "groups" / "pod", cpu__max="300000 100000\n")
    write(machine / "groups" / "pod" / "box", cpu__max="500000 100000\n")
    assert _threads.process_threads() == 3


def test_a_path_that_is_there_outside_of_the_container_only(machine: Path) -> None:
    (machine / "cgroup").write_text("0::/docker/0123\n")
    write(machine / "groups", cpu__max="400000 100000\n")
    assert _threads.process_threads() == 4


@pytest.mark.parametrize(("quota", "threads"), [("-1", 8), ("250000", 3)])
def test_quota_of_version_1(quota: str, threads: int, machine: Path) -> None:
    (machine / "cgroup").write_text("5:cpuset:/\n4:cpuacct,cpu:/box\n0::/\n")
    folder = machine / "groups" / "cpu" / "box"
    write(folder, cpu__cfs_quota_us=f"{quota}\n", cpu__cfs_period_us="100000\n")
    write(machine / "groups" / "cpuset", cpu__max="100000 100000\n")
    assert _threads.process_threads() == threads


@pytest.mark.parametrize("text", ["", "100000", "100000 0", "a b"])
def test_a_limit_that_is_none(text: str, machine: Path) -> None:
    (machine / "cgroup").write_text("0::/\n")
    write(machine / "groups", cpu__max=text)
    assert _threads.process_threads() == 8
