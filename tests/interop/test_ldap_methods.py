"""Every method, group check and token against a real slapd, with everybody whom its tree has for it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.interop import directory_tree as tree
from tests.interop.daemon import Daemon
from tests.interop.ldap_site import LdapSite, new_ldap_site
from tests.interop.mux import NO, OK
from tests.interop.remote_site import Keys
from tests.interop.slapd import Slapd, slapd

pytestmark = pytest.mark.peer("slapd", "openssl")

OUTAGE = b""


def ways(site: LdapSite) -> Mapping[str, Keys]:
    reading: Keys = {
        "bind_dn": tree.ADMIN,
        "password_file": str(site.private("admin", tree.ADMIN_PASSWORD)),
        "method": "compare",
    }
    template: Keys = {"base": None, "method": "template", "dn_template": f"uid=%U,{tree.PEOPLE}"}

    def group(cn: str, attribute: str = "member", more: Keys | None = None) -> Keys:
        return site.people(group_dn=f"cn={cn},{tree.GROUPS}", group_attribute=attribute, **(more or {}))

    return {
        "bind": site.people(),
        "template": site.people(**template),
        "compare": site.people(**reading),
        "compare-unreadable": site.people(method="compare"),
        "by-mail": site.people(filter="(mail=%U@%d)"),
        "by-login": site.people(filter="(mail=%u)"),
        "by-labels": site.people(base="ou=people,dc=%2,dc=%1"),
        "by-service": site.people(filter="(&(uid=%U)(uid=%s))"),
        "by-suffix": site.people(filter="(|(mail=%U%R)(uid=%U%%))"),
        "everywhere": site.people(base=tree.BASE),
        "one-level": site.people(scope="one"),
        "member": group("mail"),
        "unique-member": group("unique", "uniqueMember"),
        "member-of": group("mail", "memberOf"),
        "odd-member": group("odd names"),
        "compare-member": group("mail", more=reading),
        "template-member": group("mail", more=template),
        "found": site.people(group_filter="(&(cn=posixmail)(memberUid=%U))", group_base=tree.GROUPS),
        "found-two": site.people(group_filter="(memberUid=%U)", group_base=tree.GROUPS),
        "found-by-dn": site.people(group_filter="(&(cn=odd names)(member=%D))", group_base=tree.GROUPS),
        "not-nested": group("outer"),
        "nested": group("outer", more={"nested_groups": True}),
        "nested-in-a-ring": group("here", more={"nested_groups": True}),
        "no-such-group": group("nowhere"),
        "remembered": group("mail", more={"group_cache": "1h"}),
    }


@pytest.fixture(scope="module")
def server(machine: Path) -> Iterator[Slapd]:
    with slapd(machine / "slapd-methods", 20) as running:
        yield running


@pytest.fixture(scope="module")
def served(machine: Path, server: Slapd) -> Iterator[tuple[LdapSite, Daemon]]:
    with new_ldap_site(machine, server) as site, site.serving(ways(site)) as daemon:
        yield site, daemon


@pytest.fixture(scope="module")
def site(served: tuple[LdapSite, Daemon]) -> LdapSite:
    return served[0]


BIND = dict.fromkeys(tree.PERSONS, OK) | dict.fromkeys(
    (
        tree.CLEARTEXT,  # a label that slapd itself does not know
        tree.UNKNOWN_SCHEME,
        tree.NO_PASSWORD,
        tree.LOCKED,
        tree.EXPIRED,
        tree.TWINS[1],  # not below PEOPLE
        tree.CLERK,
    ),
    NO,
)
TEMPLATE = BIND | {tree.CHIEF: NO}  # below PEOPLE, and not right below
COMPARE = BIND | {
    tree.CLEARTEXT: OK,
    tree.CLEAR: OUTAGE,  # says nowhere that it is clear text
    tree.UNKNOWN_SCHEME: OUTAGE,
    tree.LOCKED: OK,  # slapd's own policy does not show in what is stored
    tree.EXPIRED: OK,
}
METHODS = {"bind": BIND, "template": TEMPLATE, "compare": COMPARE}


@pytest.mark.parametrize("way", METHODS)
@pytest.mark.parametrize("person", tree.PERSONS, ids=lambda person: f"{person.uid} {person.unit.split(',')[0]}")
def test_right_password_of_everybody(site: LdapSite, way: str, person: tree.Person) -> None:
    assert site.ask(way, person.uid, person.password or "any") == METHODS[way][person]


@pytest.mark.parametrize("way", METHODS)
@pytest.mark.parametrize("person", tree.PERSONS, ids=lambda person: f"{person.uid} {person.unit.split(',')[0]}")
def test_wrong_password_of_everybody(site: LdapSite, way: str, person: tree.Person) -> None:
    expected = OUTAGE if METHODS[way][person] == OUTAGE else NO
    assert site.ask(way, person.uid, person.password + "x") == expected


@pytest.mark.parametrize("way", METHODS)
def test_two_passwords_are_two(site: LdapSite, way: str) -> None:
    assert [site.ask(way, tree.TWO_PASSWORDS.uid, word) for word in ("first", "second", "third")] == [OK, OK, NO]


@pytest.mark.parametrize("way", METHODS)
def test_d7_long_password_counts_whole(site: LdapSite, way: str) -> None:
    for person in (tree.LONG, tree.CUT):
        assert site.ask(way, person.uid, person.password) == OK
        assert site.ask(way, person.uid, person.password[:-1]) == NO
        assert site.ask(way, person.uid, person.password[:127] + "x") == NO
    assert site.ask(way, tree.ALICE.uid, "p" * 4096) == NO


@pytest.mark.parametrize("way", METHODS)
def test_g4_no_password_is_none(site: LdapSite, way: str) -> None:
    for person in (tree.ALICE, tree.NO_PASSWORD):
        assert site.ask(way, person.uid, "") == NO


@pytest.mark.parametrize("stored", ["{ARGON2}$argon2id$v=19$m=8,t=1", "{SSHA}short", "{CRYPT}*", "{SSHA512}"])
def test_d8_malformed_record_is_an_outage_of_its_account_alone(served: tuple[LdapSite, Daemon], stored: str) -> None:
    site, daemon = served
    broken = tree.Person("broken", "any", stored=(stored,))
    site.server.add(broken)
    try:
        before = len(daemon.log())
        assert site.login("compare", broken) == OUTAGE
        assert site.ask("compare", broken.uid, stored) == OUTAGE
        assert site.login("compare", tree.ALICE) == OK
        daemon.wait_for_line("unavailable", "user=broken", "backend=compare ", "userPassword")
        assert not [line for line in daemon.log()[before:] if stored in line or "is down" in line]
    finally:
        site.server.delete(broken.dn)


def test_g2_passwords_that_the_service_may_not_read_at_a_real_server_are_an_outage(site: LdapSite) -> None:
    assert site.login("compare-unreadable", tree.ALICE) == OUTAGE


TOKENS = [
    ("by-mail", "u0002@example.test", OK),
    ("by-mail", "u0002@other.test", NO),
    ("by-mail", "u0002", NO),
    ("by-login", "u0002@example.test", OK),
    ("by-login", "u0002", NO),
    ("by-labels", "u0002@example.test", OK),
    ("by-labels", "u0002@mail.example.test", OK),
    ("by-labels", "u0002@nowhere.invalid", NO),
    ("by-labels", "u0002@test", NO),
    ("by-labels", "u0002@example..test", NO),
    ("by-labels", "u0002@x,dc=example.test", NO),
    ("by-service", "u0002", NO),
    ("by-suffix", "u0002@example.test", OK),
    ("by-suffix", "u0002", NO),
    ("one-level", "u0002", OK),
]


@pytest.mark.parametrize(("way", "name", "answer"), TOKENS)
def test_tokens(site: LdapSite, way: str, name: str, answer: bytes) -> None:
    assert site.ask(way, name, "pw0002") == answer


def test_service_is_a_token_too(site: LdapSite) -> None:
    assert site.ask("by-service", "u0002", "pw0002", "u0002") == OK
    assert site.ask("by-service", "u0002", "pw0002", "*") == NO
    assert site.ask("by-service", "u0002", "pw0002", "") == NO


def test_scope_is_kept_to(site: LdapSite) -> None:
    assert [site.login(way, tree.CHIEF) for way in ("bind", "one-level")] == [OK, NO]


@pytest.mark.parametrize("password", [tree.TWINS[0].password, tree.TWINS[1].password, "wrong"])
def test_more_than_one_entry_is_an_outage_and_an_error_in_the_log(served: tuple[LdapSite, Daemon], password: str) -> None:
    site, daemon = served
    assert site.ask("everywhere", tree.TWINS[0].uid, password) == OUTAGE
    assert site.login("everywhere", tree.CLERK) == OK
    daemon.wait_for_line("ERROR", "one name finds more than one entry", *(twin.dn for twin in tree.TWINS))


MEMBER, OTHER = tree.numbered(7), tree.numbered(8)
GROUPS = [
    *((way, MEMBER, OK) for way in ("member", "unique-member", "member-of", "compare-member", "template-member", "found", "found-two")),
    *((way, OTHER, NO) for way in ("member", "unique-member", "member-of", "compare-member", "template-member", "found", "found-two")),
    *(("odd-member", person, OK) for person in tree.ODD),
    *(("found-by-dn", person, OK) for person in tree.ODD),
    ("odd-member", MEMBER, NO),
    ("found-by-dn", MEMBER, NO),
    ("found-two", tree.BOTH, OK),
    ("not-nested", tree.ALICE, OK),
    ("not-nested", tree.NESTED, NO),
    ("nested", tree.ALICE, OK),
    ("nested", tree.NESTED, OK),
    ("nested", OTHER, NO),
    ("nested-in-a-ring", OTHER, NO),
    ("nested-in-a-ring", tree.ALICE, NO),
    ("no-such-group", MEMBER, OUTAGE),
    ("remembered", MEMBER, OK),
    ("remembered", OTHER, NO),
]


@pytest.mark.parametrize(("way", "person", "answer"), GROUPS, ids=lambda value: getattr(value, "uid", None))
def test_groups(site: LdapSite, way: str, person: tree.Person, answer: bytes) -> None:
    assert site.login(way, person) == answer
    assert site.ask(way, person.uid, "wrong") == (OUTAGE if answer == OUTAGE else NO)


def test_member_that_is_added_is_one_at_once_and_one_that_is_taken_out_is_none(site: LdapSite) -> None:
    group = f"cn=mail,{tree.GROUPS}"
    change = "dn: {group}\nchangetype: modify\n{verb}: member\nmember: {dn}\n"
    assert [site.login(way, OTHER) for way in ("member", "remembered", "member-of")] == [NO] * 3
    site.server.modify(change.format(group=group, verb="add", dn=OTHER.dn))
    try:
        assert [site.login(way, OTHER) for way in ("member", "remembered", "member-of")] == [OK] * 3
    finally:
        site.server.modify(change.format(group=group, verb="delete", dn=OTHER.dn))
    assert [site.login(way, OTHER) for way in ("member", "remembered", "member-of")] == [NO, OK, NO]
    assert site.ask("remembered", OTHER.uid, "wrong") == NO
