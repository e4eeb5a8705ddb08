"""`hash` and `verify`: stored passwords from the shell, with the secret never on the command line and never shown."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from saslauthd_py import passwords
from saslauthd_py.cli.verify import MAX_HASH
from saslauthd_py.secret import Secret
from tests.cli.commands import Screen, at_terminal, invoke

SECRET = "Tr0ub4dor&3 ä"
SSHA = "{SSHA}H/zrDv8FXUu1JmwvVYijfrYEF34jVZcO"
NEW, AGAIN, ONCE = "New password: ", "The same again: ", "Password: "


def password(secret: str | bytes) -> bytes:
    return (secret.encode() if isinstance(secret, str) else secret) + b"\n"


def test_hash_of_the_default_scheme_carries_its_label() -> None:
    outcome = invoke("hash", "--password-stdin", stdin=password(SECRET))
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.startswith("{ARGON2ID}$argon2id$v=19$m=19456,t=2,p=1$")
    assert passwords.verify(passwords.recognise(outcome.out.rstrip("\n")), Secret(SECRET.encode()))


@pytest.mark.parametrize("scheme", passwords.makeable(elsewhere=True))
def test_hash_of_every_scheme_is_verified(scheme: str) -> None:
    made = invoke("hash", "--scheme", scheme, "--password-stdin", stdin=password(SECRET))
    assert (made.code, made.err) == (0, "")
    (line,) = made.out.splitlines()
    assert line.startswith("{")
    right = invoke("verify", line, "--password-stdin", stdin=password(SECRET))
    profile = passwords.cost_to_make(scheme, elsewhere=True).profile
    assert (right.code, right.out, right.err) == (0, f"right  {profile}\n", "")
    wrong = invoke("verify", line, "--password-stdin", stdin=password(SECRET.lower()))
    assert (wrong.code, wrong.out, wrong.err) == (77, f"wrong  {profile}\n", "")


@pytest.mark.parametrize("scheme", passwords.SCRAM_SCHEMES)
def test_hash_for_scram_is_of_the_password_as_mail_programs_prepare_it(scheme: str) -> None:
    made = invoke("hash", "--scheme", scheme, "--password-stdin", stdin=password("I\u00adX"))
    assert (made.code, made.err) == (0, "")
    assert passwords.verify(passwords.recognise(made.out.rstrip("\n")), Secret(b"IX"))
    refused = invoke("hash", "--scheme", scheme, "--password-stdin", stdin=password("a\u200bb\ue000"))
    assert (refused.code, refused.out) == (65, "")
    assert "no SCRAM keys" in refused.err


def test_hash_for_programs() -> None:
    outcome = invoke("hash", "--scheme", "ssha512", "--password-stdin", "--json", stdin=password(SECRET))
    fields = json.loads(outcome.out)
    assert fields.keys() == {"hash", "scheme", "profile"}
    assert (fields["scheme"], fields["profile"]) == ("ssha512", "ssha512")
    assert fields["hash"].startswith("{SSHA512}")
    assert SECRET not in outcome.out


@pytest.mark.parametrize(("scheme", "start"), [("argon2id", "$argon2id$"), ("sha512crypt", "$6$rounds=100000$"), ("bcrypt", "$2b$10$")])
def test_bare_hash_has_no_label(scheme: str, start: str) -> None:
    outcome = invoke("hash", "--scheme", scheme, "--bare", "--password-stdin", stdin=password(SECRET))
    assert outcome.code == 0
    assert outcome.out.startswith(start)
    assert passwords.verify(passwords.recognise(outcome.out.rstrip("\n")), Secret(SECRET.encode()))


@pytest.mark.parametrize("scheme", ["ssha512", "pbkdf2-sha256", "pbkdf2", "scram-sha-256"])
def test_bare_hash_that_nobody_could_tell_is_refused_before_a_password_is_asked_for(scheme: str) -> None:
    outcome = invoke("hash", "--scheme", scheme, "--bare")
    assert (outcome.code, outcome.out) == (64, "")
    assert outcome.error == f"a record of {scheme} says nothing without its label: leave out --bare"


@pytest.mark.parametrize("scheme", ["nonsense", "md5", "ssha", "plain", "descrypt", "cram-md5", "{SSHA}", ""])
def test_weak_or_unknown_scheme_is_refused_before_a_password_is_asked_for(scheme: str) -> None:
    outcome = invoke("hash", "--scheme", scheme)
    assert (outcome.code, outcome.out) == (64, "")
    assert f"scheme {scheme!r}: choose one of argon2id, yescrypt, " in outcome.error
    assert outcome.error.endswith("scram-sha-256, scram-sha-1, ssha512, ssha256")


def test_d7_hash_of_a_password_that_the_scheme_would_cut_is_65() -> None:
    outcome = invoke("hash", "--scheme", "bcrypt", "--password-stdin", stdin=b"x" * 73)
    assert (outcome.code, outcome.out) == (65, "")
    assert outcome.error.startswith("bcrypt takes a password of at most 72 bytes")


@pytest.mark.parametrize(
    ("secret", "line"), [(b"\n", "empty password"), (b"pass\0word\n", "a NUL in the password: no mail client could send it")]
)
@pytest.mark.parametrize("command", [["hash"], ["verify", SSHA]])
def test_password_that_cannot_be_is_65(command: list[str], secret: bytes, line: str) -> None:
    outcome = invoke(*command, "--password-stdin", stdin=secret)
    assert (outcome.code, outcome.out, outcome.error) == (65, "", line)


def test_a_person_is_asked_for_a_new_password_twice_without_an_echo() -> None:
    dialogue = at_terminal("hash", "--scheme", "ssha256", answers=[(NEW, password("pass word")), (AGAIN, password("pass word"))])
    assert (dialogue.code, dialogue.echo) == (0, True)
    assert "pass word" not in dialogue.screen
    *questions, line = dialogue.screen.splitlines()
    assert questions == [NEW, AGAIN]
    assert passwords.verify(passwords.recognise(line), Secret(b"pass word"))


def test_two_different_passwords_are_65_and_no_hash() -> None:
    dialogue = at_terminal("hash", answers=[(NEW, b"one\n"), (AGAIN, b"two\n")])
    assert (dialogue.code, dialogue.echo) == (65, True)
    assert "the two passwords differ" in dialogue.screen
    assert "{" not in dialogue.screen


@pytest.mark.parametrize(("answer", "code", "verdict"), [(b"test\n", 0, "right  ssha"), (b"Test\n", 77, "wrong  ssha")])
def test_a_person_is_asked_for_the_password_of_a_hash_once(answer: bytes, code: int, verdict: str) -> None:
    dialogue = at_terminal("verify", SSHA, answers=[(ONCE, answer)])
    assert (dialogue.code, dialogue.echo) == (code, True)
    assert dialogue.screen.splitlines() == [ONCE, verdict]


def test_without_a_terminal_the_flags_are_named() -> None:
    for command in (["hash"], ["verify", SSHA]):
        outcome = invoke(*command)
        assert (outcome.code, outcome.error) == (64, "there is no terminal to ask at: use --password-stdin or --password-file")


@pytest.mark.parametrize("ending", [b"\n", b"\r\n", b"", b"\nnot read\n"])
def test_hash_from_standard_input_is_no_argument(tmp_path: Path, ending: bytes) -> None:
    (tmp_path / "pw").write_bytes(b"test\n")
    outcome = invoke("verify", "-", "--password-file", str(tmp_path / "pw"), stdin=SSHA.encode() + ending)
    assert (outcome.code, outcome.out, outcome.err) == (0, "right  ssha\n", "")


def test_hash_from_standard_input_leaves_the_terminal_to_the_password(tmp_path: Path) -> None:
    (tmp_path / "pw").write_bytes(b"p\xe4ss\n")
    outcome = invoke("verify", "-", "--password-file", str(tmp_path / "pw"), stdin=b"{PLAIN}p\xe4ss\n")
    assert (outcome.code, outcome.out) == (0, "right  plain\n")


def test_standard_input_cannot_hold_both() -> None:
    outcome = invoke("verify", "-", "--password-stdin", stdin=b"test\n")
    assert (outcome.code, outcome.out) == (64, "")
    assert outcome.error == "standard input cannot hold both hash and password: use --password-file, or be asked"


def test_endless_line_is_65() -> None:
    outcome = invoke("verify", "-", stdin=b"x" * (MAX_HASH + 1))
    assert (outcome.code, outcome.error) == (65, f"a line over {MAX_HASH} bytes at standard input: no hash is")


def test_longest_password_in_clear_is_verified(tmp_path: Path) -> None:
    (tmp_path / "pw").write_bytes(b"x" * 16384)
    outcome = invoke("verify", "-", "--password-file", str(tmp_path / "pw"), stdin=b"{PLAIN}" + b"x" * 16384 + b"\n")
    assert outcome.code == 0


def test_verdict_for_programs() -> None:
    for secret, right in (("test", True), ("Test", False)):
        outcome = invoke("verify", SSHA, "--password-stdin", "--json", stdin=password(secret))
        assert json.loads(outcome.out) == {"right": right, "scheme": "ssha", "profile": "ssha"}
        assert outcome.code == (0 if right else 77)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "empty password record"),
        ("{SSHA}", "empty password record"),
        ("hidden text", "no password record of a scheme we know, or a malformed one"),
        ("{hidden-scheme", "no password record of a scheme we know, or a malformed one"),
        ("{FOO}hidden", "unknown scheme 'FOO'"),
        ("{SSHA}hidden", "malformed SSHA record"),
        ("{SHA512-CRYPT}$6$hidden", "malformed SHA512-CRYPT record"),
        ("{PLAIN-TRUNC}6-hidden", "scheme PLAIN-TRUNC is not verified: it lets whoever knows the beginning in"),
        (
            "$6$rounds=999999999$hidden$" + "a" * 86,
            "a record of sha512crypt rounds=999999999,salt=6 could take over 2 s to verify: refused",
        ),
        (
            "$argon2id$v=19$m=4194304,t=1,p=1$" + "A" * 22 + "$" + "A" * 43,
            "a record of argon2id m=4194304,t=1,p=1 takes 4096 MiB to verify",
        ),
    ],
)
def test_what_cannot_be_verified_is_65_and_one_line_before_a_password_is_asked_for(text: str, fault: str) -> None:
    for words, stdin in (((text,), b""), (("-",), password(text))):
        outcome = invoke("verify", *words, stdin=stdin)
        assert (outcome.code, outcome.out) == (65, "")
        assert outcome.error.startswith(f"the hash cannot be verified: {fault}")
        assert "hidden" not in outcome.error


def test_record_that_the_hash_function_refuses_is_65() -> None:
    outcome = invoke("verify", "$y$j9T$zz$" + "z" * 43, "--password-stdin", stdin=password("x"))
    assert (outcome.code, outcome.error) == (65, "the hash cannot be verified: libcrypt refuses the record: Invalid argument")


def test_schemes_are_listed_with_who_makes_them_and_how_they_are_read() -> None:
    outcome = invoke("hash", "--list")
    assert (outcome.code, outcome.err) == (0, "")
    rows = {cells[0]: cells[1:] for cells in (line.split("\t") for line in outcome.out.splitlines())}
    assert list(rows) == list(passwords.SCHEMES)
    assert rows["argon2id"] == ["user, hash", "m=19456,t=2,p=1", "{ARGON2ID} {ARGON2} $argon2id$v=19$ $argon2id$"]
    assert rows["scram-sha-256"] == ["hash", "rounds=100000", "{SCRAM-SHA-256}"]
    assert rows["ssha"] == ["-", "-", "{SSHA}"]
    assert rows["pbkdf2-sha1"][2] == "{PBKDF2-SHA1} {PBKDF2} $pbkdf2$"
    assert rows["descrypt"][2] == "{DES-CRYPT} {CRYPT} {DESCRYPT}"
    assert invoke("hash", "--list", stdout=Screen()).out.split()[:3] == ["SCHEME", "MADE", "BY"]


def test_schemes_are_listed_for_programs() -> None:
    rows = [json.loads(line) for line in invoke("hash", "--list", "--json").out.splitlines()]
    assert rows[0] == {
        "scheme": "argon2id",
        "made_by": ["user", "hash"],
        "cost": {"m": 19456, "t": 2, "p": 1},
        "read_as": ["{ARGON2ID}", "{ARGON2}", "$argon2id$v=19$", "$argon2id$"],
    }
    assert {row["scheme"] for row in rows if "hash" in row["made_by"]} == set(passwords.makeable(elsewhere=True))
    assert {row["scheme"] for row in rows if "user" in row["made_by"]} == set(passwords.makeable())


def test_scheme_for_other_programs_is_not_taken_for_a_user(tmp_path: Path) -> None:
    assert invoke("hash", "--list", "--scheme", "ssha512").code == 64
    with pytest.raises(passwords.UnknownScheme, match="by `saslauthd-py hash`"):
        passwords.make("ssha512", Secret(b"x"))
