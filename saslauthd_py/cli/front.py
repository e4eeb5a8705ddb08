"""`front`: the half of the daemon without privileges, as a unit of its own; and what the monitor of `serve` executes."""

from __future__ import annotations

import argparse
import os
import signal
import socket

from saslauthd_py import privileges
from saslauthd_py.cli.environment import Environment
from saslauthd_py.cli.exits import CommandFailed, Exit
from saslauthd_py.cli.imports import without_collections
from saslauthd_py.cli.main import fail
from saslauthd_py.cli.report import Text


def main() -> int:
    """Serve until SIGTERM. What goes wrong is told as a command tells it; the code to exit with."""
    privileges.seal()  # execve has made us dumpable again: before anything else is imported
    try:
        with without_collections():
            from saslauthd_py import app
            from saslauthd_py.monitor.front import CHANNEL

        app.serve_for_monitor(CHANNEL)
    except (Exception, KeyboardInterrupt) as error:
        return fail(error, Environment.of_process(), serving=True)
    return 0


def run(arguments: argparse.Namespace, _: Environment) -> Text:
    """Returns when it was told to stop. Raises what `main` tells, and CommandFailed where there is no monitor that is root."""
    signal.signal(signal.SIGHUP, lambda *_: None)  # before the imports, which take a while
    if os.geteuid() == 0:
        raise CommandFailed(Exit.DENIED, "the front is the half of the daemon that is not root: start it as the daemon's user, or `serve`")
    privileges.seal()
    channel = _meet(arguments.socket)

    with without_collections():
        from saslauthd_py import app

    app.serve_for_monitor(channel)
    return Text("")


def _meet(path: str) -> int:
    """The descriptor of a channel to the monitor at `path`, which must be root's."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as channel:
        try:
            channel.connect(path)
        except PermissionError:
            raise CommandFailed(Exit.DENIED, f"{path}: only the daemon's user may meet the monitor there") from None
        except OSError as error:
            raise CommandFailed(Exit.NOT_RUNNING, f"{path}: no monitor is there ({error.strerror}): start `saslauthd-py monitor`") from None
        if privileges.peer_ids(channel).uid != 0:
            raise CommandFailed(Exit.DENIED, f"{path}: who answers there is not root, so it is no monitor")
        return channel.detach()
