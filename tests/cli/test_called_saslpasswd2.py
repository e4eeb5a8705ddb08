"""Called as saslpasswd2: its flags and exit codes, beside the real one; passwords into our store, and none into a sasldb2."""

from __future__ import annotations

import io
import os
import subprocess
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pytest

from saslauthd_py.cli import called
from saslauthd_py.cli.called import database, saslpasswd2
from tests.cli import commands
from tests.cli.commands import Outcome
from tests.cli.sasl_programs import call, here
from tests.cli.sites import OWNER, Site
from tests.sasldb.sasldbs import small

DONE = Outcome(0, "", "")


def test_a_user_is_made_changed_and_removed_in_silence(site: Site) -> None:
    assert call(site, "-c", "-p", "-u", "example.test", "alice", stdin=b"pw1\n") == DONE
    assert site.right("alice@example.test", b"pw1")
    assert call(site, "-p", "alice@example.test", stdin=b"pw2") == DONE
    assert site.right("alice@example.test", b"pw2")
    assert not site.right("alice@example.test", b"pw1")
    assert call(site, "-d", "-u", "example.test", "alice") == DONE
    assert not site.right("alice@example.test", b"pw2")
    assert call(site, "-d", "-u", "example.test", "alice") == DONE


def test_the_account_is_the_one_that_logs_in_by_that_name(site: Site) -> None:
    assert call(site, "-c", "plain", stdin=b"pw1") == DONE
    assert site.right("plain", b"pw1")
    assert call(site, "-c", "-u", "lost.test", "bob@x@example.test", stdin=b"pw1") == DONE
    assert site.right("bob@x@example.test", b"pw1")
    site.configure('[identity]\ndefault_realm = "home.test"')
    assert call(site, "-c", "carol", stdin=b"pw1") == DONE
    assert site.right("carol@home.test", b"pw1")


def test_restrictions_stay_and_a_hash_is_stored_with_n_too(site: Site) -> None:
    site.add("alice@example.test", b"old", "--service", "smtp")
    assert call(site, "-n", "-p", "alice@example.test", stdin=b"pw1") == DONE
    (password,) = site.shown("alice@example.test")["passwords"]
    assert (password["schemes"], password["services"]) == (["argon2id"], ["smtp"])


def test_options_may_stand_behind_the_userid_and_the_last_counts(site: Site) -> None:
    assert call(site, "alice", "-c", "-u", "lost.test", "-u", "example.test", "-a", "smtpd", stdin=b"pw1") == DONE
    assert site.right("alice@example.test", b"pw1")


def test_f_names_a_store_that_is_made_and_is_used_as_it_is_configured(site: Site) -> None:
    other = site.directory / "other" / "users.db"
    assert call(site, "-c", "-f", str(other), "alice", stdin=b"pw1") == DONE
    assert (other.stat().st_uid, other.stat().st_mode & 0o777) == (OWNER.pw_uid, 0o600)
    assert not site.store.exists()
    assert call(site, "-f", str(other), program="sasldblistusers2") == Outcome(0, "alice@: userPassword\n", "")


@pytest.mark.parametrize("stdin", [b"", b"\n"])
def test_an_empty_password_is_an_invalid_parameter(stdin: bytes, site: Site) -> None:
    assert call(site, "-c", "alice", stdin=stdin) == Outcome(7, "", "saslpasswd2: invalid parameter supplied\n")
    assert not site.store.exists()


@pytest.mark.parametrize(
    ("userid", "password", "says"),
    [
        ("", b"x", "empty name"),
        ("a\nb", b"x", "name holds a control or formatting character"),
        ("alice", b"a\0b", "a NUL in the password: no mail client could send it"),
        ("alice", b"x" * 20_000, "a password over 16384 bytes: no mail client could send it"),
    ],
)
def test_what_cannot_be_says_why(userid: str, password: bytes, says: str, site: Site) -> None:
    assert call(site, "-c", userid, stdin=password) == Outcome(7, "", f"saslpasswd2: invalid parameter supplied: {says}\n")


def test_one_trailing_newline_is_not_the_password_s_and_others_are(site: Site) -> None:
    assert call(site, "-c", "alice", stdin=b"pw1\npw1\n") == DONE
    assert site.right("alice", b"pw1\npw1")


def test_a_pipe_that_stays_open_behind_a_newline_holds_nobody_up() -> None:
    reading, writing = os.pipe()
    with open(reading, "rb") as stdin, open(writing, "wb", buffering=0) as pipe:
        pipe.write(b"pw1\n")
        assert saslpasswd2._piped(stdin) == b"pw1"


class Dribble(io.RawIOBase):
    """A pipe that gives one byte at a time."""

    def __init__(self, content: bytes) -> None:
        self._rest = content

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]  # typeshed has the wider Buffer
        some, self._rest = self._rest[:1], self._rest[1:]
        buffer[: len(some)] = some
        return len(some)


def test_a_password_that_comes_in_pieces_is_taken_whole() -> None:
    assert saslpasswd2._piped(io.BufferedReader(Dribble(b"secret"))) == b"secret"


def test_d8_a_sasldb2_is_not_written_and_the_line_says_what_to_do(site: Site) -> None:
    path = site.directory / "sasldb2"
    path.write_bytes(small())
    for argv in (("-c", "alice"), ("-d", "alice")):
        outcome = call(site, "-f", str(path), *argv, stdin=b"pw1")
        assert (outcome.code, outcome.out) == (1, "")
        assert outcome.err.startswith(f"saslpasswd2: {path}: a sasldb2 (Berkeley DB hash), which is only read here, so no password in it ")
        assert f"saslauthd-py import sasldb {path}" in outcome.err
    assert path.read_bytes() == small()


def test_a_site_that_has_its_users_in_a_sasldb2_is_refused_too(site: Site) -> None:
    path = site.directory / "sasldb2"
    path.write_bytes(small())
    text = Path(site.configuration).read_text().replace(f'type = "store"\npath = "{site.store}"', f'type = "sasldb"\npath = "{path}"')
    Path(site.configuration).write_text(text)
    outcome = call(site, "alice", stdin=b"pw1")
    assert outcome.code == 1
    assert f"{path}: a sasldb2 (Berkeley DB hash), which is only read here" in outcome.err


def test_files_that_are_no_database_and_new_ones_in_a_system_s_directory_are_refused(site: Site) -> None:
    text = site.directory / "text"
    text.write_text("alice:x\n")
    outcome = call(site, "-f", str(text), "alice", stdin=b"x")
    assert outcome == Outcome(1, "", f"saslpasswd2: {text}: neither a store of saslauthd-py nor a sasldb2\n")
    if os.geteuid() == 0:
        outcome = call(site, "-f", "/etc/no-such-sasldb2", "alice", stdin=b"x")
        assert outcome.code == 1
        assert "/etc/no-such-sasldb2: no such file." in outcome.err
        assert "chown" not in outcome.err


def test_several_stores_want_one_to_be_named(site: Site) -> None:
    site.configure('[backend.more]\ntype = "store"\npath = "/nowhere/users.db"')
    outcome = call(site, "alice", stdin=b"x")
    assert outcome.code == 1
    assert f"say which with -f, one of: {site.store}, /nowhere/users.db" in outcome.err


def test_a_configuration_without_users_of_its_own_is_told(site: Site) -> None:
    text = Path(site.configuration).read_text().replace('type = "store"', 'type = "passwd_file"')
    Path(site.configuration).write_text(text)
    outcome = call(site, "alice", stdin=b"x")
    assert outcome.code == 1
    assert "users are kept elsewhere" in outcome.err


@pytest.mark.parametrize(
    ("answers", "code", "says"),
    [
        ((b"pw1\n", b"pw1\n"), 0, ""),
        ((b"pw1\n", b"pw2\n"), 7, "saslpasswd2: passwords don't match; aborting"),
        ((b"\n", b"\n"), 7, "saslpasswd2: invalid parameter supplied"),
    ],
)
def test_a_person_is_asked_twice_without_an_echo(
    answers: Sequence[bytes], code: int, says: str, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "DEFAULT_PATH", site.configuration)
    questions = ("Password: ", "Again (for verification): ")
    with monkeypatch.context() as patched:
        patched.setattr(commands, "run", partial(called.run, "saslpasswd2"))
        dialogue = commands.at_terminal("-c", "alice", answers=tuple(zip(questions, answers, strict=True)))
    assert (dialogue.code, dialogue.echo) == (code, True)
    assert says in dialogue.screen
    assert "pw1" not in dialogue.screen
    assert site.right("alice", b"pw1") is (code == 0)


USAGE = [(), ("-c", "-d", "x"), ("-d", "-c", "x"), ("-h",), ("-q", "x"), ("-f",), ("a", "b"), ("-u",), ("-?",)]


@pytest.mark.parametrize("argv", USAGE)
def test_a_wrong_command_line_is_told(argv: tuple[str, ...]) -> None:
    outcome = here("saslpasswd2", *argv)
    assert (outcome.code, outcome.out) == (1, "")
    assert "saslpasswd2: usage: saslpasswd2 [-v] [-c [-p] [-n]] [-d] [-a appname] [-f sasldb] [-u DOM] userid\n" in outcome.err


def test_version_and_application_s_name() -> None:
    version = here("saslpasswd2", "-v", "-c")
    assert (version.code, version.out) == (0, "")
    assert "saslauthd-py" in version.err
    assert here("saslpasswd2", "-a", "a/b", "x") == Outcome(1, "", "appname must not contain /\n")


@pytest.mark.peer("saslpasswd2")
@pytest.mark.parametrize("argv", [*USAGE, ("-v",), ("-a", "a/b", "x"), ("-v", "-q")])
def test_what_is_wrong_with_a_command_line_the_original_tells_alike(argv: tuple[str, ...]) -> None:
    theirs = subprocess.run(["saslpasswd2", *argv], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    ours = here("saslpasswd2", *argv)
    if argv != ("-v", "-q"):  # there what comes first counts; here the line is looked at whole
        assert ours.code == theirs.returncode
    assert (ours.out, theirs.stdout) == ("", "")
    if theirs.returncode:
        complaints = [line for line in theirs.stderr.splitlines() if line.startswith("saslpasswd2: ") or "appname must" in line]
        assert set(complaints) <= set(ours.err.splitlines())


TRIALS: list[tuple[tuple[str, ...], bytes]] = [
    (("-p", "-c", "-u", "example.test", "alice"), b"pw1"),
    (("-p", "-u", "example.test", "nocreate"), b"pw1"),
    (("-p", "-c", "-u", "example.test", "alice"), b"pw2\n"),
    (("-c", "-u", "example.test", "bob"), b"pw2"),
    (("-p", "-c", "-u", "example.test", "empty"), b""),
    (("-p", "-c", "-u", "example.test", "empty"), b"\n"),
    (("-d", "-u", "example.test", "nobody"), b""),
    (("-d", "-u", "example.test", "nocreate"), b""),
    (("-p", "-c", "carl@other.test"), b"a"),
    (("-p", "-c", "-u", "lost.test", "dora@other.test"), b"a"),
    (("-d", "-u", "example.test", "carl@other.test"), b""),
]


@pytest.mark.peer("saslpasswd2")
def test_beside_the_original_the_same_users_codes_and_words(site: Site, tmp_path: Path) -> None:
    theirs = str(tmp_path / "sasldb2")
    for argv, stdin in TRIALS:
        ran = subprocess.run(["saslpasswd2", "-f", theirs, *argv], input=stdin, capture_output=True, check=False)
        assert call(site, *argv, stdin=stdin) == Outcome(ran.returncode, ran.stdout.decode(), ran.stderr.decode()), argv
    listed = subprocess.run(["sasldblistusers2", "-f", theirs], capture_output=True, text=True, check=True).stdout
    assert sorted(call(site, program="sasldblistusers2").out.splitlines()) == sorted(listed.splitlines())
