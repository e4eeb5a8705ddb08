"""`serve`: the daemon, or a try whether it would start."""

from __future__ import annotations

import argparse

from saslauthd_py import app
from saslauthd_py.cli.as_daemon import become_daemon
from saslauthd_py.cli.environment import Environment
from saslauthd_py.cli.report import Record, Text
from saslauthd_py.config.load import DEFAULT_PATH, load


def run(arguments: argparse.Namespace, _: Environment) -> Record | Text:
    """Returns when the daemon was told to stop, or --check found nothing. Raises ConfigurationError, StartError."""
    path = arguments.config or DEFAULT_PATH
    settings = load(path)
    if not arguments.check:
        app.serve(settings)
        return Text("")
    user = become_daemon(settings)
    app.check(settings)
    return Record({"file": path, "ok": True, "user": user}, (f"{path}: ok, checked as {user}",))
