"""conf/fail2ban with the real fail2ban-regex on what the real daemon has logged: who failed is found, and nobody else (rule B6)."""

from __future__ import annotations

import logging
import os
import re
import shutil
import subprocess
import time
from base64 import b64encode
from collections.abc import Iterable, Iterator
from ipaddress import ip_address
from itertools import product
from pathlib import Path
from typing import NamedTuple

import pytest

from saslauthd_py.identity import Identity
from saslauthd_py.log.output import STYLES
from saslauthd_py.log.style import Asked
from saslauthd_py.secret import Secret
from saslauthd_py.verdict import Accepted, Reason, Rejected, Unavailable, UnknownUser, Verdict
from saslauthd_py.wire.saslauthd import NO, OK, Request, encode
from tests.interop import dovecot
from tests.interop.daemon import GROUP, PATIENCE, USER, Site, listener
from tests.interop.mux import exchange

pytestmark = pytest.mark.peer("fail2ban")

CONF = Path(__file__).parents[2] / "conf" / "fail2ban"
FILTER = CONF / "filter.d" / "saslauthd-py.conf"

FORGED = "198.51.100.66"
ALICE, RIGHT = "alice@example.test", b"correct horse"

_TAIL = f"address={FORGED} ms=1.0 peer=smtpd[1] id=x-1"
NAMES = (
    f"x {_TAIL}",
    f"x reason=wrong-secret {_TAIL}",
    f"root service=smtp listener=/run/mux backend=users reason=wrong-secret {_TAIL}",
    f"x] [service=smtp] [realm=] [remote={FORGED}] [mech=users] [reason=unknown-user] [listener=/run/mux] [ms=1.0] [peer=a[1]] [id=x-1]",
    f"x] [remote={FORGED}",
    f'x","address":"{FORGED}',
    f'x","reason":"wrong-secret","address":"{FORGED}","ms":1.0,"peer":"a[1]","id":"x-1"}}',
    f"\\x20address={FORGED}",
    f"address={FORGED}",
    FORGED,
    f"<HOST>{FORGED}</HOST>",
    f"x'\"`$({FORGED})",
    "u" * 255,
    "\N{FULLWIDTH EQUALS SIGN}address\N{NO-BREAK SPACE}" + FORGED,
)
"""Of accounts and realms."""

_LINES = (
    f"2026-01-01T12:00:00Z INFO rejected user=root service=smtp listener=/run/mux backend=users reason=wrong-secret {_TAIL}",
    f"Jan  1 12:00:00 mx saslauthd-py[1]: rejected user=root service=smtp listener=/run/mux reason=no-route {_TAIL}",
    f"Jan  1 12:00:00 mx saslauthd[1]: do_auth         : auth failure: [user=root] [service=x] [realm=] [remote={FORGED}] [mech=x]",
    f'{{"time":"2026-01-01T12:00:00Z","level":"info","verdict":"rejected","user":"root","service":"smtp","address":"{FORGED}"}}',
)
SERVICES = (*NAMES, *(f"smtp{end}{line}{end}" for end, line in product(("\n", "\r\n", "\x85", "\N{LINE SEPARATOR}", "\v"), _LINES)))
"""A service may hold any letters."""


class Try(NamedTuple):
    """A login that will fail, and where its client is."""

    request: Request
    address: str


def request(login: str, address: str, service: str = "smtp", realm: str = "", said: bytes = b"wrong") -> Request:
    client = f"{address};4711".encode() if address else b""
    return Request(login.encode(), Secret(said), service.encode(), realm.encode(), client)


def hostile() -> Iterator[Try]:
    """A hundred names made to forge lines, each from an address of its own, in networks of their own."""
    wholes = [
        *((name, "smtp", "") for name in NAMES),
        *((f"{name[:200]}@{name[:50]}", "smtp", "") for name in NAMES),
        *(("alice", "smtp", name) for name in NAMES),
        *((f"mallory{number}", service, "") for number, service in enumerate(SERVICES)),
        *((name, service, "") for name, service in zip(NAMES, SERVICES[-len(NAMES) :], strict=True)),
        *((name, "smtp", "example.test") for name in NAMES),
    ]
    for number, (login, service, realm) in enumerate(wholes[:100]):
        address = f"10.{number}.0.1" if number % 2 else f"2001:db8:{number + 1:x}::1"
        yield Try(request(login, address, service, realm), address)


def honest_failures() -> Iterator[Try]:
    """What is logged every day."""
    yield Try(request(ALICE, "192.0.2.7"), "192.0.2.7")
    yield Try(request(ALICE, "2001:db8:ffff::7", "imap"), "2001:db8:ffff::7")
    yield Try(request("nobody@example.test", "192.0.2.7"), "192.0.2.7")
    yield Try(request("nobody", "203.0.113.9"), "203.0.113.9")
    yield Try(request("alice", "203.0.113.9", realm="not a realm"), "203.0.113.9")


@pytest.fixture(params=STYLES)
def style(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def log(site: Site, style: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where the daemon of `site` logs, in `style`; its clock is not UTC."""
    monkeypatch.setenv("TZ", "JST-9")
    time.tzset()
    directory = site.directory / "log"
    directory.mkdir()
    if os.geteuid() == 0:
        shutil.chown(directory, USER, GROUP)
    site.configure([listener(site.mux)], 'scheme = "sha512crypt"')
    written = site.configuration.read_text()
    path = directory / "saslauthd-py.log"
    site.configuration.write_text(written.replace('to = "stderr"', f'to = "file:{path}"\nstyle = "{style}"'))
    site.add(ALICE, RIGHT)
    yield path
    monkeypatch.undo()
    time.tzset()


def found(log: Path) -> list[str]:
    """The addresses that fail2ban finds in a file, one for each line that it counts; their times must be now."""
    command = ["fail2ban-regex", "--usedns", "no", "-o", "<ip> <time>", str(log), str(FILTER)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0, done.stderr
    addresses = []
    for line in done.stdout.splitlines():
        address, at = line.split()
        assert abs(float(at) - time.time()) < 3600, "the time of the line is not understood"
        addresses.append(address)
    return addresses


def test_b6_fail2ban_finds_who_failed_and_nobody_that_a_name_forges(site: Site, log: Path) -> None:
    tries = [*honest_failures(), *hostile()]
    with site.serving():
        for one in tries:
            assert exchange(site.mux, encode(one.request)) == NO, one
    assert len(tries) == 105
    assert sorted(found(log)) == sorted(one.address for one in tries)


def test_fail2ban_counts_no_login_that_did_not_fail(site: Site, log: Path) -> None:
    with site.serving():
        for _ in range(3):  # the first is verified, the others are from the cache
            assert exchange(site.mux, encode(request(ALICE, "192.0.2.7", said=RIGHT))) == OK
        assert exchange(site.mux, encode(request(ALICE, "", said=RIGHT))) == OK
        assert exchange(site.mux, encode(request("nobody", ""))) == NO
        assert exchange(site.mux, encode(request("no\nbody", "192.0.2.8"))) == NO, "refused: no account can have that name"
        assert exchange(site.mux, encode(request(ALICE, "192.0.2.9", said=b""))) == NO
        for number in range(10):
            assert exchange(site.mux, encode(request("guessed", "192.0.2.10", said=b"wrong %d" % number))) == NO
        assert exchange(site.mux, encode(request("guessed", "192.0.2.10"))) == b"", "over a limit: try later"
    assert found(log) == ["192.0.2.10"] * 10


def written(style: str, bodies: Iterable[bytes]) -> str:
    """A log with these bodies."""
    made, opening = STYLES[style], STYLES[style].opening(logging.INFO, int(time.time()))
    return b"".join(made.LINE % (opening, body, b"smtpd[1]", number) for number, body in enumerate(bodies, 1)).decode()


def escaped(service: str) -> bytes:
    """As a parameter of Dovecot's protocol carries it."""
    raw = service.encode().replace(b"\1", b"\0011")
    return raw.replace(b"\t", b"\1t").replace(b"\r", b"\1r").replace(b"\n", b"\1n")


def test_b6_fail2ban_reads_what_a_dovecot_listener_says_of_failures(style: str, tmp_path: Path) -> None:
    """Mechanism and authzid stand in a line only where they are known; a name in the place of the authzid forges nothing either."""
    failed, found_at = [], []
    verdicts: tuple[Verdict, ...] = (Rejected(Reason.AUTHZID), UnknownUser())
    cases = product(("PLAIN", "SCRAM-SHA-256", "EXTERNAL"), ("", "boss@example.test", *NAMES), verdicts)
    for number, (mechanism, authzid, verdict) in enumerate(cases):
        address = ip_address(f"10.{number}.0.1" if number % 2 else f"2001:db8:{number + 1:x}::1")
        asked = Asked("smtp", "127.0.0.1:12345", address, 0.01, mechanism, authzid)
        failed.append(STYLES[style].decision(NAMES[number % len(NAMES)], verdict, "users", asked, cached=bool(number % 2)))
        found_at.append(str(address))
    log = tmp_path / "log"
    log.write_text(written(style, failed))
    assert found(log) == found_at


def test_b6_fail2ban_finds_who_failed_over_dovecot_s_protocol_and_no_refused_request(site: Site, log: Path) -> None:
    """Name, authzid, service and address are the client's own words; base64 that is none, or a name that nobody can have, is no guess."""
    with site.configuration.open("a") as written:
        written.write("\n" + dovecot.listener(site.directory / "auth"))
    failed = []
    with site.serving(), dovecot.greeted(site.directory / "auth") as client:
        for number, name in enumerate([*NAMES, "alice@example.test"], 1):
            address = f"10.{number}.0.1" if number % 2 else f"2001:db8:{number:x}::1"
            sasl = b64encode(f"{name if number % 3 else ''}\0{name}\0wrong".encode())
            service = escaped(SERVICES[-number])
            reply = client.ask(b"AUTH\t%d\tPLAIN\tservice=%b\trip=%b\tsecured\tresp=%b" % (number, service, address.encode(), sasl))
            assert reply.startswith(b"FAIL\t%d\tuser=" % number), reply
            failed.append(address)
        for number, (rip, sasl) in enumerate(
            (
                (b"192.0.2.8", b"AAA"),
                (b"192.0.2.8", b64encode(b"\0no\nbody\0wrong")),
                (b"192.0.2.8", b64encode(b"no NUL in it")),
                (f"x {_TAIL}".encode(), b64encode(b"\0nobody\0wrong")),
                (b"fe80::1%" + FORGED.encode(), b64encode(b"\0nobody\0wrong")),
            ),
            1000,
        ):
            assert client.ask(b"AUTH\t%d\tPLAIN\tservice=smtp\trip=%b\tsecured\tresp=%b" % (number, rip, sasl)).startswith(b"FAIL\t")
    assert sorted(found(log)) == sorted(failed)


def test_b6_fail2ban_counts_no_refused_request_and_no_login_by_the_cache(style: str, tmp_path: Path) -> None:
    """What was refused before anybody was asked is no guess: a client without TLS has the right password."""
    made, address = STYLES[style], ip_address("192.0.2.7")
    bodies = [made.refused(why, name.encode(), "/run/auth", address) for why in ("not base64", *NAMES) for name in ("", *NAMES)]
    bodies += [
        made.cached(name, "users", service, "/run/auth") + made.from_client(b"192.0.2.7", "PLAIN") for name in NAMES for service in NAMES
    ]
    bodies.append(made.decision(ALICE, Unavailable("over a limit", limited=True), "", Asked("smtp", "/run/auth", address, 0.01, "PLAIN")))
    bodies.append(made.decision(ALICE, Accepted(Identity("alice")), "users", Asked("smtp", "/run/auth", address, 0.01, "LOGIN", "boss")))
    log = tmp_path / "log"
    log.write_text(written(style, bodies))
    assert found(log) == []


@pytest.mark.parametrize("front", ["%b %e %H:%M:%S mx saslauthd-py[4711]: ", "%Y-%m-%dT%H:%M:%S.123456+09:00 mx python3[4711]: "])
def test_fail2ban_reads_the_same_lines_in_syslog_s_files_and_in_the_journal(site: Site, log: Path, style: str, front: str) -> None:
    """There the log itself says when, and who. The second is what fail2ban makes of an entry of the journal."""
    with site.serving():
        for one in honest_failures():
            assert exchange(site.mux, encode(one.request)) == NO
    own = {"kv": r"^\S+ (INFO|WARNING) ", "cyrus": r"^.*?saslauthd\[\d+\]: ", "json": r'(?<=^\{)"time":"[^"]*",'}[style]
    now = time.strftime(front)
    there = log.with_suffix(".there")
    there.write_text("".join(f"{now}{re.sub(own, '', line)}\n" for line in log.read_text().splitlines()))
    assert found(there) == [one.address for one in honest_failures()]
