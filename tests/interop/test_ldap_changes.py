"""What changes in a real directory counts at the next login, DN cache on: passwords, entries that move, go and come."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.interop import directory_tree as tree
from tests.interop.ldap_site import LdapSite, new_ldap_site
from tests.interop.mux import NO, OK
from tests.interop.slapd import Slapd, slapd

pytestmark = pytest.mark.peer("slapd", "openssl")


@pytest.fixture(scope="module")
def server(machine: Path) -> Iterator[Slapd]:
    with slapd(machine / "slapd-changes", 10, debug="stats") as running:
        yield running


@pytest.fixture(scope="module")
def site(machine: Path, server: Slapd) -> Iterator[LdapSite]:
    """The DN is remembered for an hour."""
    with new_ldap_site(machine, server) as site, site.serving({"bind": site.people(base=tree.BASE, dn_cache="1h")}):
        yield site


def searches(server: Slapd, person: tree.Person) -> int:
    return server.log().count(f'filter="(uid={person.uid})"')


def test_g1_dn_is_remembered_and_the_password_is_not(site: LdapSite) -> None:
    person = tree.numbered(1)
    assert [site.login("bind", person) for _ in range(5)] == [OK] * 5
    assert searches(site.server, person) == 1
    for number in range(5):
        old, new = (f"pw0001{'x' * times}" for times in (number, number + 1))
        site.server.set_password(person.dn, new)
        assert site.ask("bind", person.uid, old) == NO
        assert site.ask("bind", person.uid, new) == OK


def test_g1_entry_that_moved_is_found_and_its_old_place_forgotten(site: LdapSite) -> None:
    person = tree.numbered(2)
    assert site.login("bind", person) == OK
    site.server.modify(f"dn: {person.dn}\nchangetype: modrdn\nnewrdn: uid={person.uid}\ndeleteoldrdn: 0\nnewsuperior: {tree.STAFF}\n")
    assert site.login("bind", person) == OK
    assert site.ask("bind", person.uid, "wrong") == NO
    assert f'BIND dn="uid={person.uid},{tree.STAFF}"' in site.server.log()


def test_g1_entry_that_is_gone_is_nobody_and_one_that_came_is_somebody(site: LdapSite) -> None:
    person = tree.numbered(3)
    assert site.login("bind", person) == OK
    site.server.delete(person.dn)
    assert site.login("bind", person) == NO
    site.server.add(person)
    assert site.login("bind", person) == OK


def test_g1_another_s_entry_with_the_old_dn_is_not_the_user_s(site: LdapSite) -> None:
    """The one moved, and another took the DN: the right password of each is right for each alone."""
    first, second = tree.Person("mover", "pw of the first"), tree.Person("mover", "pw of the second")
    site.server.add(first)
    assert site.login("bind", first) == OK
    site.server.delete(first.dn)
    site.server.add(second)
    assert site.login("bind", first) == NO
    assert site.login("bind", second) == OK


def test_account_that_is_locked_is_refused_at_once(site: LdapSite) -> None:
    person = tree.numbered(4)
    assert site.login("bind", person) == OK
    change = f"dn: {person.dn}\nchangetype: modify\n{{verb}}: pwdAccountLockedTime\n"
    site.server.modify(
        f"dn: {person.dn}\nchangetype: modify\nadd: pwdPolicySubentry\npwdPolicySubentry: {tree.POLICY}\n-\n"
        "add: pwdAccountLockedTime\npwdAccountLockedTime: 000001010000Z\n"
    )
    assert site.login("bind", person) == NO
    site.server.modify(change.format(verb="delete"))
    assert site.login("bind", person) == OK
