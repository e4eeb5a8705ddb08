"""`config show`: what the configuration changes."""

from __future__ import annotations

import argparse

from saslauthd_py.cli.environment import Environment
from saslauthd_py.cli.report import Text
from saslauthd_py.config.load import DEFAULT_PATH, differences, load, render_toml


def run(arguments: argparse.Namespace, _: Environment) -> Text:
    """Only what differs from the defaults, secrets masked. Raises ConfigurationError."""
    changed = differences(load(arguments.config or DEFAULT_PATH))
    return Text(render_toml(changed), changed)
