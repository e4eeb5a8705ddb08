"""A peer in a PID namespace, whose first process ends with our end of a pipe: whatever becomes of the bench, none of it stays behind."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import IO

from tests.bench.failures import BenchError

_PIDS = ("--pid", "--fork", "--kill-child")
_PATIENCE = 10.0


def check(program: str, package: str) -> None:
    """BenchError: no root, no namespaces, or the peer's program is not installed."""
    if os.geteuid():
        raise BenchError(f"{program} is started in namespaces of its own: run as root, or name other scenarios by --only")
    if not shutil.which("unshare"):
        raise BenchError("no unshare to make a namespace with: apt-get install util-linux")
    if not shutil.which(program):
        raise BenchError(f"no {program} to compare with: apt-get install {package}")


@contextmanager
def contained(script: str, path: str, options: Sequence[str] = (), prefix: Sequence[str] = ()) -> Iterator[subprocess.Popen[bytes]]:
    """A shell's `script`, to which `path` is $1, until the end of the block. It starts what it will, and must end in `exec cat >/dev/null`.

    `options` are more of unshare's, `prefix` the words of a command that runs another.
    """
    namespace = subprocess.Popen(["unshare", *options, *_PIDS, *prefix, "sh", "-c", script, "sh", path], stdin=subprocess.PIPE)
    try:
        yield namespace
    finally:
        _stop(namespace)


def wait(namespace: subprocess.Popen[bytes], ready: Callable[[], bool], complaint: str) -> None:
    """Until it is ready. BenchError with the complaint: it has ended, or takes too long."""
    until = time.monotonic() + _PATIENCE
    while not ready():
        if namespace.poll() is not None or time.monotonic() > until:
            raise BenchError(complaint)
        time.sleep(0.02)


def _stop(namespace: subprocess.Popen[bytes]) -> None:
    pipe: IO[bytes] | None = namespace.stdin
    if pipe:
        pipe.close()
    try:
        namespace.wait(_PATIENCE)
    except subprocess.TimeoutExpired:
        namespace.kill()  # and with it, by --kill-child, everything in the namespace
        namespace.wait()
