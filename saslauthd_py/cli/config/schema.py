"""`config schema`: JSON Schema, for editors and generators."""

from __future__ import annotations

import argparse
import json

from saslauthd_py.cli.environment import Environment
from saslauthd_py.cli.report import Text
from saslauthd_py.config.load import schema


def run(_arguments: argparse.Namespace, _environment: Environment) -> Text:
    """The schema of the configuration file, as a document of its own."""
    return Text(json.dumps(schema(), indent=2))
