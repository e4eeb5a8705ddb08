"""`test`: a login as libsasl sends it, over a real socket, and what it says of every way to be answered."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path

import pytest

from saslauthd_py.cli.exits import CommandFailed
from saslauthd_py.cli.saslauthd_client import as_libsasl, ask
from saslauthd_py.cli.socket_client import Answer
from saslauthd_py.secret import Secret
from saslauthd_py.wire.saslauthd import NO, OK, Request
from tests.cli.commands import forked, invoke
from tests.cli.peers import Reply, answering
from tests.cli.sites import OWNER, Site

PASSWORD = b"correct horse"
REQUEST = as_libsasl("tim", Secret(PASSWORD), "smtp", "", "")


def sent(directory: Path, *words: str) -> Request:
    with answering(directory, OK) as peer:
        outcome = invoke("test", *words, "--password-stdin", "--socket", peer.path, stdin=PASSWORD + b"\n")
    assert outcome.code == 0
    (request,) = peer.requests
    return request


@pytest.mark.parametrize(
    ("words", "login", "realm"),
    [
        (["tim"], b"tim", b""),
        (["tim@example.org"], b"tim", b"example.org"),
        (["tim@a@example.org"], b"tim@a", b"example.org"),  # the last @
        (["tim", "--realm", "example.org"], b"tim", b"example.org"),
        (["tim@example.org", "--realm", "example.net"], b"tim", b"example.org"),  # a name's own realm counts
        (["tim@", "--realm", "example.net"], b"tim", b""),
        (["j\udcfcrgen"], b"j\xfcrgen", b""),
    ],
)
def test_name_is_split_as_libsasl_does(tmp_path: Path, words: list[str], login: bytes, realm: bytes) -> None:
    assert sent(tmp_path, *words) == Request(login, Secret(PASSWORD), b"smtp", realm)


def test_service_and_client_are_sent(tmp_path: Path) -> None:
    words = ("tim", "--service", "imap", "--client-ip", "2001:DB8::1")
    assert sent(tmp_path, *words) == Request(b"tim", Secret(PASSWORD), b"imap", b"", b"2001:db8::1;0")


@pytest.mark.parametrize(("end", "kept"), [(b"", b""), (b"\n", b""), (b"\r\n", b""), (b"\n\n", b"\n"), (b"\r", b"\r")])
def test_secret_from_a_file_loses_one_newline(tmp_path: Path, end: bytes, kept: bytes) -> None:
    file = tmp_path / "password"
    file.write_bytes(PASSWORD + end)
    with answering(tmp_path, OK) as peer:
        assert invoke("test", "tim", "--password-file", str(file), "--socket", peer.path).code == 0
    assert peer.requests[0].secret == Secret(PASSWORD + kept)


@pytest.mark.parametrize(
    ("reply", "code", "verdict", "meaning"),
    [
        (OK, 0, "OK", "accepted"),
        (b"\0\x07OK fine", 0, "OK", "accepted"),
        ((b"\0", b"\2", b"O", b"K"), 0, "OK", "accepted"),
        (NO, 77, "NO", "rejected"),
        (b"\0\7NO sorry", 77, "NO", "rejected"),
        (b"\0\0", 77, "NO", "rejected"),  # libsasl: whatever does not begin with OK
        (b"", 75, "unavailable", "closed without an answer: a mail server says 454, try later"),
        (None, 75, "unavailable", "closed without an answer: a mail server says 454, try later"),  # reset
        (b"\0\2O", 75, "unavailable", "closed without an answer: a mail server says 454, try later"),
    ],
)
def test_every_answer_has_its_code_and_word(tmp_path: Path, reply: Reply, code: int, verdict: str, meaning: str) -> None:
    with answering(tmp_path, reply, reply) as peer:
        words = ("test", "tim@example.org", "--password-stdin", "--socket", peer.path)
        people = invoke(*words, stdin=PASSWORD)
        programs = invoke(*words, "--json", stdin=PASSWORD)
    assert people.code == programs.code == code
    assert people.out.startswith(f"{verdict}  ")
    assert people.out.endswith(f" ms  {meaning} (login tim, realm example.org, service smtp; by {peer.path})\n")
    fields = json.loads(programs.out)
    assert 0 < fields.pop("seconds")["median"] < 20
    assert fields == {
        "verdict": verdict,
        "meaning": meaning,
        "by": peer.path,
        "login": "tim",
        "realm": "example.org",
        "service": "smtp",
        "tries": {"OK": 0, "NO": 0, "unavailable": 0} | {verdict: 1},
    }
    for outcome in (people, programs):
        assert PASSWORD.decode() not in outcome.out + outcome.err


@pytest.mark.parametrize(("replies", "code"), [((OK, OK, OK), 0), ((OK, NO, OK), 77), ((b"", NO, OK), 75)])
def test_several_tries_end_with_the_worst(tmp_path: Path, replies: tuple[bytes, ...], code: int) -> None:
    with answering(tmp_path, *replies) as peer:
        outcome = invoke("test", "tim", "--password-stdin", "--socket", peer.path, "--count", "3", stdin=PASSWORD)
    assert outcome.code == code
    lines = [line.split() for line in outcome.out.splitlines()]
    assert [line[0] for line in lines] == ["OK", "NO", "unavailable", "min", "median", "max"]
    assert [int(line[1]) for line in lines[:3]] == [replies.count(OK), replies.count(NO), replies.count(b"")]
    assert all(line[2] == "ms" for line in lines[3:])
    assert [float(line[1]) for line in lines[3:]] == sorted(float(line[1]) for line in lines[3:])


def test_a_daemon_that_never_answers_is_left_in_time(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "mux"))
        listener.listen()
        assert ask(str(tmp_path / "mux"), REQUEST, patience=0.05).answer is Answer.LATE


def test_a_full_backlog_is_unavailable(tmp_path: Path) -> None:
    path = str(tmp_path / "mux")
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as waiting:
        listener.bind(path)
        listener.listen(0)
        waiting.connect(path)
        with pytest.raises(CommandFailed, match="its backlog is full") as failed:
            ask(path, REQUEST, patience=0.05)
    assert failed.value.code == 75


def test_nobody_listening_is_69(tmp_path: Path) -> None:
    path = tmp_path / "mux"
    words = ("test", "tim", "--password-stdin", "--socket", str(path))
    assert invoke(*words, stdin=PASSWORD)[:2] == (69, "")
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    outcome = invoke(*words, stdin=PASSWORD)
    assert (outcome.code, outcome.error) == (69, f"nobody listens at {path}: is the daemon running, and is this its socket?")
    path.unlink()
    path.write_text("")
    assert invoke(*words, stdin=PASSWORD).code == 69


def test_a_path_too_long_for_a_socket_is_one_line(tmp_path: Path) -> None:
    outcome = invoke("test", "tim", "--password-stdin", "--socket", str(tmp_path / ("x" * 108)), stdin=PASSWORD)
    assert outcome.code == 69
    assert "too long" in outcome.error


@pytest.mark.root
def test_a_socket_that_may_not_be_opened_is_77(site: Site) -> None:
    path = site.directory / "closed"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        os.chmod(path, 0o600)
        outcome = forked("test", "tim", "--password-stdin", "--socket", str(path), stdin=PASSWORD, uid=OWNER.pw_uid)
    assert outcome.code == 77
    assert outcome.error.startswith(f"{path}: permission denied")


@pytest.mark.parametrize("secret", [b"", b"\n", b"good\0x", b"x" * 16385])
def test_a_secret_that_no_client_could_send_is_65(tmp_path: Path, secret: bytes) -> None:
    outcome = invoke("test", "tim", "--password-stdin", "--socket", str(tmp_path / "mux"), stdin=secret)
    assert (outcome.code, outcome.out) == (65, "")
    assert "password" in outcome.error


def test_a_name_that_the_protocol_cannot_carry_is_65(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "mux"))
        listener.listen()
        outcome = invoke("test", "x" * 65536, "--password-stdin", "--socket", str(tmp_path / "mux"), stdin=PASSWORD)
    assert (outcome.code, outcome.error) == (65, "a field over 65535 bytes: the protocol cannot carry it")


def test_no_terminal_and_no_other_source_of_the_secret_is_64() -> None:
    outcome = invoke("test", "tim", "--socket", "/nonexistent")
    assert (outcome.code, outcome.error) == (64, "there is no terminal to ask at: use --password-stdin or --password-file")


def test_no_password_file_is_66(tmp_path: Path) -> None:
    outcome = invoke("test", "tim", "--password-file", str(tmp_path / "none"), "--socket", "/nonexistent")
    assert (outcome.code, outcome.error) == (66, f"{tmp_path}/none: no such file or directory")


@pytest.mark.parametrize("address", ["example.org", "192.0.2.1;25", "192.0.2.0/24"])
def test_client_that_is_no_address_is_64(address: str) -> None:
    outcome = invoke("test", "tim", "--client-ip", address, "--socket", "/nonexistent", stdin=PASSWORD)
    assert (outcome.code, outcome.error) == (64, f"--client-ip {address}: not an IP address")


def test_socket_comes_from_the_first_listener_of_the_configuration(site: Site) -> None:
    with answering(site.directory, OK) as peer:
        assert peer.path == site.mux
        assert invoke("test", "tim", "--password-stdin", "--config", site.configuration, stdin=PASSWORD).code == 0


def test_no_configuration_is_66_and_a_wrong_one_78(site: Site, tmp_path: Path) -> None:
    assert invoke("test", "tim", "--password-stdin", "--config", str(tmp_path / "none"), stdin=PASSWORD).code == 66
    site.configure("[servr]")
    outcome = invoke("test", "tim", "--password-stdin", "--config", site.configuration, stdin=PASSWORD)
    assert (outcome.code, outcome.out) == (78, "")
    assert "did you mean" in outcome.error


DIRECT = ("--direct", "--password-stdin", "--config")


@pytest.mark.parametrize(
    ("name", "password", "code", "verdict", "words"),
    [
        ("Tim@Example.ORG", PASSWORD, 0, "OK", "accepted user=tim@example.org service=smtp"),
        ("tim@example.org", b"battery staple", 77, "NO", "rejected user=tim@example.org service=smtp"),
        ("tom@example.org", PASSWORD, 77, "NO", "rejected user=tom@example.org service=smtp"),
    ],
)
def test_directly_decided_in_this_process(site: Site, name: str, password: bytes, code: int, verdict: str, words: str) -> None:
    site.add("tim@example.org", PASSWORD)
    outcome = forked("test", name, *DIRECT, site.configuration, stdin=password)
    assert (outcome.code, outcome.err) == (code, "")
    assert outcome.out.startswith(f"{verdict}  ")
    assert words in outcome.out
    assert f"; by this process as {OWNER.pw_name})" in outcome.out
    assert password.decode() not in outcome.out


def test_directly_without_a_store_is_told(site: Site) -> None:
    outcome = forked("test", "tim", *DIRECT, site.configuration, stdin=PASSWORD)
    assert outcome.code == 66
    assert outcome.error.endswith("no such directory; put it back or restore it; for a first user: `saslauthd-py user add`")


def test_directly_with_a_name_that_nobody_has_is_65(site: Site) -> None:
    site.add("tim@example.org", PASSWORD)
    assert forked("test", "ti\am", *DIRECT, site.configuration, stdin=PASSWORD).code == 65


def test_a7_deciding_directly_leaves_no_file_of_roots(site: Site) -> None:
    site.add("tim@example.org", PASSWORD)
    assert forked("test", "tim@example.org", *DIRECT, site.configuration, stdin=PASSWORD).code == 0
    owners = {path.stat().st_uid for path in (site.store.parent, *site.store.parent.iterdir())}
    assert owners == {OWNER.pw_uid}
