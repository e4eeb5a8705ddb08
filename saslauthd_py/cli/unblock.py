"""`unblock`."""

from __future__ import annotations

import argparse

from saslauthd_py.cli.daemon_control import socket_of
from saslauthd_py.cli.environment import Environment
from saslauthd_py.cli.report import Record
from saslauthd_py.control import client


def run(arguments: argparse.Namespace, _: Environment) -> Record:
    """Have the daemon forget the failed logins of a user or an address. Raises ControlError."""
    limits = client.unblock(socket_of(arguments), arguments.what)
    shown = f"{arguments.what}: failed logins forgotten" if limits else f"{arguments.what}: no failed login counts against it"
    return Record({"what": arguments.what, "limits": limits}, (shown,))
