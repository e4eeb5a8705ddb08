"""`serve`: the daemon, or a try whether it would start."""

from __future__ import annotations

import argparse
import signal

from saslauthd_py.cli.environment import Environment
from saslauthd_py.cli.report import Record, Text


def run(arguments: argparse.Namespace, _: Environment) -> Record | Text:
    """Returns when the daemon was told to stop, or --check found nothing. Raises ConfigurationError, StartError."""
    signal.signal(signal.SIGHUP, lambda *_: None)  # before the imports, which take a while: a reload that comes too early must not end us

    from saslauthd_py import app
    from saslauthd_py.cli.as_daemon import name_of_user
    from saslauthd_py.config.load import DEFAULT_PATH, load

    path = arguments.config or DEFAULT_PATH
    settings = load(path)
    if not arguments.check:
        app.serve(settings)
        return Text("")
    app.check(settings)
    user = name_of_user()
    return Record({"file": path, "ok": True, "user": user}, (f"{path}: ok, checked as {user}",))
