"""A login over SMTP and IMAP against a server that says what a test wants: every end that a dialogue can have."""

from __future__ import annotations

import base64
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest

from saslauthd_py.mta import imap, smtp
from saslauthd_py.mta.smtp import Server
from saslauthd_py.secret import Secret

USER, SECRET = "alice@example.test", Secret(b"pw1")
PLAIN = base64.b64encode(b"\0alice@example.test\0pw1").decode()


@contextmanager
def speaking(*replies: str | None) -> Iterator[tuple[int, list[str]]]:
    """A server that says the first reply, and each of the others after a line; None: it hangs up. Its port, and the lines it was sent.

    TAG in a reply stands for that of the last IMAP command.
    """
    heard: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=_serve, args=(listener, replies, heard))
        thread.start()
        try:
            yield listener.getsockname()[1], heard
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def _serve(listener: socket.socket, replies: Sequence[str | None], heard: list[str]) -> None:
    try:
        connection, _ = listener.accept()
    except OSError:
        return
    tag = ""
    with connection, connection.makefile("r", newline="\r\n") as lines:
        for number, reply in enumerate(replies):
            if number and not (line := lines.readline()):
                return
            if number:
                heard.append(line.rstrip("\r\n"))
                tag = line.split()[0] if " " in line else tag
            if reply is None:
                return
            connection.sendall(reply.replace("TAG", tag).encode())
        lines.read()


def tried(*replies: str | None, seconds: float = 10) -> tuple[smtp.Tried, list[str]]:
    with speaking(*replies) as (port, heard):
        return smtp.login(Server("127.0.0.1", port), USER, SECRET, seconds), heard


HELLO = "250-mx.test\r\n250-SIZE 1\r\n250 AUTH LOGIN PLAIN\r\n"


def test_plain_is_taken_before_login() -> None:
    found, heard = tried("220 mx\r\n", HELLO, "235 2.7.0 welcome\r\n")
    assert found.ok
    assert heard == ["EHLO doctor.invalid", f"AUTH PLAIN {PLAIN}"]
    assert set(found.seconds) == {"connect", "greeting", "EHLO", "AUTH"}


def test_login_where_there_is_no_plain() -> None:
    found, heard = tried("220 mx\r\n", "250-mx\r\n250 AUTH LOGIN\r\n", "334 VXNlcm5hbWU6\r\n", "334 UGFzc3dvcmQ6\r\n", "235 ok\r\n")
    assert found.ok
    assert heard[1:] == ["AUTH LOGIN", base64.b64encode(USER.encode()).decode(), base64.b64encode(b"pw1").decode()]


@pytest.mark.parametrize(
    ("replies", "step", "code", "text"),
    [
        (("220 mx\r\n", HELLO, "535 5.7.8 no\r\n"), "AUTH", 535, "5.7.8 no"),
        (("220 mx\r\n", HELLO, "454 4.7.0 later\r\n"), "AUTH", 454, "4.7.0 later"),
        (("554 go away\r\n",), "greeting", 554, "go away"),
        (("220 mx\r\n", "502 what\r\n"), "EHLO", 502, "what"),
        (("220 mx\r\n", "250 mx\r\n"), "AUTH", 0, "it offers no AUTH PLAIN or LOGIN, and no TLS"),
        (("220 mx\r\n", HELLO, None), "AUTH", 0, "it closed the connection"),
        (("* OK IMAP\r\n",), "greeting", 0, "no SMTP is spoken there: it says '* OK IMAP'"),
        (("220 mx\r\n", "250-mx\r\n250 STARTTLS\r\n", "454 no TLS today\r\n"), "STARTTLS", 454, "no TLS today"),
    ],
)
def test_every_other_end(replies: tuple[str | None, ...], step: str, code: int, text: str) -> None:
    found, _ = tried(*replies)
    assert (found.step, found.code, found.text) == (step, code, text)
    assert not found.ok


def test_words_before_tls_are_not_believed() -> None:
    found, _ = tried("220 mx\r\n", "250-mx\r\n250 STARTTLS\r\n", "220 go\r\n250 injected\r\n")
    assert (found.step, found.code, found.text) == ("STARTTLS", 0, "it sent something before TLS began")


def test_silence_and_nobody() -> None:
    found, _ = tried("220 mx\r\n", "", seconds=0.2)
    assert (found.step, found.code) == ("EHLO", 0)
    assert "no answer within 0.2 s" in found.text
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    found = smtp.login(Server("127.0.0.1", port), USER, SECRET, 5)
    assert (found.step, found.text) == ("connect", "connection refused")


def test_a_proxy_line_goes_before_all() -> None:
    with speaking("", "220 mx\r\n", HELLO, "235 ok\r\n") as (port, heard):
        assert smtp.login(Server("127.0.0.1", port, proxied=True), USER, SECRET, 10).ok
    assert heard[0].startswith("PROXY TCP4 127.0.0.1 127.0.0.1 ")
    assert heard[0].endswith(f" {port}")


def imap_login(*replies: str | None) -> tuple[smtp.Tried, list[str]]:
    with speaking(*replies) as (port, heard):
        return imap.login("127.0.0.1", port, USER, SECRET), heard


def test_imap_logs_in_and_is_refused() -> None:
    capability = "* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\n" + "TAG OK done\r\n"
    found, heard = imap_login("* OK ready\r\n", capability, "+ \r\n", "TAG OK in\r\n", "* BYE\r\n" + "TAG OK done\r\n")
    assert found.ok
    assert heard[2] == PLAIN
    found, _ = imap_login("* OK ready\r\n", capability, "+ \r\n", "TAG NO wrong\r\n", "* BYE\r\n" + "TAG OK done\r\n")
    assert (found.step, found.code) == ("AUTH", 535)
    assert found.text == "wrong"
    found, _ = imap_login("* OK ready\r\n", capability, "+ \r\n", "TAG OK in\r\n", None)
    assert found.ok
    found, _ = imap_login(None)
    assert (found.step, found.code) == ("connect", 0)


@pytest.mark.parametrize(
    ("said", "code", "text"),
    [
        (None, 0, "it ended the connection"),
        ("TAG NO [UNAVAILABLE] later\r\n", 454, "[UNAVAILABLE] later"),
        ("TAG NO generic failure\r\n", 454, "generic failure"),
        ("TAG BAD what?\r\n", 454, "AUTHENTICATE command error: BAD [b'what?']"),
        ("TAG NO [AUTHENTICATIONFAILED] wrong\r\n", 535, "[AUTHENTICATIONFAILED] wrong"),
    ],
)
def test_d8_imap_outage_is_no_refusal(said: str | None, code: int, text: str) -> None:
    capability = "* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\n" + "TAG OK done\r\n"
    found, _ = imap_login("* OK ready\r\n", capability, "+ \r\n", said, None)
    assert (found.step, found.code, found.text) == ("AUTH", code, text)
