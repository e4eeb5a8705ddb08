"""Starts the front: forked from root, stripped of everything, and then this program anew (rule A2)."""

from __future__ import annotations

import os
import signal
import socket
import sys
from pathlib import Path
from typing import NoReturn

from saslauthd_py import privileges
from saslauthd_py.monitor.telling import say
from saslauthd_py.privileges import Ids, PrivilegeError

CHANNEL = 3
"""The descriptor of the front's channel."""

_ENTRY = "import sys; sys.path.append(sys.argv.pop()); from saslauthd_py.cli.front import main; sys.exit(main())"
_KEPT = (
    *("PATH", "LANG", "LC_ALL", "TZ", "KRB5_CONFIG"),
    *("NOTIFY_SOCKET", "WATCHDOG_USEC", "JOURNAL_STREAM", "CREDENTIALS_DIRECTORY", "INVOCATION_ID"),
)
_TOLD_LATER = (signal.SIGHUP, signal.SIGTERM, signal.SIGINT)
"""Blocked from before the fork until the front can be told by them: a Ctrl-C in between would be raised in the monitor's code."""

_CONFIGURATION = 78


def start(ids: Ids, ends: tuple[socket.socket, socket.socket]) -> int:
    """Fork a front that is `ids`, with the second of two connected ends. Returns its pid. For a process without threads."""
    parent = os.getpid()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _TOLD_LATER)
    try:
        pid = os.fork()
        if pid == 0:
            _become(ids, ends[1], parent)
        return pid
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _become(ids: Ids, channel: socket.socket, parent: int) -> NoReturn:
    """Never returns: what called it is the monitor's code."""
    try:
        signal.set_wakeup_fd(-1)
        os.dup2(channel.fileno(), CHANNEL, inheritable=True)
        os.closerange(CHANNEL + 1, 1 << 20)
        privileges.drop(ids)
        privileges.die_with_parent(parent)  # a change of ids undoes it, execve does not
        os.execve(sys.executable, _command(), _variables())  # noqa: S606 - this very program
    except PrivilegeError as error:
        say(str(error))
    except OSError as error:
        say(f"{sys.executable}: {ids.name} cannot run it: {error.strerror}; install saslauthd-py where every user can read it")
    finally:
        os._exit(_CONFIGURATION)


def _command() -> list[str]:
    return [sys.executable, "-I", "-c", _ENTRY, str(Path(__file__).resolve().parents[2])]


def _variables() -> dict[str, str]:
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    return kept | ({"WATCHDOG_PID": str(os.getpid())} if "WATCHDOG_USEC" in kept else {})
