"""The real testsaslauthd (Debian's sends four fields) against our socket: it prints and exits as it does with the original."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.interop.daemon import Site, listener, new_site
from tests.interop.waiting import PATIENCE

pytestmark = pytest.mark.peer("testsaslauthd")

ALICE = ["-u", "alice", "-r", "example.test"]
ODD = " p'w\"2\\ %s$`\t\xfc\xff".encode("latin-1")
LONG = "a passphrase of words " * 40
NO = '0: NO "authentication failed"\n'
OK = '0: OK "Success."\n'


@pytest.fixture(scope="module")
def mux(machine: Path) -> Iterator[Path]:
    with new_site(machine) as site:
        site.configure([listener(site.mux)])
        site.add("alice@example.test", "pw1")
        site.add("odd o'name@example.test", ODD)
        site.add("long@example.test", LONG)
        site.add("bare", "pw3")
        with site.serving():
            yield site.mux


def run(mux: Path, *arguments: str | bytes) -> tuple[int, str]:
    done = subprocess.run(
        ["/usr/sbin/testsaslauthd", "-f", str(mux), *arguments], capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    return done.returncode, done.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param([*ALICE, "-p", "pw1", "-s", "imap"], id="service given"),
        pytest.param([*ALICE, "-p", "pw1"], id="service imap by default"),
        pytest.param(["-u", "ALICE", "-r", "Example.TEST", "-p", "pw1"], id="other case"),
        pytest.param(["-u", "alice@example.test", "-p", "pw1"], id="realm in the name"),
        pytest.param(["-u", "bare", "-p", "pw3"], id="no realm"),
        pytest.param(["-u", "odd o'name", "-r", "example.test", "-p", ODD], id="odd bytes"),
        pytest.param(["-u", "long", "-r", "example.test", "-p", LONG], id="over the 256 bytes of the original"),
    ],
)
def test_testsaslauthd_accepted(mux: Path, arguments: list[str | bytes]) -> None:
    assert run(mux, *arguments) == (0, OK)


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param([*ALICE, "-p", "pw1x"], id="wrong"),
        pytest.param([*ALICE, "-p", "pw"], id="prefix"),
        pytest.param(["-u", "nosuch", "-r", "example.test", "-p", "pw1"], id="unknown user"),
        pytest.param(["-u", "alice", "-r", "no.example.test", "-p", "pw1"], id="wrong realm"),
        pytest.param(["-u", "alice", "-p", "pw1"], id="realm missing"),
        pytest.param([*ALICE, "-p", ""], id="empty password"),
        pytest.param(["-u", "", "-r", "example.test", "-p", "pw1"], id="empty login"),
        pytest.param(["-u", b"al\xffice", "-r", "example.test", "-p", "pw1"], id="login not UTF-8"),
        pytest.param(["-u", "alice\nuser=bob", "-r", "example.test", "-p", "pw1"], id="control character in the login"),
        pytest.param(["-u", "odd o'name", "-r", "example.test", "-p", ODD[:-1]], id="odd bytes less the last"),
        pytest.param(["-u", "long", "-r", "example.test", "-p", LONG[:-1]], id="long password less the last"),
        pytest.param([*ALICE, "-p", "a" * 1100], id="long and wrong"),
    ],
)
def test_testsaslauthd_refused(mux: Path, arguments: list[str | bytes]) -> None:
    assert run(mux, *arguments) == (255, NO)


def test_testsaslauthd_repeats(mux: Path) -> None:
    assert run(mux, *ALICE, "-p", "pw1", "-R", "5") == (0, "".join(f'{n}: OK "Success."\n' for n in range(5)))


def test_testsaslauthd_gets_no_answer_in_an_outage(site: Site) -> None:
    site.configure([listener(site.mux)])
    site.add("alice@example.test", "pw1")
    with site.serving():
        site.store.rename(site.directory / "users.db.away")
        assert run(site.mux, *ALICE, "-p", "pw1") == (255, "0: ")


def test_testsaslauthd_has_nobody_to_ask(site: Site) -> None:
    assert run(site.mux, *ALICE, "-p", "pw1") == (255, "0: ")
