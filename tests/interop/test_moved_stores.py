"""`import`, `restore` and `backup` beside a daemon that serves, with its cache warm."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.interop.daemon import PATIENCE, Site, environment, site_of
from tests.interop.mux import NO, OK, ask
from tests.interop.waiting import until

ALICE = "alice@example.test"


@pytest.fixture
def site() -> Iterator[Site]:
    with site_of(ALICE) as made:
        yield made


def run(site: Site, *words: str) -> None:
    command = [sys.executable, "-m", "saslauthd_py", *words, "--config", str(site.configuration)]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0, done.stderr


def warm(site: Site, password: str) -> None:
    assert [ask(site.mux, ALICE, password) for _ in range(3)] == [OK] * 3


def test_c6_h3_import_and_restore_are_answered_by_at_once_and_no_old_proof_counts(site: Site) -> None:
    backup, file = site.directory / "backup", site.directory / "users"
    with site.serving():
        warm(site, "pw1")
        run(site, "backup", str(backup))
        for number in (2, 3):
            file.write_text(f"{ALICE}:{{PLAIN}}pw{number}\nnew{number}@example.test:{{PLAIN}}x\n")
            run(site, "import", "passwd-file", str(file), "--on-conflict", "replace")
            assert ask(site.mux, ALICE, f"pw{number - 1}") == NO
            warm(site, f"pw{number}")
            assert ask(site.mux, f"new{number}@example.test", "x") == OK
        run(site, "restore", str(backup))
        assert ask(site.mux, ALICE, "pw3") == NO
        assert ask(site.mux, "new3@example.test", "x") == NO
        warm(site, "pw1")
        site.passwd(ALICE, "pw4")
        assert ask(site.mux, ALICE, "pw1") == NO
        warm(site, "pw4")


def test_c6_after_an_import_of_more_accounts_than_are_named_no_old_proof_counts(site: Site) -> None:
    file: Path = site.directory / "users"
    many = "".join(f"user{number}@example.test:{{CRYPT}}$1$benching$/DRztBkvbEiA7Hq1.g.zN1\n" for number in range(3000))
    file.write_text(f"{ALICE}:{{PLAIN}}pw2\n{many}")
    with site.serving():
        warm(site, "pw1")
        run(site, "import", "passwd-file", str(file), "--on-conflict", "replace")
        assert ask(site.mux, ALICE, "pw1") == NO
        assert ask(site.mux, ALICE, "pw2") == OK
        assert ask(site.mux, "user2999@example.test", "correct horse battery") == OK


def test_daemon_answers_while_a_store_is_restored_that_was_lost_and_after_its_restart(site: Site) -> None:
    backup = site.directory / "backup"
    run(site, "backup", str(backup))
    with site.serving() as daemon:
        warm(site, "pw1")
        site.store.unlink()
        until(lambda: ask(site.mux, ALICE, "pw1") == b"", "an outage")
        run(site, "restore", str(backup))
        assert ask(site.mux, ALICE, "pw1") == b"", "an outage, until the restart"
        daemon.wait_for_line("another file is in its place")
        daemon.restart()
        warm(site, "pw1")
