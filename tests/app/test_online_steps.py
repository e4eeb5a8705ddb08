"""What `config check --online` tells of filters and certificates, without a directory."""

from __future__ import annotations

import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from saslauthd_py.app.online import Finding, Outcome, tried
from saslauthd_py.app.online.asking import _Questions
from saslauthd_py.app.online.reaching import _certificate
from saslauthd_py.app.online.widening import sample
from saslauthd_py.backends.ldap.templates import parse_filter
from saslauthd_py.config.settings import LdapSettings, Settings
from saslauthd_py.wire.ldap import And, Compare, Extensible, Filter, Not, Or, Place, Present, Substrings, places, text

if TYPE_CHECKING:
    import ldap3


@pytest.mark.parametrize(
    ("asked", "wide"),
    [
        ("(uid=%U)", "(uid=*)"),
        ("(&(objectClass=person)(uid=%U))", "(&(objectClass=person)(uid=*))"),
        ("(|(uid=%U)(mail=%u))", "(|(uid=*)(mail=*))"),
        ("(mail=%U@*)", "(mail=*)"),
        ("(uid>=%U)", "(uid=*)"),
        ("(cn:caseExactMatch:=%U)", "(cn=*)"),
        ("(:caseExactMatch:=%U)", "(objectClass=*)"),
        ("(&(uid=%U)(!(barred=%s)))", "(&(uid=*)(objectClass=*))"),
        ("(&(uid=%U)(!(barred=all)))", "(&(uid=*)(!(barred=all)))"),
        ("(memberOf:1.2.840.113556.1.4.1941:=cn=g)", "(memberOf:1.2.840.113556.1.4.1941:=cn=g)"),
    ],
)
def test_a_sample_is_wider_than_the_filter(asked: str, wide: str) -> None:
    assert text(sample(parse_filter(asked)), {}) == wide


def filters() -> st.SearchStrategy[Filter]:
    values = st.sampled_from([(b"x",), (Place("U"),), (Place("u"), b"@x")])
    clauses = st.one_of(
        st.builds(Compare, st.just(b"uid"), values),
        st.builds(Substrings, st.just(b"uid"), values),
        st.builds(Extensible, values, st.sampled_from([b"uid", b""]), st.just(b"caseExactMatch")),
        st.just(Present(b"uid")),
    )
    return st.recursive(
        clauses,
        lambda inner: st.one_of(
            st.builds(Not, inner),
            st.builds(And, st.lists(inner, max_size=3).map(tuple)),
            st.builds(Or, st.lists(inner, max_size=3).map(tuple)),
        ),
        max_leaves=6,
    )


@given(filters())
def test_a_sample_needs_no_login(asked: Filter) -> None:
    assert places(sample(asked)) == frozenset()


def shown(days: float) -> dict[str, Any]:
    end = time.strftime("%b %d %H:%M:%S %Y GMT", time.gmtime(time.time() + days * 86400 + 3600))
    return {"notAfter": end, "subject": ((("commonName", "a.example"),),), "issuer": ((("organizationName", "An issuer"),),)}


def ldaps(host: str = "a.example", **keys: object) -> LdapSettings:
    return LdapSettings.model_validate({"type": "ldap", "servers": [f"ldaps://{host}"], "base": "dc=x", **keys})


def test_a_certificate_is_told_by_whose_it_is_and_until_when() -> None:
    settings = ldaps()
    said = _certificate(shown(20), settings.servers[0], settings)
    assert said.outcome is Outcome.PASS
    assert said.text.startswith("of a.example, from An issuer, for a.example, until 2")


@pytest.mark.parametrize("days", [0, 5, 13])
def test_a_certificate_that_ends_soon_is_a_warning(days: int) -> None:
    settings = ldaps()
    said = _certificate(shown(days), settings.servers[0], settings)
    assert said.outcome is Outcome.WARN
    assert f"in {days} days" in said.text


def test_certificate_that_nobody_looks_at_is_a_warning() -> None:
    settings = ldaps(verify=False)
    assert _certificate({}, settings.servers[0], settings).outcome is Outcome.WARN


@contextmanager
def tls_server(directory: Path, days: int) -> Iterator[int]:
    """The port of a server whose certificate, which is its own CA, ends in so many days."""
    key, certificate, names = (directory / name for name in ("key", "certificate", "names"))
    names.write_text("subjectAltName = DNS:localhost\n")
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", str(key)]
    wanted = subprocess.run(["openssl", "req", "-new", *curve, "-subj", "/CN=localhost"], check=True, capture_output=True).stdout
    signing = ["openssl", "x509", "-req", "-signkey", str(key), "-days", str(days), "-extfile", str(names), "-out", str(certificate)]
    subprocess.run(signing, input=wanted, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    connection = listener.accept()[0]
                except OSError:
                    return
                try:
                    context.wrap_socket(connection, server_side=True).close()
                except OSError:
                    connection.close()

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def findings(settings: LdapSettings) -> list[Finding]:
    return list(tried(Settings.model_construct(backend={"d": settings})))


def test_a_certificate_that_has_expired_is_told(tmp_path: Path) -> None:
    with tls_server(tmp_path, -1) as port:
        last = findings(ldaps(f"localhost:{port}", ca_file=str(tmp_path / "certificate")))[-1].said
    assert (last.step, last.outcome, last.unreachable) == ("certificate", Outcome.FAIL, False)
    assert last.text.startswith("it has expired")


def test_a_server_that_leaves_after_the_handshake_is_unreachable(tmp_path: Path) -> None:
    with tls_server(tmp_path, 20) as port:
        *before, last = (one.said for one in findings(ldaps(f"localhost:{port}", ca_file=str(tmp_path / "certificate"))))
    assert [said.step for said in before] == ["name", "connect", "tls", "certificate"]
    assert (last.step, last.outcome, last.unreachable) == ("answer", Outcome.FAIL, True)


@contextmanager
def answering(said: bytes) -> Iterator[int]:
    """A port that says this to whoever says anything."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            with suppress(OSError):
                while True:
                    with listener.accept()[0] as client:
                        if client.recv(4096):
                            client.sendall(said)

        thread = threading.Thread(target=answer)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


@pytest.mark.parametrize("start_tls", [False, True])
@pytest.mark.parametrize("said", [b"\x15\x03\x01\x00\x02\x02\x46", b"\x30\x05\x02\x01\x01\x61\x00", b"HTTP/1.1 400 Bad Request\r\n\r\n"])
def test_an_answer_that_is_no_ldap_is_a_failure(said: bytes, start_tls: bool) -> None:
    with answering(said) as port:
        last = findings(ldaps(servers=[f"ldap://127.0.0.1:{port}"], start_tls=start_tls, timeout="5s"))[-1]
    assert last.said.outcome is Outcome.FAIL


def test_other_backends_are_not_tried() -> None:
    settings = Settings.model_validate({"backend": {"a": {"type": "store"}}})
    assert list(tried(settings)) == []


@pytest.mark.parametrize(
    ("keys", "key", "said"),
    [
        ({"filter": "(uid=%U"}, "filter", "has a parenthesis that is not closed"),
        ({"base": "people %U"}, "base", "is no DN"),
        ({"ca_file": "/nonexistent/ca.pem"}, "ca_file", "/nonexistent/ca.pem: No such file or directory"),
    ],
)
def test_what_cannot_be_used_is_told_before_any_server(keys: dict[str, str], key: str, said: str) -> None:
    (found,) = findings(ldaps("nosuch.invalid", **keys))
    assert (found.server, found.said.step, found.said.outcome) == ("", key, Outcome.FAIL)
    assert said in found.said.text


def test_a_group_that_389_ds_has_not_is_told() -> None:
    """Recorded of 389-ds 2.3.1: the compare of an entry that is not there is a success, and has neither answer."""

    class Answering:
        result: ClassVar[dict[str, Any]] = {"result": 0, "message": ""}

        def compare(self, *_asked: str) -> None:
            """Nothing but `result` comes of it."""

    settings = ldaps(base="dc=x", group_dn="cn=gone,dc=x", group_attribute="member")
    (said,) = _Questions(cast("ldap3.Connection", Answering()), settings)._groups()
    assert (said.outcome, said.step) == (Outcome.FAIL, "group_dn")
    assert said.text == "cn=gone,dc=x: success (0); 389-ds says this where there is no such entry, or the service may not see it"
