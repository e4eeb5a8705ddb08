"""The real daemon and a real Dovecot as its IMAP server: who gets in, over everything that carries it; and what is refused is an outage."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.interop.addresses import free_ports
from tests.interop.daemon import Daemon
from tests.interop.mail_server import PASSWORDS, MailServer, mail_server
from tests.interop.mux import NO, OK
from tests.interop.remote_site import Keys, RemoteSite, new_remote_site
from tests.interop.slapd import BlackHole, black_hole
from tests.interop.waiting import until

pytestmark = [pytest.mark.peer("dovecot-imapd", "openssl"), pytest.mark.root]

OUTAGE = b""
ALICE = "alice@example.test"

CARRIED = ("plain", "start-tls", "imaps", "imaps-by-name", "unverified", "second-server", "behind-a-hole")
_ADDRESS = "IP address mismatch, certificate is not valid for '127.0.0.2'"
_AUTHORITY = "its certificate is not to be trusted: self-signed certificate"
REFUSED = {
    "another-ca": _AUTHORITY,
    "another-ca-start-tls": _AUTHORITY,
    "system-ca": _AUTHORITY,
    "another-host": _ADDRESS,
    "another-host-start-tls": _ADDRESS,
    "tls-to-plain": "speaks no TLS on this port",
    "plain-to-tls": "no answer within 1 s",
    "nobody-listens": "Connection refused",
    "no-such-name": "its name is not known",
    "hole": "no answer within 1 s",
    "hole-tls": "no answer within 1 s",
}


def ways(server: MailServer, hole: BlackHole) -> Mapping[str, Keys]:
    def way(*servers: str, **more: object) -> Keys:
        return {"type": "imap", "servers": servers, "timeout": "1s", **more}

    trusting, misled = {"ca_file": str(server.ca)}, {"ca_file": str(server.other_ca)}
    nobody = f"imap://127.0.0.1:{free_ports(1)[0]}"
    return {
        "plain": way(server.imap),
        "start-tls": way(server.imap, start_tls=True, **trusting),
        "imaps": way(server.imaps, **trusting),
        "imaps-by-name": way(f"imaps://localhost:{server.tls_port}", **trusting),
        "unverified": way(server.imaps_unnamed, verify=False),
        "second-server": way(nobody, server.imap),
        "behind-a-hole": way(f"imap://127.0.0.1:{hole.port}", server.imaps, **trusting),
        "another-ca": way(server.imaps, **misled),
        "another-ca-start-tls": way(server.imap, start_tls=True, **misled),
        "system-ca": way(server.imaps),
        "another-host": way(server.imaps_unnamed, **trusting),
        "another-host-start-tls": way(server.imap_unnamed, start_tls=True, **trusting),
        "tls-to-plain": way(f"imaps://127.0.0.1:{server.port}", **trusting),
        "plain-to-tls": way(f"imap://127.0.0.1:{server.tls_port}"),
        "nobody-listens": way(nobody),
        "no-such-name": way("imaps://no-such-host.invalid"),
        "hole": way(f"imap://127.0.0.1:{hole.port}"),
        "hole-tls": way(f"imaps://127.0.0.1:{hole.port}", **trusting),
    }


@pytest.fixture(scope="module")
def server(machine: Path) -> Iterator[MailServer]:
    with mail_server(machine / "dovecot-imap") as running:
        yield running


@pytest.fixture(scope="module")
def served(machine: Path, server: MailServer) -> Iterator[tuple[RemoteSite, Daemon]]:
    with new_remote_site(machine) as site, black_hole() as hole, site.serving(ways(server, hole)) as daemon:
        yield site, daemon


def all_asked(site: RemoteSite, *logins: tuple[str, str, str]) -> list[bytes]:
    """The answers to logins that are all made at once: Dovecot holds each no back."""
    with ThreadPoolExecutor(len(logins)) as clients:
        return list(clients.map(lambda login: site.ask(*login), logins))


def test_every_way_is_looked_at(served: tuple[RemoteSite, Daemon]) -> None:
    site, _ = served
    configured = {line for line in site.site.configuration.read_text().splitlines() if line.startswith("[backend.")}
    assert configured == {f"[backend.{way}]" for way in ("users", *CARRIED, *REFUSED)}


@pytest.mark.parametrize("way", CARRIED)
def test_right_is_ok_and_wrong_is_no(served: tuple[RemoteSite, Daemon], way: str) -> None:
    site, daemon = served
    logins = ((ALICE, PASSWORDS[ALICE]), (ALICE, "wrong"), ("nobody", "wrong"), ("bob", PASSWORDS["bob"]))
    assert all_asked(site, *((way, *login) for login in logins)) == [OK, NO, NO, OK]
    daemon.wait_for_line("accepted", f"backend={way} ", count=2)
    daemon.wait_for_line("rejected", f"backend={way} ", "reason=wrong-secret", count=2)


def test_d8_what_is_refused_is_an_outage_with_its_cause_and_no_password_is_sent(
    served: tuple[RemoteSite, Daemon], server: MailServer
) -> None:
    site, daemon = served
    before = server.logins(ALICE)
    assert all_asked(site, *((way, ALICE, PASSWORDS[ALICE]) for way in REFUSED)) == [OUTAGE] * len(REFUSED)
    for way, cause in REFUSED.items():
        daemon.wait_for_line("unavailable", f"backend={way} ", cause)
    assert server.logins(ALICE) == before


def test_every_byte_of_a_password_is_a_byte_of_it(served: tuple[RemoteSite, Daemon]) -> None:
    """The original sends CR and LF as they are, so that whoever logs in may say anything to the server."""
    site, _ = served
    wrong = [" ", '"', "\\", "{3}", "{3+}\r\nabc", "pw1\r\na LOGOUT", "ü", "\u20ac" * 300, "x" * 900]
    assert all_asked(site, *(("imaps", "bob", password) for password in wrong)) == [NO] * len(wrong)
    assert site.ask("imaps", "bob", PASSWORDS["bob"]) == OK


def test_long_password_is_taken_whole_or_not_at_all(served: tuple[RemoteSite, Daemon]) -> None:
    site, _ = served
    long = PASSWORDS["long"]
    assert all_asked(site, *(("imaps", "long", password) for password in (long, long[:-1], "x" * 5000))) == [OK, NO, NO]


def test_server_says_that_a_user_is_disabled(served: tuple[RemoteSite, Daemon]) -> None:
    site, daemon = served
    name = "disabled@example.test"
    assert site.ask("imaps", name, PASSWORDS[name]) == NO
    daemon.wait_for_line("rejected", "backend=imaps ", "reason=disabled")


def test_no_secret_stands_in_any_line(served: tuple[RemoteSite, Daemon]) -> None:
    site, daemon = served
    all_asked(site, *((way, ALICE, "a-secret-to-look-for") for way in (*CARRIED, "nobody-listens")))
    daemon.wait_for_line("backend=nobody-listens ")
    assert "a-secret-to-look-for" not in "\n".join(daemon.log())


def test_every_connection_is_left_with_a_logout(served: tuple[RemoteSite, Daemon], server: MailServer) -> None:
    site, _ = served
    before = server.log().count("Logged out")
    assert site.ask("imaps", ALICE, PASSWORDS[ALICE]) == OK
    until(lambda: server.log().count("Logged out") > before, "the server has logged the end of it")
