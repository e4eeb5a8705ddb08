"""By which name the program is called, and what it is then."""

from __future__ import annotations

import errno
import io
import os
import sys

import pytest

from saslauthd_py.cli import called
from saslauthd_py.cli.called import NAMES
from saslauthd_py.cli.environment import Environment
from saslauthd_py.config.legacy import flags
from tests.cli.commands import NO_TERMINAL


def run(name: str, *arguments: str) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    code = called.run(name, arguments, Environment(io.BytesIO(), out, err, os.environ, NO_TERMINAL))
    return code, out.getvalue(), err.getvalue()


@pytest.mark.parametrize("name", NAMES)
def test_each_name_is_a_program_with_its_own_usage(name: str) -> None:
    code, out, err = run(name, "-:")
    assert (code, out) == (1, "")
    assert err.startswith(f"{name}: invalid option -- ':'\n")
    assert "usage" in err


def test_name_is_the_last_part_of_how_it_was_called(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["/usr/local/sbin/saslauthd", "-v"])
    assert called.main() == 0
    assert "authentication mechanisms: " in capsys.readouterr().err
    monkeypatch.setattr(sys, "argv", ["/opt/bin/saslauthd-py", "--version"])
    assert called.main() == 0
    assert capsys.readouterr().out.startswith("saslauthd-py ")


def test_standard_error_that_takes_nothing_is_no_fault() -> None:
    class Full(io.StringIO):
        def flush(self) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    err = Full()
    environment = Environment(io.BytesIO(), io.StringIO(), err, os.environ, NO_TERMINAL)
    assert called.run("saslauthd", ["-a", "nope"], environment) == 1
    assert err.getvalue() == f"saslauthd[{os.getpid()}] :unknown authentication mechanism: nope\n"


def test_what_nobody_foresaw_has_a_traceback_and_is_no_success(monkeypatch: pytest.MonkeyPatch) -> None:
    def bug(_: object) -> None:
        raise RuntimeError("why")

    monkeypatch.setattr(flags, "parse", bug)
    code, _, err = run("saslauthd", "-a", "pam")
    assert code == 1
    assert "Traceback" in err
    assert err.endswith("saslauthd: why\n")
