"""`test --protocol pwcheck`: the bytes of libsasl's client, and what it makes of every answer."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from saslauthd_py.cli.pwcheck_client import as_libsasl, ask
from saslauthd_py.cli.socket_client import Answer
from saslauthd_py.secret import Secret
from saslauthd_py.wire.pwcheck import MAX_REPLY, NO, OK
from tests.cli.commands import forked, invoke
from tests.cli.peers import Reply, answering
from tests.cli.sites import OWNER, Site

PASSWORD = b"correct horse"
PWCHECK = ("--protocol", "pwcheck", "--password-stdin")
CLOSED = "closed without an answer: a mail server takes that for a wrong password, this protocol knows no other"


@pytest.mark.parametrize(
    ("user", "userid"), [("tim", b"tim"), ("tim@example.org", b"tim@example.org"), ("j\udcfcrgen@x", b"j\xfcrgen@x"), ("tim@", b"tim@")]
)
def test_name_is_sent_whole_and_both_strings_end_in_nul(tmp_path: Path, user: str, userid: bytes) -> None:
    with answering(tmp_path, OK) as peer:
        assert invoke("test", user, *PWCHECK, "--socket", peer.path, stdin=PASSWORD).code == 0
    assert peer.received == [userid + b"\0" + PASSWORD + b"\0"]


@pytest.mark.parametrize(
    ("reply", "code", "verdict", "meaning"),
    [
        (OK, 0, "OK", "accepted"),
        ((b"O", b"K"), 0, "OK", "accepted"),
        (b"OK " + b"x" * 2 * MAX_REPLY, 0, "OK", "accepted"),
        (NO, 77, "NO", "rejected"),
        (b"O", 77, "NO", "rejected"),  # libsasl: whatever does not begin with OK
        (b"\0\2OK", 77, "NO", "rejected"),  # a saslauthd's answer
        (b"", 75, "unavailable", CLOSED),
        (None, 75, "unavailable", CLOSED),  # reset
    ],
)
def test_every_answer_has_its_code_and_word(tmp_path: Path, reply: Reply, code: int, verdict: str, meaning: str) -> None:
    with answering(tmp_path, reply, reply) as peer:
        words = ("test", "tim@example.org", *PWCHECK, "--socket", peer.path)
        people = invoke(*words, stdin=PASSWORD)
        programs = invoke(*words, "--json", stdin=PASSWORD)
    assert people.code == programs.code == code
    assert people.out.startswith(f"{verdict}  ")
    assert people.out.endswith(f" ms  {meaning} (login tim@example.org, service pwcheck; by {peer.path})\n")
    fields = json.loads(programs.out)
    assert (fields["verdict"], fields["meaning"]) == (verdict, meaning)
    assert (fields["login"], fields["realm"], fields["service"]) == ("tim@example.org", "", "pwcheck")
    for outcome in (people, programs):
        assert PASSWORD.decode() not in outcome.out + outcome.err


def test_a_daemon_that_never_ends_its_answer_is_left_in_time(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "pwcheck"))
        listener.listen()
        assert ask(str(tmp_path / "pwcheck"), as_libsasl("tim", Secret(PASSWORD)), patience=0.05).answer is Answer.LATE


@pytest.mark.parametrize("flag", ["--realm", "--service", "--client-ip"])
def test_what_the_protocol_cannot_say_is_64_before_a_password_is_asked_for(flag: str) -> None:
    outcome = invoke("test", "tim", "--protocol", "pwcheck", flag, "192.0.2.1", "--socket", "/nonexistent")
    assert (outcome.code, outcome.out) == (64, "")
    assert outcome.error.startswith(f"{flag}: a pwcheck request is a name and a password")


def test_socket_comes_from_the_first_listener_of_the_protocol(site: Site) -> None:
    outcome = invoke("test", "tim", *PWCHECK, "--config", site.configuration, stdin=PASSWORD)
    assert (outcome.code, outcome.out) == (78, "")
    assert "no [[listen]] of protocol pwcheck" in outcome.error
    site.configure(f'[[listen]]\nprotocol = "pwcheck"\npath = "{site.directory}/pwcheck"')
    assert invoke("test", "tim", *PWCHECK, "--config", site.configuration, stdin=PASSWORD).code == 69
    (site.directory / "below").mkdir()
    with answering(site.directory / "below", OK) as peer:
        Path(peer.path).rename(site.directory / "pwcheck")
        assert invoke("test", "tim", *PWCHECK, "--config", site.configuration, stdin=PASSWORD).code == 0


@pytest.mark.parametrize(("password", "code", "words"), [(PASSWORD, 0, "accepted user=tim@"), (b"battery", 77, "rejected user=tim@")])
def test_directly_it_is_decided_as_the_listener_s_requests_are(site: Site, password: bytes, code: int, words: str) -> None:
    site.configure(f'[[listen]]\nprotocol = "pwcheck"\npath = "{site.directory}/pwcheck"')
    site.add("tim@example.org", PASSWORD)
    outcome = forked("test", "tim@example.org", *PWCHECK, "--direct", "--config", site.configuration, stdin=password)
    assert (outcome.code, outcome.err) == (code, "")
    assert f"{words}example.org service=pwcheck listener={site.directory}/pwcheck" in outcome.out
    assert f"by this process as {OWNER.pw_name}" in outcome.out
