"""Forked children: the pool starts afresh in them, whatever the parent's threads were doing."""

from __future__ import annotations

import subprocess
import sys

import pytest

BEFORE = """
import os, signal, sys, threading, time
from softmax_variants_backends._cpu import _pool

def concurrently():
    # Ends only if two threads are at work at once.
    together = threading.Barrier(2)
    _pool.run(lambda begin, end: together.wait(20), 2, 1, 2)

def fork(child):
    pid = os.fork()
    if pid == 0:
        signal.alarm(20)
        try:
            child()
        except BaseException as error:
            print(type(error).__name__, error, flush=True)
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
"""

CASES = {
    "before any call": """
assert fork(concurrently) == 0
concurrently()
""",
    "after a call": """
concurrently()
assert fork(concurrently) == 0
concurrently()
""",
    "a child's child": """
concurrently()
def child():
    concurrently()
    assert fork(concurrently) == 0
    concurrently()
assert fork(child) == 0
""",
    "while another thread has the pool": """
begun, go_on = threading.Event(), threading.Event()
def task(begin, end):
    begun.set()
    assert go_on.wait(20)
caller = threading.Thread(target=_pool.run, args=(task, 4, 1, 2))
caller.start()
assert begun.wait(20)
assert not _pool._pool.busy.acquire(blocking=False)
assert fork(concurrently) == 0
go_on.set()
caller.join(20)
assert not caller.is_alive()
concurrently()
""",
    "while others call": """
stop = threading.Event()
def call():
    while not stop.is_set():
        _pool.run(lambda begin, end: None, 8, 1, 3)
callers = [threading.Thread(target=call) for _ in range(3)]
for caller in callers:
    caller.start()
for _ in range(50):
    assert fork(concurrently) == 0
stop.set()
for caller in callers:
    caller.join(20)
    assert not caller.is_alive()
""",
}


@pytest.mark.parametrize("case", CASES)
def test_fork(case: str) -> None:
    # In a process of its own: this one has many threads by now, of which forks warn.
    code = f"{BEFORE}{CASES[case]}print('done')"
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", code],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "done\n", "")
