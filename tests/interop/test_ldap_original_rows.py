"""What stock `saslauthd -a ldap` was seen to answer, row by row: the real daemon, given the same saslauthd.conf, says the same.

But for the traps: there it says what the original should have said.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from saslauthd_py.secret import Secret
from saslauthd_py.wire.saslauthd import Request, encode
from tests.interop import directory_tree as tree
from tests.interop.addresses import free_ports
from tests.interop.daemon import Daemon
from tests.interop.ldap_site import LdapSite, new_ldap_site
from tests.interop.mux import NO, OK, exchange
from tests.interop.slapd import slapd

pytestmark = pytest.mark.peer("slapd", "openssl")

OUTAGE = b""
MEMBER = (f"ldap_group_dn: cn=mail,{tree.GROUPS}", "ldap_group_attr: member", "ldap_group_match_method: attr")
BY_FILTER = ("ldap_group_match_method: filter", f"ldap_group_search_base: {tree.GROUPS}")
TLS = ("ldap_tls_cacert_file: {server.ca}", "ldap_tls_check_peer: yes")

FILES: dict[str, tuple[str, ...]] = {
    "plain": ("ldap_filter: (uid=%u)",),
    "mail-u-r": ("ldap_filter: (mail=%u@%r)",),
    "mail-U-d": ("ldap_filter: (mail=%U@%d)",),
    "start-tls": ("ldap_filter: (uid=%u)", "ldap_start_tls: yes", *TLS),
    "ldaps": ("ldap_servers: {server.ldaps}/", "ldap_filter: (uid=%u)", *TLS),
    "wrong-ca": ("ldap_servers: {server.ldaps}/", "ldap_tls_cacert_file: {server.other_ca}", "ldap_tls_check_peer: yes"),
    "ldapi": ("ldap_servers: {server.ldapi}", "ldap_filter: (uid=%u)"),
    "group-attr": MEMBER,
    "group-filter": (*BY_FILTER, "ldap_group_filter: (&(cn=posixmail)(memberUid=%u))"),
    "group-filter-two": (*BY_FILTER, "ldap_group_filter: (memberUid=%u)"),
    "group-filter-alone": (f"ldap_group_search_base: {tree.GROUPS}", "ldap_group_filter: (memberUid=%u)"),
    "second-server": ("ldap_servers: ldap://127.0.0.1:{dead}/ {server.ldap}/",),
    "down": ("ldap_servers: ldap://127.0.0.1:{dead}/",),
    "fastbind": ("ldap_auth_method: fastbind", f"ldap_filter: uid=%u,{tree.PEOPLE}"),
    "two-entries": (f"ldap_search_base: {tree.BASE}",),
    "custom": ("ldap_auth_method: custom", f"ldap_bind_dn: {tree.ADMIN}", f"ldap_password: {tree.ADMIN_PASSWORD}"),
}
_BEFORE = (
    "ldap_servers: {server.ldap}/",
    f"ldap_search_base: {tree.PEOPLE}",
    f"ldap_bind_dn: {tree.ADMIN}",
    f"ldap_password: {tree.ADMIN_PASSWORD}",
    "ldap_timeout: 5",
)
"""The last of two lines with one key counts."""

WEIRD = tree.ODD[0]

ROWS = {
    "good": ("plain", "u0001", "", "pw0001", OK),
    "bad": ("plain", "u0001", "", "x", NO),
    "unknown": ("plain", "nosuch", "", "x", NO),
    "argon2": ("plain", "arg2", "", "argpw2", OK),
    "empty password": ("plain", "u0001", "", "", NO),
    "injection": ("plain", "u0001)(uid=*", "", "pw0001", NO),
    "star": ("plain", "u000*", "", "pw0001", NO),
    "weird": ("plain", WEIRD.uid, "", WEIRD.password, OK),
    "mail %u@%r": ("mail-u-r", "u0002", tree.DOMAIN, "pw0002", OK),
    "%U@%d in the login": ("mail-U-d", f"u0002@{tree.DOMAIN}", "", "pw0002", OK),
    "start TLS good": ("start-tls", "u0003", "", "pw0003", OK),
    "start TLS bad": ("start-tls", "u0003", "", "x", NO),
    "ldaps good": ("ldaps", "u0004", "", "pw0004", OK),
    "ldapi good": ("ldapi", "u0005", "", "pw0005", OK),
    "group attribute, member": ("group-attr", "u0007", "", "pw0007", OK),
    "group attribute, no member": ("group-attr", "u0008", "", "pw0008", NO),
    "group attribute, member, bad password": ("group-attr", "u0007", "", "x", NO),
    "group filter, member": ("group-filter", "u0009", "", "pw0009", OK),
    "group filter, no member": ("group-filter", "u0010", "", "pw0010", NO),
    "second server": ("second-server", "u0011", "", "pw0011", OK),
    "fastbind good": ("fastbind", "u0012", "", "pw0012", OK),
    "fastbind bad": ("fastbind", "u0012", "", "x", NO),
}
"""As stock answers."""

TRAPS = {
    "wrong CA is an outage": ("wrong-ca", "u0004", "", "pw0004", OUTAGE),
    "no server is an outage": ("down", "u0011", "", "pw0011", OUTAGE),
    "%d is the realm too": ("mail-U-d", "u0002", tree.DOMAIN, "pw0002", OK),
    "%d without any is nobody": ("mail-U-d", "u0002", "", "pw0002", NO),
    "two entries are an outage": ("two-entries", tree.TWINS[0].uid, "", tree.TWINS[0].password, OUTAGE),
    "one of two entries' others is not": ("two-entries", tree.CLERK.uid, "", tree.CLERK.password, OK),
    "two groups are one at least": ("group-filter-two", tree.BOTH.uid, "", tree.BOTH.password, OK),
    "no group is none": ("group-filter-two", "u0010", "", "pw0010", NO),
    "a group's filter alone is asked, member": ("group-filter-alone", "u0009", "", "pw0009", OK),
    "a group's filter alone is asked, no member": ("group-filter-alone", "u0010", "", "pw0010", NO),
    "a comma is a comma": ("fastbind", f"{tree.CHIEF.uid},ou=admins", "", tree.CHIEF.password, NO),
    "a comma is a comma in a real name too": ("fastbind", tree.ODD[1].uid, "", tree.ODD[1].password, OK),
    "a long password is whole": ("plain", tree.LONG.uid, "", tree.LONG.password, OK),
    "a long password is not its beginning": ("plain", tree.LONG.uid, "", tree.LONG.password[:127], NO),
    "a password with something behind is wrong": ("plain", tree.CUT.uid, "", tree.CUT.password + "x", NO),
    "custom: a scheme that nobody knows": ("custom", tree.UNKNOWN_SCHEME.uid, "", tree.UNKNOWN_SCHEME.password, OUTAGE),
    "custom: {SSHA512}": ("custom", tree.SSHA512.uid, "", tree.SSHA512.password, OK),
    "custom: a hash is no password": ("custom", tree.SSHA512.uid, "", (tree.SSHA512.stored or ("",))[0], NO),
    "custom: the first of two": ("custom", tree.TWO_PASSWORDS.uid, "", "first", OK),
    "custom: the second of two": ("custom", tree.TWO_PASSWORDS.uid, "", "second", OK),
    "custom: neither of two": ("custom", tree.TWO_PASSWORDS.uid, "", "third", NO),
}
"""As the issue has it."""


@pytest.fixture(scope="module")
def served(machine: Path) -> Iterator[tuple[LdapSite, Daemon]]:
    with slapd(machine / "slapd-original-rows", 20) as server, new_ldap_site(machine, server) as site:
        (dead,) = free_ports(1)
        files = {}
        for name, lines in FILES.items():
            kept = dict(line.split(": ", 1) for line in (*_BEFORE, *lines))
            text = "".join(f"{key}: {value}\n" for key, value in kept.items()).format(server=server, dead=dead)
            files[name] = {"type": "ldap", "saslauthd_conf": str(site.private(f"{name}.conf", text))}
        with site.serving(files) as daemon:
            yield site, daemon


def answered(site: LdapSite, row: tuple[str, str, str, str, bytes]) -> bytes:
    """As testsaslauthd asks: name, realm and service imap each in its field."""
    way, login, realm, password, _ = row
    return exchange(site.mux(way), encode(Request(login.encode(), Secret(password.encode()), b"imap", realm.encode())))


@pytest.mark.parametrize("row", ROWS)
def test_row_is_answered_as_stock_does(served: tuple[LdapSite, Daemon], row: str) -> None:
    assert answered(served[0], ROWS[row]) == ROWS[row][-1]


@pytest.mark.parametrize("trap", TRAPS)
def test_trap_is_none(served: tuple[LdapSite, Daemon], trap: str) -> None:
    assert answered(served[0], TRAPS[trap]) == TRAPS[trap][-1]


@pytest.mark.parametrize("way", ["plain", "fastbind", "custom"])
def test_g1_old_password_is_refused_at_once(served: tuple[LdapSite, Daemon], way: str) -> None:
    """Stock's fastbind goes on taking it until somebody else logs in."""
    site, _ = served
    person = tree.numbered(20)
    site.server.set_password(person.dn, person.password)
    assert [site.login(way, person) for _ in range(3)] == [OK] * 3
    site.server.set_password(person.dn, "another")
    assert site.login(way, person) == NO
    assert site.ask(way, person.uid, "another") == OK


def test_what_the_original_was_silent_about_is_told_at_the_start(served: tuple[LdapSite, Daemon]) -> None:
    _, daemon = served
    daemon.wait_for_line("group-filter-alone.conf", "the original refused every login; here the filter is asked")
    daemon.wait_for_line("mail-U-d.conf", "a login without a realm is refused here")
