"""The real daemon and a real slapd over everything that carries LDAP, and what is refused there: an outage with its cause, and never NO."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.interop import directory_tree as tree
from tests.interop.addresses import free_ports
from tests.interop.daemon import Daemon
from tests.interop.ldap_site import LdapSite, new_ldap_site
from tests.interop.mux import NO, OK
from tests.interop.remote_site import Keys
from tests.interop.slapd import BlackHole, Slapd, black_hole, slapd

pytestmark = pytest.mark.peer("slapd", "openssl")

OUTAGE = b""

CARRIED = ("plain", "start-tls", "ldaps", "ldaps-by-name", "ldapi", "external", "unverified", "second-server", "behind-a-hole")
_ADDRESS = "IP address mismatch, certificate is not valid for '127.0.0.2'"
_AUTHORITY = "its certificate is not to be trusted: self-signed certificate in certificate chain"
REFUSED = {
    "another-ca": _AUTHORITY,
    "another-ca-start-tls": _AUTHORITY,
    "system-ca": _AUTHORITY,
    "another-host": _ADDRESS,
    "another-host-start-tls": _ADDRESS,
    "tls-to-plain": "ended the connection within the TLS handshake",
    "plain-to-tls": "ended the connection",
    "nobody-listens": "Connection refused",
    "no-socket": "No such file or directory",
    "hole": "no answer within 1 s",
    "hole-tls": "no answer within 1 s",
    "wrong-service-password": "refuses the service's own bind: invalidCredentials (49)",
    "anonymous": "insufficientAccessRights (50)",
    "no-base": "noSuchObject (32)",
}


def ways(site: LdapSite, hole: BlackHole) -> Mapping[str, Keys]:
    server, people = site.server, site.people
    trusting, misled = {"ca_file": str(server.ca)}, {"ca_file": str(server.other_ca)}
    nobody = f"ldap://127.0.0.1:{free_ports(1)[0]}"
    unnamed = {"bind_dn": None, "password_file": None}
    return {
        "plain": people(),
        "start-tls": people(start_tls=True, **trusting),
        "ldaps": people(servers=[server.ldaps], **trusting),
        "ldaps-by-name": people(servers=[f"ldaps://localhost:{server.tls_port}"], **trusting),
        "ldapi": people(servers=[server.ldapi]),
        "external": people(servers=[server.ldapi], sasl_external=True, **unnamed),
        "unverified": people(servers=[server.ldaps_unnamed], verify=False),
        "second-server": people(servers=[nobody, server.ldap]),
        "behind-a-hole": people(servers=[hole.ldap, server.ldaps], **trusting),
        "another-ca": people(servers=[server.ldaps], **misled),
        "another-ca-start-tls": people(start_tls=True, **misled),
        "system-ca": people(servers=[server.ldaps]),
        "another-host": people(servers=[server.ldaps_unnamed], **trusting),
        "another-host-start-tls": people(servers=[server.ldap_unnamed], start_tls=True, **trusting),
        "tls-to-plain": people(servers=[f"ldaps://127.0.0.1:{server.port}"], **trusting),
        "plain-to-tls": people(servers=[f"ldap://127.0.0.1:{server.tls_port}"]),
        "nobody-listens": people(servers=[nobody]),
        "no-socket": people(servers=["ldapi://%2Fnonexistent%2Fldapi"]),
        "hole": people(servers=[hole.ldap]),
        "hole-tls": people(servers=[hole.ldaps], **trusting),
        "wrong-service-password": people(password_file=str(site.private("wrong", "wrong"))),
        "anonymous": people(**unnamed),
        "no-base": people(base=f"ou=nowhere,{tree.BASE}"),
    }


@pytest.fixture(scope="module")
def server(machine: Path) -> Iterator[Slapd]:
    with slapd(machine / "slapd-transports", 20, debug="stats") as running:
        yield running


@pytest.fixture(scope="module")
def served(machine: Path, server: Slapd) -> Iterator[tuple[LdapSite, Daemon]]:
    with new_ldap_site(machine, server) as site, black_hole() as hole, site.serving(ways(site, hole)) as daemon:
        yield site, daemon


def test_every_way_is_looked_at(served: tuple[LdapSite, Daemon]) -> None:
    site, _ = served
    configured = {line for line in site.site.configuration.read_text().splitlines() if line.startswith("[backend.")}
    assert configured == {f"[backend.{way}]" for way in ("users", *CARRIED, *REFUSED)}


@pytest.mark.parametrize("way", CARRIED)
def test_right_is_ok_and_wrong_is_no(served: tuple[LdapSite, Daemon], way: str) -> None:
    site, daemon = served
    assert site.login(way, tree.ALICE) == OK
    assert site.ask(way, tree.ALICE.uid, "wrong") == NO
    assert site.ask(way, "nobody", "wrong") == NO
    assert site.login(way, tree.ALICE) == OK
    daemon.wait_for_line("accepted", f"backend={way} ", count=2)
    daemon.wait_for_line("rejected", f"backend={way} ", "reason=wrong-secret")
    daemon.wait_for_line("rejected", f"backend={way} ", "reason=unknown-user")


@pytest.mark.parametrize("way", REFUSED)
def test_what_is_refused_is_an_outage_with_its_cause_and_no_password_is_sent(served: tuple[LdapSite, Daemon], way: str) -> None:
    site, daemon = served
    before = binds(site.server)
    with ThreadPoolExecutor() as clients:
        answers = list(clients.map(lambda secret: site.ask(way, tree.ALICE.uid, secret), (tree.ALICE.password, "wrong")))
    assert answers == [OUTAGE, OUTAGE]
    daemon.wait_for_line("unavailable", f"backend={way} ", REFUSED[way], count=2)
    assert binds(site.server) == before


def binds(server: Slapd) -> int:
    """As alice, who has never come as far where something is refused before."""
    return server.log().count(f'BIND dn="{tree.ALICE.dn}"')


def test_slapd_saw_tls_and_external(served: tuple[LdapSite, Daemon]) -> None:
    site, _ = served
    for way in ("start-tls", "external"):
        assert site.login(way, tree.ALICE) == OK
    log = site.server.log()
    assert "STARTTLS" in log
    assert "TLS established tls_ssf=256" in log
    assert f'BIND dn="{tree.SERVICE}" mech=EXTERNAL' in log


def test_slapd_that_wants_tls_is_not_asked_without_and_its_reason_is_told(machine: Path) -> None:
    with slapd(machine / "slapd-wants-tls", 1, settings=("security ssf=128",)) as strict, new_ldap_site(machine, strict) as site:
        trusting = {"ca_file": str(strict.ca)}
        with site.serving(
            {
                "plain": site.people(),
                "start-tls": site.people(start_tls=True, **trusting),
                "ldaps": site.people(servers=[strict.ldaps], **trusting),
            }
        ) as daemon:
            assert [site.login(way, tree.ALICE) for way in ("plain", "start-tls", "ldaps")] == [OUTAGE, OK, OK]
            daemon.wait_for_line("unavailable", "backend=plain ", "confidentialityRequired (13)")
