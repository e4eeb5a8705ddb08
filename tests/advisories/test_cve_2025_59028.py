"""CVE-2025-59028: Dovecot's auth service closed the connection at one client's bad base64, and all logins that shared it failed with it.

Who sends it is anybody who can reach the mail server: Postfix and Exim hand on what was typed. It must cost that one request.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.interop import dovecot
from tests.interop.daemon import new_site
from tests.interop.dovecot import ASKED, Bystanders

ALICE = "alice@example.test"
UNDECODABLE = [
    b"!",
    b"abc",
    b"AAAA=",
    b"A===",
    b"====",
    b"AA==AAAA",
    b"AAA=A",
    b"AA AA",
    b"AAAA\r\x01n",
    b"-_-_",
    b"\xff\xfe\xfd\xfc",
    b"A" * 8001,
]
"""Wrong letters, wrong length, padding that is wrong or too early, other alphabets, no text at all."""


@pytest.fixture(scope="module")
def path(machine: Path) -> Iterator[Path]:
    with new_site(machine) as site:
        site.configure([dovecot.listener(site.mux)])
        site.add(ALICE, "pw1")
        with site.serving():
            yield site.mux


def refused(number: int) -> bytes:
    return b"FAIL\t%d\tcode=invalid_base64\treason=invalid base64 data in the response" % number


@pytest.mark.parametrize("minor", [1, 2])
@pytest.mark.parametrize("mechanism", [b"PLAIN", b"LOGIN"])
@pytest.mark.parametrize("message", UNDECODABLE, ids=lambda message: repr(message[:20]))
def test_cve_2025_59028_bad_base64_in_auth_fails_that_request_alone(path: Path, message: bytes, mechanism: bytes, minor: int) -> None:
    with dovecot.greeted(path, minor) as client:
        others = Bystanders(client, ALICE, "pw1")
        assert others.beside(b"AUTH\t1\t%b\t%b\tresp=%b" % (mechanism, ASKED, message)) == [refused(1)]
        others.finish()


@pytest.mark.parametrize("step", [0, 1], ids=["first response", "second response"])
@pytest.mark.parametrize("message", UNDECODABLE, ids=lambda message: repr(message[:20]))
def test_cve_2025_59028_bad_base64_in_cont_fails_that_request_alone(path: Path, message: bytes, step: int) -> None:
    with dovecot.greeted(path) as client:
        others = Bystanders(client, ALICE, "pw1")
        assert client.ask(b"AUTH\t1\tLOGIN\t" + ASKED).startswith(b"CONT\t1\t")
        if step:
            assert client.ask(b"CONT\t1\tYWxpY2VAZXhhbXBsZS50ZXN0").startswith(b"CONT\t1\t")
        assert others.beside(b"CONT\t1\t" + message) == [refused(1)]
        others.finish()


def test_cve_2025_59028_a_hundred_bad_ones_cost_the_connection_nothing(path: Path) -> None:
    """And a number is free again once its request has failed."""
    with dovecot.greeted(path) as client:
        others = Bystanders(client, ALICE, "pw1")
        assert others.beside(*[b"AUTH\t1\tPLAIN\t%b\tresp=!" % ASKED] * 100) == [refused(1)] * 100
        others.finish()


def test_cve_2025_59028_messages_that_are_base64_and_no_login_fail_alone_too(path: Path) -> None:
    """What the mechanism cannot read: no NUL, one, three, no name, not UTF-8, only NULs."""
    with dovecot.greeted(path) as client:
        others = Bystanders(client, ALICE, "pw1")
        messages = [b"", b"YWxpY2U=", b"AGFsaWNl", b"AAAA", b"AABwdzE=", b"AGFsaWNlAHB3MQB4", b"AP//AHB3MQ==", b"AAAAAAAA"]
        for message in messages:
            assert client.ask(b"AUTH\t1\tPLAIN\t" + ASKED) == b"CONT\t1\t"
            [answer] = others.beside(b"CONT\t1\t" + message)
            assert answer.startswith(b"FAIL\t1\t"), answer
            assert answer.endswith(b"\treason=invalid user name or password"), answer
        others.finish()
