"""A daemon as a child process: started, awaited without polling, and ended."""

from __future__ import annotations

import os
import selectors
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from saslauthd_py.cli.exits import CommandFailed, Exit

START_PATIENCE = 20.0
"""Seconds until READY; a start takes half of one."""

STOP_PATIENCE = 20.0
"""Seconds from SIGTERM to SIGKILL: the daemon's own deadline for what is under way, and some."""


@dataclass(frozen=True, slots=True)
class Meeting:
    """Where a child reports that it is ready (sd_notify(3)), and who may report: the user that the daemon becomes."""

    path: str
    uid: int


def command(*arguments: str) -> list[str]:
    """This program anew: by the same Python, apart from the caller's directory and PYTHON... variables."""
    return [sys.executable, "-I", "-m", "saslauthd_py", *arguments]


@contextmanager
def serving(configuration: str, meeting: Meeting, variables: Mapping[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """A daemon that is ready; ended on the way out. Its log goes to our standard error. CommandFailed: it did not become ready."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notices:
        notices.bind(meeting.path)
        os.chmod(meeting.path, 0o600)
        if os.geteuid() == 0:
            os.chown(meeting.path, meeting.uid, -1)
        child = subprocess.Popen(  # noqa: S603 - this very program
            command("serve", "--config", configuration),
            env={**variables, "NOTIFY_SOCKET": meeting.path},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,  # nothing comes out of it but its end, when the child ends
        )
        with child:
            try:
                _await_ready(child, notices)
                yield child
            finally:
                _end(child)


def _await_ready(child: subprocess.Popen[bytes], notices: socket.socket) -> None:
    until = time.monotonic() + START_PATIENCE
    with selectors.DefaultSelector() as selector:
        selector.register(notices, selectors.EVENT_READ)
        selector.register(child.stdout, selectors.EVENT_READ)  # type: ignore[arg-type]  # never None: it was asked for
        while events := selector.select(max(until - time.monotonic(), 0)):
            if all(key.fileobj is not notices for key, _ in events):
                raise CommandFailed(Exit.UNAVAILABLE, f"the daemon ended with status {child.wait()} before it was ready: see above why")
            if b"READY=1" in notices.recv(4096).split(b"\n"):
                return
    raise CommandFailed(Exit.UNAVAILABLE, f"the daemon was not ready after {START_PATIENCE:.0f} s")


def _end(child: subprocess.Popen[bytes]) -> None:
    child.terminate()
    try:
        child.wait(STOP_PATIENCE)
    except subprocess.TimeoutExpired:
        child.kill()
