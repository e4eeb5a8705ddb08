"""Names that mean something in a filter or a DN, by the thousand: the real slapd's own log says what they found and where they bound."""

from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path
from random import Random

import pytest

from saslauthd_py.secret import Secret
from saslauthd_py.wire.saslauthd import Request, encode
from tests.interop import directory_tree as tree
from tests.interop.ldap_logins import INJECTIONS
from tests.interop.ldap_site import LdapSite, new_ldap_site
from tests.interop.mux import NO, OK, exchange
from tests.interop.slapd import Slapd, slapd

pytestmark = pytest.mark.peer("slapd", "openssl")

CLIENTS = 8
MADE = 1500
_PIECES = (
    *("*", "(", ")", "\\", "|", "&", "!", "=", ",", "+", ";", '"', "<", ">", "#", "\\2a", "\\00", "\\5c", "%u", "~=", ">=", ":dn:=", " "),
    *("uid", "alice", "u0001", "uid=*", "objectClass=*", "ou=admins", "chief", "ü", "*)(uid=*", "))(|(cn=*", ",ou=people", "dc=example"),
)
WAYS = ("bind", "bind-remembered", "compare", "wide", "by-mail", "in-group", "template", "template-group")


@pytest.fixture(scope="module")
def server(machine: Path) -> Iterator[Slapd]:
    with slapd(machine / "slapd-injections", 20, debug="stats") as running:
        yield running


@pytest.fixture(scope="module")
def site(machine: Path, server: Slapd) -> Iterator[LdapSite]:
    with new_ldap_site(machine, server) as site:
        reading = {"bind_dn": tree.ADMIN, "password_file": str(site.private("admin", tree.ADMIN_PASSWORD)), "method": "compare"}
        template = {"base": None, "method": "template", "dn_template": f"uid=%U,{tree.PEOPLE}"}
        groups = {"group_filter": "(&(objectClass=posixGroup)(memberUid=%U))", "group_base": tree.GROUPS}
        ways = {
            "bind": site.people(dn_cache="0s"),
            "bind-remembered": site.people(dn_cache="1h"),
            "compare": site.people(**reading),
            "wide": site.people(filter="(&(|(uid=%U)(cn=%u)(mail=%U%R))(!(sn=%U))(objectClass=inetOrgPerson))", dn_cache="0s"),
            "by-mail": site.people(filter="(mail=%U@%d)", dn_cache="0s"),
            "in-group": site.people(dn_cache="0s", **groups),
            "template": site.people(**template),
            "template-group": site.people(**template, **groups),
        }
        with site.serving(ways):
            yield site


def names() -> list[str]:
    """Every known trick with every one of a few names, and as many random ones; none is the name of an entry."""
    known = [pattern.replace("%s", uid).replace("%%", "%") for pattern, uid in product(INJECTIONS, ("alice", "u0001", "chief", "nosuch"))]
    random = Random(7)  # noqa: S311 - names to try, the same each time
    made = ["".join(random.choices(_PIECES, k=random.randint(1, 6))) for _ in range(MADE)]
    everybody = {spelt for person in (*tree.PERSONS, *map(tree.numbered, range(1, 21))) for spelt in (person.uid, person.mail)}
    return sorted({name for name in (*known, *made) if " ".join(name.casefold().split()) not in everybody})


def login(site: LdapSite, way: str, name: str, password: str, realm: str = tree.DOMAIN) -> bytes:
    return exchange(site.mux(way), encode(Request(name.encode(), Secret(password.encode()), b"smtp", realm.encode())))


def people_found(log: str) -> list[int]:
    """How many entries each search of a user found: those whose filter asks for no group, and that are no look at the base itself."""
    others = set(re.findall(r'(conn=\d+ op=\d+) SRCH base="ou=groups,', log))
    others.update(re.findall(rf'(conn=\d+ op=\d+) SRCH base="{tree.PEOPLE}" scope=0 deref=\d filter="\(objectClass=\*\)"', log))
    return [
        int(found) for asked, found in re.findall(r"(conn=\d+ op=\d+) SEARCH RESULT tag=101 .*nentries=(\d+)", log) if asked not in others
    ]


@pytest.mark.parametrize("way", WAYS)
def test_g4_no_name_finds_binds_or_is_anybody_else(site: LdapSite, way: str) -> None:
    tried, before = names(), len(site.server.log())
    assert len(tried) > 1000
    if way == "compare":  # who is nobody costs a hash
        tried = tried[::16]
    with ThreadPoolExecutor(CLIENTS) as clients:
        answers = list(clients.map(lambda name: login(site, way, name, tree.ALICE.password), tried))
    assert {name: answer for name, answer in zip(tried, answers, strict=True) if answer != NO} == {}
    log = site.server.log()[before:]
    assert set(people_found(log)) <= {0}
    assert (" SRCH " in log) is not (way == "template")
    bound = set(re.findall(r'BIND dn="([^\n]*)" method=', log)) - {tree.SERVICE, tree.ADMIN}
    assert bound or way == "compare"
    assert not bound & {person.dn for person in tree.PERSONS}
    assert {unescaped_commas(dn) for dn in bound} <= {3}  # uid or cn, ou=people, dc=example, dc=test


def unescaped_commas(dn: str) -> int:
    """In a DN as slapd writes it."""
    return len(re.findall(r",", re.sub(r"\\.", "", dn)))


@pytest.mark.parametrize("way", ["bind", "template"])
def test_g4_own_password_behind_every_trick_is_no_way_into_another_branch(site: LdapSite, way: str) -> None:
    for name in (
        "chief,ou=admins",
        "chief, ou=admins",
        "chief\\2cou=admins",
        "chief\\,ou=admins",
        "clerk,ou=staff",
        "clerk,ou=staff,dc=example,dc=test?",
    ):
        for password in (tree.CHIEF.password, tree.CLERK.password):
            assert login(site, way, name, password) == NO
    assert login(site, "bind", tree.CHIEF.uid, tree.CHIEF.password) == OK


@pytest.mark.parametrize("realm", ["*", "*.test", "example.test)(uid=*", "x,dc=example.test", "example.test,ou=staff", "\\2a", "%u", "**"])
def test_g4_realm_and_service_are_values_too(site: LdapSite, realm: str) -> None:
    person = tree.numbered(1)
    assert login(site, "by-mail", person.uid, person.password, realm) == NO
    assert login(site, "by-mail", person.uid, person.password) == OK


@pytest.mark.parametrize("way", WAYS)
def test_g4_people_with_such_names_are_themselves(site: LdapSite, way: str) -> None:
    """Those in ODD are in no posixGroup, and those with letters beyond ASCII have no mail."""
    for person in tree.ODD:
        refused = way in {"in-group", "template-group"} or (way == "by-mail" and not person.uid.isascii())
        assert login(site, way, person.uid, person.password) == (NO if refused else OK)
        assert login(site, way, person.uid, tree.ALICE.password) == NO
