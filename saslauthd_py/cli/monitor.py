"""`monitor`: the half of the daemon that is root, as a unit of its own."""

from __future__ import annotations

import argparse
import os
import signal

from saslauthd_py.cli.environment import Environment
from saslauthd_py.cli.exits import CommandFailed, Exit
from saslauthd_py.cli.imports import without_collections
from saslauthd_py.cli.report import Text


def run(arguments: argparse.Namespace, _: Environment) -> Text:
    """Returns when it was told to stop, or the front has gone. Raises ConfigurationError, and what a monitor raises."""
    signal.signal(signal.SIGHUP, lambda *_: None)  # before the imports, which take a while

    with without_collections():
        from saslauthd_py.config.load import DEFAULT_PATH, check
        from saslauthd_py.monitor import process
        from saslauthd_py.notify import Notifier

    if os.geteuid() != 0:
        raise CommandFailed(Exit.DENIED, "the monitor is the half of the daemon that is root: start it as root, or start `serve` alone")
    path = arguments.config or DEFAULT_PATH
    notifier = Notifier.from_environment(os.environ)
    try:
        process.attend(check(path, for_root=True), path, arguments.socket, notifier.ready)
    except process.FrontEnded as ended:
        raise CommandFailed(Exit.UNAVAILABLE, str(ended)) from ended
    return Text("")
