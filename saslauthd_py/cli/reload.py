"""`reload`."""

from __future__ import annotations

import argparse

from saslauthd_py.cli.daemon_control import socket_of
from saslauthd_py.cli.environment import Environment
from saslauthd_py.cli.report import Record
from saslauthd_py.control import client


def run(arguments: argparse.Namespace, _: Environment) -> Record:
    """Returns when the configuration as it is now serves. Raises ControlError; WrongConfiguration: the one before serves on."""
    warnings = client.reload(socket_of(arguments))
    return Record({"reloaded": True, "warnings": warnings}, ("reloaded: the configuration as it is now serves",), warnings=warnings)
