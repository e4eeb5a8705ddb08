"""How a line looks in each style, to the letter; and that nothing a client sends makes two of it, or a field (rule B6)."""

from __future__ import annotations

import json
import logging
import os
import re
import socket
from collections.abc import Callable
from ipaddress import ip_address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from saslauthd_py.backend import Address
from saslauthd_py.identity import Identity
from saslauthd_py.log import cyrus, escape, json_lines, kv, stamp
from saslauthd_py.log.output import STYLES
from saslauthd_py.log.request_id import START, written
from saslauthd_py.log.style import Asked, Style
from saslauthd_py.verdict import Accepted, Reason, Rejected, Unavailable, UnknownUser, Verdict

KNOWN = ip_address("192.0.2.7")
NOON = 1767268800
"""2026-01-01T12:00:00Z."""

USER = "alice@example.org"
LISTENER = "/run/saslauthd/mux"

FORGED = (
    " reason=x address=198.51.100.66 ms=1.0 peer=smtpd[1] id=x",
    "\n2026-01-01T12:00:00Z INFO rejected user=root service=smtp listener=/run/mux reason=wrong-secret address=198.51.100.66",
    '","address":"198.51.100.66","x":"',
    "] [remote=198.51.100.66] [mech=x",
    "\\",
    "\N{LINE SEPARATOR}\x85\x1b[2J",
    "x" * 5000,
    "",
)
"""Names that would be taken for something else if they stood in a line as they are."""

styles = pytest.mark.parametrize("style", STYLES.values(), ids=STYLES)
texts = st.text(st.characters(), max_size=80) | st.sampled_from(FORGED)  # lone surrogates too
addresses = st.none() | st.ip_addresses()
comms = st.binary(max_size=16).map(lambda name: name.partition(b"\0")[0])
verdicts = st.one_of(
    st.just(Accepted(Identity("alice"))),
    st.sampled_from([Rejected(reason) for reason in Reason]),
    st.just(UnknownUser()),
    texts.map(Unavailable),
)


def asked(address: Address | None = None, service: str = "smtp", mechanism: str = "", authzid: str = "") -> Asked:
    return Asked(service, LISTENER, address, 0.0123, mechanism, authzid)


ALICE = "[user=alice] [service=smtp] [realm=example.org]"
END = f"[listener={LISTENER}] [ms=12.3]"
"""Of a line as the original's."""


def whole(style: Style, body: bytes, peer: bytes = b"smtpd", level: int = logging.INFO) -> bytes:
    return style.LINE % (style.opening(level, NOON), body, b"%b[4711]" % style.field(peer), 42)


def decided(style: Style, verdict: Verdict, address: Address | None = None) -> str:
    return style.decision(USER, verdict, "users", asked(address)).decode()


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (
            lambda: kv.decision(USER, Rejected(Reason.WRONG_SECRET), "users", asked(KNOWN)),
            f"rejected user={USER} service=smtp listener={LISTENER} backend=users reason=wrong-secret address=192.0.2.7 ms=12.3",
        ),
        (
            lambda: kv.decision(USER, Accepted(Identity("alice")), "users", asked(), cached=True),
            f"accepted user={USER} service=smtp listener={LISTENER} backend=users cached=yes ms=12.3",
        ),
        (
            lambda: kv.decision(USER, Rejected(Reason.NO_ROUTE), "", asked()),
            f"rejected user={USER} service=smtp listener={LISTENER} reason=no-route ms=12.3",
        ),
        (
            lambda: kv.cached(USER, "users", "smtp", LISTENER),
            f"accepted user={USER} service=smtp listener={LISTENER} backend=users cached=yes",
        ),
        (lambda: kv.refused("empty password", b"a b", LISTENER), f'refused user=a\\x20b listener={LISTENER} cause="empty password"'),
        (lambda: kv.refused("no request", b"", LISTENER), f'refused listener={LISTENER} cause="no request"'),
        (
            lambda: kv.decision(USER, Rejected(Reason.AUTHZID), "users", asked(KNOWN, "smtp", "PLAIN", "boss@example.org")),
            (
                f"rejected user={USER} authzid=boss@example.org service=smtp listener={LISTENER} backend=users reason=authzid "
                "address=192.0.2.7 mechanism=PLAIN ms=12.3"
            ),
        ),
        (
            lambda: kv.decision(USER, Accepted(Identity("alice")), "users", asked(mechanism="SCRAM-SHA-256")),
            f"accepted user={USER} service=smtp listener={LISTENER} backend=users mechanism=SCRAM-SHA-256 ms=12.3",
        ),
        (
            lambda: kv.cached(USER, "users", "smtp", LISTENER) + kv.from_client(b"192.0.2.7", "PLAIN"),
            f"accepted user={USER} service=smtp listener={LISTENER} backend=users cached=yes address=192.0.2.7 mechanism=PLAIN",
        ),
        (
            lambda: kv.refused("no TLS", b"", LISTENER, KNOWN),
            f'refused listener={LISTENER} cause="no TLS" address=192.0.2.7',
        ),
    ],
)
def test_kv_line(body: Callable[[], bytes], expected: str) -> None:
    assert whole(kv, body()).decode() == f"2026-01-01T12:00:00Z INFO {expected} peer=smtpd[4711] id={START}2a\n"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (
            lambda: cyrus.decision(USER, Rejected(Reason.WRONG_SECRET), "users", asked()),
            f"do_auth         : auth failure: {ALICE} [mech=users] [reason=wrong-secret] {END}",
        ),
        (
            lambda: cyrus.decision(USER, UnknownUser(), "users", asked(KNOWN)),
            f"do_auth         : auth failure: {ALICE} [remote=192.0.2.7] [mech=users] [reason=unknown-user] {END}",
        ),
        (
            lambda: cyrus.decision("alice", Rejected(Reason.NO_ROUTE), "", asked()),
            f"do_auth         : auth failure: [user=alice] [service=smtp] [realm=] [mech=] [reason=no-route] {END}",
        ),
        (
            lambda: cyrus.decision(USER, Unavailable('"/x" [y] is gone'), "users", asked()),
            f"do_auth         : auth failure: {ALICE} [mech=users] [reason=unavailable: \\x22/x\\x22 \\x5By\\x5D is gone] {END}",
        ),
        (
            lambda: cyrus.decision(USER, Accepted(Identity("alice")), "users", asked()),
            f"do_auth         : auth success: {ALICE} [mech=users] {END}",
        ),
        (
            lambda: cyrus.decision(USER, Accepted(Identity("alice")), "users", asked(KNOWN), cached=True),
            f"do_auth         : auth success (cached): {ALICE} [remote=192.0.2.7] [mech=users] {END}",
        ),
        (
            lambda: cyrus.cached(USER, "users", "smtp", LISTENER),
            f"do_auth         : auth success (cached): {ALICE} [mech=users] [listener={LISTENER}]",
        ),
        (
            lambda: cyrus.refused("empty password", b"a]b", LISTENER),
            f"do_request      : refused: [user=a\\x5Db] [reason=empty password] [listener={LISTENER}]",
        ),
        (
            lambda: cyrus.decision(USER, Rejected(Reason.AUTHZID), "users", asked(KNOWN, "smtp", "PLAIN", "boss@example.org")),
            (
                f"do_auth         : auth failure: {ALICE} [remote=192.0.2.7] [mech=users] [reason=authzid] [listener={LISTENER}] "
                "[mechanism=PLAIN] [authzid=boss@example.org] [ms=12.3]"
            ),
        ),
        (
            lambda: cyrus.cached(USER, "users", "smtp", LISTENER) + cyrus.from_client(b"192.0.2.7", "PLAIN"),
            f"do_auth         : auth success (cached): {ALICE} [mech=users] [listener={LISTENER}] [remote=192.0.2.7] [mechanism=PLAIN]",
        ),
        (
            lambda: cyrus.refused("no TLS", b"a", LISTENER, KNOWN),
            f"do_request      : refused: [user=a] [remote=192.0.2.7] [reason=no TLS] [listener={LISTENER}]",
        ),
    ],
)
def test_cyrus_line(body: Callable[[], bytes], expected: str) -> None:
    front = f"{stamp.local(NOON)} {socket.gethostname()} saslauthd[{os.getpid()}]: "
    assert whole(cyrus, body()).decode() == f"{front}{expected} [peer=smtpd[4711]] [id={START}2a]\n"


@pytest.mark.parametrize("address", [None, KNOWN])
def test_cyrus_failure_is_read_as_the_original_s_is(address: Address | None) -> None:
    """As the patterns of logwatch and logcheck read it: what is ours alone follows."""
    line = whole(cyrus, cyrus.decision(USER, Rejected(Reason.LOCKED), "users", asked(address))).decode()
    remote = r" \[remote=192\.0\.2\.7\]" if address else ""
    shape = (
        r"do_auth         : auth failure: \[user=(.*)\] \[service=([^ ]*)\] \[realm=([^ ]*)\]"
        + remote
        + r" \[mech=([^ ]*)\] \[reason=(.*)\]$"
    )
    found = re.search(shape, line.rstrip("\n"))
    assert found is not None
    assert found.groups()[:4] == ("alice", "smtp", "example.org", "users")
    assert found[5].startswith("locked]")


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (
            lambda: json_lines.decision(USER, Rejected(Reason.WRONG_SECRET), "users", asked(KNOWN)),
            {"verdict": "rejected", "user": USER, "service": "smtp", "listener": LISTENER, "backend": "users"}
            | {"reason": "wrong-secret", "address": "192.0.2.7", "ms": 12.3},
        ),
        (
            lambda: json_lines.decision(USER, Rejected(Reason.NO_ROUTE), "", asked()),
            {"verdict": "rejected", "user": USER, "service": "smtp", "listener": LISTENER, "reason": "no-route", "ms": 12.3},
        ),
        (
            lambda: json_lines.decision(USER, Unavailable('"/ü" is gone'), "users", asked()),
            {"verdict": "unavailable", "user": USER, "service": "smtp", "listener": LISTENER, "backend": "users"}
            | {"cause": '"/ü" is gone', "ms": 12.3},
        ),
        (
            lambda: json_lines.decision(USER, Accepted(Identity("alice")), "users", asked(), cached=True),
            {"verdict": "accepted", "user": USER, "service": "smtp", "listener": LISTENER, "backend": "users", "cached": True, "ms": 12.3},
        ),
        (
            lambda: json_lines.cached(USER, "users", "", LISTENER),
            {"verdict": "accepted", "user": USER, "service": "", "listener": LISTENER, "backend": "users", "cached": True},
        ),
        (
            lambda: json_lines.refused("empty password", b'a"b', LISTENER),
            {"verdict": "refused", "user": "a\\x22b", "listener": LISTENER, "cause": "empty password"},
        ),
        (lambda: json_lines.refused("no request", b"", LISTENER), {"verdict": "refused", "listener": LISTENER, "cause": "no request"}),
        (
            lambda: json_lines.decision(USER, Rejected(Reason.AUTHZID), "users", asked(KNOWN, "smtp", "PLAIN", "boss@example.org")),
            {"verdict": "rejected", "user": USER, "authzid": "boss@example.org", "service": "smtp", "listener": LISTENER}
            | {"backend": "users", "reason": "authzid", "address": "192.0.2.7", "mechanism": "PLAIN", "ms": 12.3},
        ),
        (
            lambda: json_lines.cached(USER, "users", "smtp", LISTENER) + json_lines.from_client(b"192.0.2.7", "PLAIN"),
            {"verdict": "accepted", "user": USER, "service": "smtp", "listener": LISTENER, "backend": "users", "cached": True}
            | {"address": "192.0.2.7", "mechanism": "PLAIN"},
        ),
        (
            lambda: json_lines.refused("no TLS", b"", LISTENER, KNOWN),
            {"verdict": "refused", "listener": LISTENER, "cause": "no TLS", "address": "192.0.2.7"},
        ),
    ],
)
def test_json_line(body: Callable[[], bytes], expected: dict[str, Any]) -> None:
    read = json.loads(whole(json_lines, body(), b'a"\\b'))
    front = {"time": "2026-01-01T12:00:00Z", "level": "info"}
    assert read == front | expected | {"peer": "a\\x22\\x5Cb[4711]", "id": f"{START}2a"}
    assert list(read)[:3] == ["time", "level", "verdict"]


@styles
def test_where_the_log_knows_the_time_the_line_does_not_say_it(style: Style) -> None:
    opening = style.opening(logging.WARNING, None)
    assert opening == (b'{"level":"warning"' if style is json_lines else b"")


@styles
def test_message_has_the_id_of_its_request_if_there_is_one(style: Style) -> None:
    (with_id,) = style.message("a backend is slow", "", written(42))
    (without,) = style.message("a backend is slow", "", "")
    assert f"{START}2a".encode() in with_id
    assert b"id" not in without.replace(b"saslauthd", b"")


@styles
@given(user=texts, authzid=texts, service=texts, verdict=verdicts, backend=texts, address=addresses, cached=st.booleans(), peer=comms)
def test_b6_no_client_makes_two_lines_or_forges_a_field(
    style: Style, user: str, authzid: str, service: str, verdict: Verdict, backend: str, address: Address | None, cached: bool, peer: bytes
) -> None:
    body = style.decision(user, verdict, backend, Asked(service, LISTENER, address, 0.01, "PLAIN", authzid), cached=cached)
    line = whole(style, body, peer).decode("ascii")
    assert line.endswith("\n")
    assert line[:-1].isprintable()
    verdict = Unavailable("x") if isinstance(verdict, Unavailable) else verdict
    plain = style.decision("u", verdict, backend and "b", asked(address, "s", "PLAIN", authzid and "z"), cached=cached)
    assert names(style, line) == names(style, whole(style, plain).decode())


@styles
@given(user=texts, service=texts, address=st.just(b"") | st.ip_addresses().map(lambda address: str(address).encode()))
def test_b6_login_of_a_known_client_that_the_cache_decides_is_one_line(style: Style, user: str, service: str, address: bytes) -> None:
    said = style.from_client(address, "PLAIN")
    line = whole(style, style.cached(user, "b", service, LISTENER) + said).decode("ascii")
    assert line[:-1].isprintable()
    assert names(style, line) == names(style, whole(style, style.cached("u", "b", "s", LISTENER) + said).decode())
    assert address.decode() in line


@styles
@given(address=st.binary(max_size=80), mechanism=texts)
def test_b6_what_should_be_an_address_and_is_none_forges_nothing(style: Style, address: bytes, mechanism: str) -> None:
    """The caller has looked at it; whatever comes, the line keeps its shape."""
    body = style.cached(USER, "b", "smtp", LISTENER)
    line = whole(style, body + style.from_client(address, mechanism)).decode("ascii")
    assert line[:-1].isprintable()
    assert names(style, line) == names(style, whole(style, body + style.from_client(b"::1" if address else b"", "PLAIN")).decode())


@styles
@given(login=st.binary(max_size=400) | texts.map(lambda text: text.encode("utf-8", "surrogatepass")), why=texts, address=addresses)
def test_b6_refused_request_makes_no_second_line_and_no_field(style: Style, login: bytes, why: str, address: Address | None) -> None:
    line = whole(style, style.refused(why, login, LISTENER, address)).decode("ascii")
    assert line[:-1].isprintable()
    assert names(style, line) == names(style, whole(style, style.refused("x", b"u" if login else b"", LISTENER, address)).decode())


@styles
@given(text=texts, traceback=texts, request=st.sampled_from(["", "abcde-1"]))
def test_b6_message_of_ours_is_one_line_and_a_traceback_is_no_decision(style: Style, text: str, traceback: str, request: str) -> None:
    first, *rest = style.message(text, traceback, request)
    for body in (first, *rest):
        assert body.decode("ascii").isprintable() or not body
    if style is json_lines:
        assert rest == []
        expected = {"message": text, "traceback": traceback, "id": request}
        assert json.loads(style.opening(logging.INFO, NOON) + first) == {
            "time": "2026-01-01T12:00:00Z",
            "level": "info",
            **{name: value for name, value in expected.items() if value},
        }
    else:
        ours = b"saslauthd-py    : " if style is cyrus else b""
        assert all(body.startswith(ours + b"  ") for body in rest)


@styles
def test_b6_field_is_cut_at_256_bytes(style: Style) -> None:
    for body in (
        style.decision("u" * 9999, UnknownUser(), "b", asked(service="s" * 9999)),
        style.decision("u" * 9999, UnknownUser(), "b", asked(authzid="z" * 9999)),
        style.refused("x", b"u" * 9999, LISTENER),
        style.cached("u" * 9999, "b", "s" * 9999, LISTENER),
    ):
        assert b"u" * escape.MAX_FIELD in body
        assert len(body) < 2 * escape.MAX_FIELD + 200


def names(style: Style, line: str) -> list[str]:
    """The names of a line's fields, in their order, as a program reads them."""
    if style is json_lines:
        pairs: list[tuple[str, Any]] = json.loads(line, object_pairs_hook=lambda pairs: pairs)
        return [name for name, _ in pairs]
    if style is cyrus:
        head, *fields = line.rstrip("\n").split(" [")
        assert all("]" not in field[:-1] for field in fields if not field.startswith("peer="))
        return [re.sub(r"^.*saslauthd\[\d+\]: ", "", head), *(field.partition("=")[0] for field in fields)]
    _, _, verdict, *fields = re.sub(r'"[^"]*"', "", line).split()
    return [verdict, *(field.partition("=")[0] for field in fields)]
