"""The bench of `import`, with few accounts: that it measures imports that work, and what becomes of one that does not."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator

import pytest

from tests.bench import importing, report
from tests.bench.bench import Bench
from tests.bench.failures import BenchError
from tests.bench.generator import Generator


@pytest.fixture
def bench() -> Iterator[Bench]:
    with tempfile.TemporaryDirectory(prefix="saslauthd-py-") as made:
        os.chmod(made, 0o755)  # noqa: S103 - the daemon's user finds its way through it
        yield Bench(made, Generator(made), 10, 1, 10, 1.0, "sha512crypt", lambda _: None)


def test_each_kind_of_import_is_measured_and_its_accounts_log_in(bench: Bench) -> None:
    seconds = importing.measure(bench, 300, 1)
    kinds = [f"{form}, {where}" for form in ("passwd-file", "jsonl") for where in ("a new store", "beside a daemon")]
    assert list(seconds) == kinds
    assert all(len(times) == 1 and times[0] > 0 for times in seconds.values())


def test_import_that_fails_is_not_taken_for_a_fast_one(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importing, "ARGON2ID", "no hash")
    with pytest.raises(BenchError, match=r"import passwd-file: .*unknown scheme|import passwd-file: .*malformed"):
        importing.measure(bench, 300, 1)


def test_budget_is_that_of_new_stores() -> None:
    section = importing.section(1_000_000, {"jsonl, a new store": [25.0, 19.0, 30.0], "jsonl, beside a daemon": [100.0]})
    slow, beside = section.rows
    assert slow.budget == report.Budget(">= 50000 a second", met=False)
    assert slow.cells == ("25.0", "19.0", "30.0", "40,000")
    assert beside.budget is None
    assert section.short == ("jsonl, a new store",)
