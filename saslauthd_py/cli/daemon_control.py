"""Where the running daemon listens to its commands."""

from __future__ import annotations

import argparse
import tomllib


def socket_of(arguments: argparse.Namespace) -> str:
    """The path of the control socket: a daemon serves on while its file is wrong elsewhere, and can be asked. Raises ConfigurationError."""
    from saslauthd_py.config.load import DEFAULT_PATH, ConfigurationError, load

    path = arguments.config or DEFAULT_PATH
    try:
        return load(path).control.path
    except ConfigurationError:
        if (found := _only_path(path)) is None:
            raise
        return found


def _only_path(path: str) -> str | None:
    from pydantic import ValidationError

    from saslauthd_py.config.settings import ControlSettings

    try:
        with open(path, "rb") as file:
            return ControlSettings.model_validate(tomllib.load(file).get("control", {})).path
    except (OSError, ValueError, RecursionError, ValidationError):
        return None
