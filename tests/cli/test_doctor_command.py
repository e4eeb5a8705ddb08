"""`doctor`'s flags, what it prints and how it ends, where no mail server is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from saslauthd_py.cli import doctor
from saslauthd_py.doctor import CHECKS, Case, Finding
from saslauthd_py.doctor.said import Said, failed, passed, skipped, warned
from saslauthd_py.mta import machine
from saslauthd_py.mta.distribution import OTHER
from saslauthd_py.mta.machine import Machine, Wanted
from tests.cli.commands import invoke

NAMES = ("path", "daemon", "rights", "realm", "mechanisms", "accounts", "pam", "directories", "login")
MORE = ("capacity", "addresses", "cache", "sasldb", "denials", "letters", "names", "secrets", "versions")


def test_the_eighteen_checks_in_their_order() -> None:
    assert tuple(check.name for check in CHECKS) == (*NAMES, *MORE)


@pytest.fixture
def imapd(tmp_path: Path) -> str:
    """A mail server that asks nobody; so no other one of this machine is looked at."""
    path = tmp_path / "imapd.conf"
    path.write_text("sasl_pwcheck_method: auxprop\n")
    return str(path)


def test_without_a_configuration_the_daemon_s_line_says_so(imapd: str, tmp_path: Path) -> None:
    missing = str(tmp_path / "missing.toml")
    ended = invoke("doctor", "--config", missing, "--mta", "cyrus-imap", "--imapd-conf", imapd)
    assert ended.code == 65
    lines = ended.out.splitlines()
    assert lines[0].startswith("fail  path         ")
    assert lines[1].strip() == f"-> in {imapd}: sasl_pwcheck_method: saslauthd"
    assert f"fail  daemon       {missing}: cannot be read: no such file or directory" in lines
    assert lines[-1].startswith("2 faults")


def test_a_program_reads_the_same(imapd: str, tmp_path: Path) -> None:
    ended = invoke("doctor", "--json", "--config", str(tmp_path / "missing.toml"), "--mta", "cyrus-imap", "--imapd-conf", imapd)
    told = json.loads(ended.out)
    assert (told["ok"], told["faults"]) == (False, 2)
    assert list(dict.fromkeys(one["check"] for one in told["findings"])) == [*NAMES, *MORE]
    assert {"check", "outcome", "cause", "mend"} == set(told["findings"][0])


def test_a_password_is_of_an_account(tmp_path: Path) -> None:
    file = tmp_path / "pw"
    file.write_text("pw1\n")
    assert invoke("doctor", "--password-file", str(file)).code == 64
    assert "without --user" in invoke("doctor", "--password-stdin", stdin=b"pw1").error
    assert invoke("doctor", "--user", "alice", "--password-file", str(tmp_path / "missing")).code == 66


@pytest.mark.parametrize(
    ("said", "code", "last"),
    [
        ((passed("well"),), 0, "no fault found"),
        ((passed("well"), skipped("not tried", "run it as root")), 0, "no fault found; 1 not tried"),
        ((warned("hm", "do this"),), 0, "1 warning"),
        ((failed("broken", "do this"), warned("hm", "do that"), failed("too", "x")), 65, "2 faults, 1 warning"),
    ],
)
def test_how_it_ends(monkeypatch: pytest.MonkeyPatch, said: tuple[Said, ...], code: int, last: str) -> None:
    monkeypatch.setattr(doctor, "examine", lambda _: tuple(Finding("path", one) for one in said))
    ended = invoke("doctor", "--config", "/nonexistent")
    assert (ended.code, ended.out.splitlines()[-1]) == (code, last)


def test_what_is_asked_for_gets_there(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Case] = []
    wanted: list[Wanted] = []

    def read(given: Wanted) -> Machine:
        wanted.append(given)
        return Machine(OTHER)

    def examine(prepare: object) -> tuple[Finding, ...]:
        assert callable(prepare)
        seen.append(prepare())
        return (Finding("path", passed("well")),)

    monkeypatch.setattr(machine, "read", read)
    monkeypatch.setattr(doctor, "examine", examine)
    flags = ("--mta", "exim", "--postfix-config", "/p", "--exim-config", "/e", "--exim-program", "/x", "--imapd-conf", "/i")
    assert invoke("doctor", *flags, "--user", "alice@example.test", "--password-stdin", stdin=b"pw1\n").code == 0
    assert wanted == [Wanted("exim", "/p", "/e", "/x", "/i")]
    assert seen[0].account is not None
    assert (seen[0].account.name, seen[0].account.secret.reveal()) == ("alice@example.test", b"pw1")
    assert seen[0].path == "/etc/saslauthd-py/saslauthd-py.toml"


def test_what_a_mail_server_says_cannot_move_the_cursor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "examine", lambda _: (Finding("login", failed("554 \x1b[2J", "x")),))
    assert "\x1b" not in invoke("doctor", "--config", "/nonexistent").out
