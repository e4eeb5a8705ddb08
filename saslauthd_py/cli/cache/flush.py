"""`cache flush`."""

from __future__ import annotations

import argparse

from saslauthd_py.cli.daemon_control import socket_of
from saslauthd_py.cli.environment import Environment
from saslauthd_py.cli.report import Record, counted
from saslauthd_py.control import client


def run(arguments: argparse.Namespace, _: Environment) -> Record:
    """Have the daemon forget what was proved. Raises ControlError."""
    proofs = client.flush(socket_of(arguments), arguments.user)
    whose = arguments.user or "all users"
    return Record({"user": arguments.user, "proofs": proofs}, (f"{whose}: {counted(proofs, 'remembered login')} forgotten",))
