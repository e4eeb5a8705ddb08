"""saslpasswd2 and sasldblistusers2 as tests call them."""

from __future__ import annotations

import io
import os
import tempfile
from unittest.mock import patch

from saslauthd_py.cli import called
from saslauthd_py.cli.called import database
from saslauthd_py.cli.environment import Environment
from tests.cli.commands import NO_TERMINAL, Outcome, in_child
from tests.cli.sites import Site


def call(site: Site, *argv: str, stdin: bytes = b"", program: str = "saslpasswd2") -> Outcome:
    """In a child, for it becomes the store's owner; with the site's configuration in the place of the machine's."""
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:

        def child() -> int:
            with patch.object(database, "DEFAULT_PATH", site.configuration):
                code = called.run(program, argv, Environment(io.BytesIO(stdin), out, err, os.environ, NO_TERMINAL))
            out.flush()
            err.flush()
            return code

        code = in_child(child)
        out.seek(0)
        err.seek(0)
        return Outcome(code, out.read(), err.read())


def here(program: str, *argv: str, stdin: bytes = b"") -> Outcome:
    """In this process: not for stores, whose owner it would become."""
    out, err = io.StringIO(), io.StringIO()
    code = called.run(program, argv, Environment(io.BytesIO(stdin), out, err, os.environ, NO_TERMINAL))
    return Outcome(code, out.getvalue(), err.getvalue())
