from __future__ import annotations

import io
import sys

import pytest

from saslauthd_py.cli import progress
from saslauthd_py.cli.environment import Environment
from tests.cli.commands import Screen


def shown(stderr: io.StringIO, size: int, *, as_json: bool = False, steps: int = 4) -> str:
    environment = Environment(io.BytesIO(), io.StringIO(), stderr, {}, "/nonexistent/tty")
    with progress.shown(environment, size, as_json=as_json) as told:
        for _ in range(steps):
            told.read(1_000_000)
        told.writing()
    return stderr.getvalue()


def test_person_at_a_terminal_sees_a_bar_that_is_gone_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TQDM_MININTERVAL", "0")
    text = shown(Screen(), 4_000_000)
    assert "reading" in text
    assert "4.00M" in text
    assert "writing" in text
    assert text.endswith("\r"), "nothing of it stays"


def test_program_that_reads_json_sees_nothing() -> None:
    assert shown(Screen(), 4_000_000, as_json=True) == ""


def test_log_gets_a_line_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    assert shown(io.StringIO(), 4_000_000) == ""
    monkeypatch.setattr(progress, "_EVERY", 0.0)
    assert shown(io.StringIO(), 4_000_000, steps=2) == "saslauthd-py: read 25 % of the file\nsaslauthd-py: read 50 % of the file\n"
    assert shown(io.StringIO(), 0, steps=1) == "saslauthd-py: read 1.0 MB\n"


def test_bar_is_imported_for_a_terminal_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tqdm", None)
    assert shown(io.StringIO(), 10) == ""
    with pytest.raises(ImportError):
        shown(Screen(), 10)
