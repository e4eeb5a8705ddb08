"""`serve`: the daemon, or a try whether it would start."""

from __future__ import annotations

import argparse
import os
import signal
from typing import TYPE_CHECKING

from saslauthd_py.cli.environment import Environment
from saslauthd_py.cli.exits import CommandFailed, Exit
from saslauthd_py.cli.imports import without_collections
from saslauthd_py.cli.report import Fields, Record, Text
from saslauthd_py.cli.syntax import DEFAULT_CONFIGURATION

if TYPE_CHECKING:
    from saslauthd_py.config.load import Checked
    from saslauthd_py.monitor.early import Early


def run(arguments: argparse.Namespace, _: Environment) -> Record | Text:
    """Returns when the daemon was told to stop, or --check found nothing. Raises ConfigurationError, StartError, what a monitor raises."""
    signal.signal(signal.SIGHUP, lambda *_: None)  # before the imports, which take a while: a reload that comes too early must not end us

    path = arguments.config or DEFAULT_CONFIGURATION
    if os.geteuid() == 0 and not arguments.check:
        from saslauthd_py.monitor import early

        with early.begun(path) as front:
            return _monitor(path, front)

    with without_collections():
        from saslauthd_py.config.load import check

    checked = check(path, for_root=os.geteuid() == 0)
    if arguments.check:
        return _check(path, checked)

    with without_collections():
        from saslauthd_py import app

    app.serve(path)
    return Text("")


def _monitor(path: str, front: Early) -> Text:
    """Nothing but the monitor is imported: what parses bytes from outside is a process of its own (rule A1)."""
    with without_collections():
        from saslauthd_py.config.load import check
        from saslauthd_py.monitor import process

    try:
        process.serve(check(path, for_root=True), path, front)
    except process.FrontEnded as ended:
        if str(ended):
            raise CommandFailed(Exit.UNAVAILABLE, str(ended)) from ended
        return Text("", exit=Exit(ended.code) if ended.code in set(Exit) else Exit.UNAVAILABLE)  # 127 is the loader's, and so on
    return Text("")


def _check(path: str, checked: Checked) -> Record:
    from saslauthd_py import app
    from saslauthd_py.cli.as_daemon import name_of_user

    found = app.check(checked.settings)
    user, running = name_of_user(), found.running
    warnings = (*map(str, checked.warnings), *found.warnings)
    fields: Fields = {"file": path, "ok": True, "user": user, "running": running.pid if running else None, "warnings": warnings}
    lines = [f"{path}: ok, checked as {user}"]
    if running is not None:
        places = ", ".join(sorted(running.places)) or "[control] path"
        lines.append(f"{places}: the running daemon's own (process {running.pid}); a restart ends that first")
    return Record(fields, tuple(lines), warnings=warnings)
