"""`test --trace` over a real slapd: server, filter as it was sent, DN, group and times are shown, and no secret."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.interop import directory_tree as tree
from tests.interop.addresses import free_ports
from tests.interop.daemon import PATIENCE, environment
from tests.interop.ldap_site import LdapSite, new_ldap_site
from tests.interop.slapd import slapd

pytestmark = pytest.mark.peer("slapd", "openssl")

WEIRD = tree.ODD[0]
REJECTED, UNAVAILABLE = 77, 75

Step = dict[str, Any]


@pytest.fixture(scope="module")
def site(machine: Path) -> Iterator[LdapSite]:
    with slapd(machine / "slapd-trace", 10) as server, new_ldap_site(machine, server) as site:
        group = {"group_dn": f"cn=mail,{tree.GROUPS}", "group_attribute": "member"}
        reading = {"bind_dn": tree.ADMIN, "password_file": str(site.private("admin", tree.ADMIN_PASSWORD)), "method": "compare"}
        (dead,) = free_ports(1)
        ways = {
            "bind": site.people(filter="(&(uid=%U)(objectClass=inetOrgPerson))", **group),
            "second": site.people(servers=[f"ldap://127.0.0.1:{dead}", server.ldaps], ca_file=str(server.ca)),
            "found": site.people(group_filter="(memberUid=%U)", group_base=tree.GROUPS),
            "template": site.people(base=None, method="template", dn_template=f"uid=%U,{tree.PEOPLE}"),
            "compare": site.people(**reading),
            "twins": site.people(base=tree.BASE),
            "by-mail": site.people(filter="(mail=%U@%d)"),
            "down": site.people(servers=[f"ldap://127.0.0.1:{dead}"]),
        }
        with site.serving(ways):
            yield site


def traced(site: LdapSite, way: str, name: str, secret: str, *words: str) -> tuple[int, str]:
    """The code and the text of a login that is traced; it shows no secret, neither this one nor the service's nor what is stored."""
    options = ["--trace", "--password-stdin", "--socket", str(site.mux(way)), "--config", str(site.site.configuration), *words]
    command = [sys.executable, "-m", "saslauthd_py", "test", name, *options]
    done = subprocess.run(command, env=environment(), cwd="/", input=secret, capture_output=True, text=True, timeout=PATIENCE, check=False)
    said = done.stdout + done.stderr
    stored = [value for person in tree.PERSONS for value in person.stored or ()]
    assert not [hidden for hidden in (secret, tree.SERVICE_PASSWORD, *stored) if hidden in said]
    assert not done.stderr
    return done.returncode, done.stdout


def steps(site: LdapSite, way: str, name: str, secret: str) -> tuple[int, list[Step]]:
    """Those of the directory, but for looks at a base, which come by the time."""
    code, text = traced(site, way, name, secret, "--json")
    return code, [step for step in json.loads(text)["steps"] if step["step"].startswith("ldap-") and not is_look(step)]


def is_look(step: Step) -> bool:
    return step["step"] == "ldap-search" and (step["scope"], step["filter"]) == ("base", "(objectClass=*)")


def named(found: list[Step]) -> list[str]:
    return [step["step"] for step in found]


def test_bind_shows_each_question_its_answer_and_its_time(site: LdapSite) -> None:
    member = tree.numbered(7)
    code, found = steps(site, "bind", member.uid, member.password)
    assert (code, named(found)) == (0, ["ldap-search", "ldap-compare", "ldap-group", "ldap-bind"])
    search, compare, group, bind = found
    assert search["filter"] == "(&(uid=u0007)(objectClass=inetOrgPerson))"
    assert (search["server"], search["base"], search["scope"], search["found"]) == (site.server.ldap, tree.PEOPLE, "sub", [member.dn])
    assert (compare["dn"], compare["attribute"], compare["value"]) == (f"cn=mail,{tree.GROUPS}", "member", member.dn)
    assert compare["result"].startswith("compareTrue")
    assert (group["dn"], group["member"], group["remembered"]) == (member.dn, True, False)
    assert (bind["dn"], bind["server"], bind["result"]) == (member.dn, site.server.ldap, "success (0)")
    assert all(step["ms"] >= 0 for step in found)
    assert [step["seconds"] for step in found] == sorted(step["seconds"] for step in found)


def test_dn_that_is_remembered_is_told(site: LdapSite) -> None:
    alice = tree.ALICE
    assert steps(site, "second", alice.uid, alice.password)[0] == 0
    code, found = steps(site, "second", alice.uid, alice.password)
    assert (code, named(found)) == (0, ["ldap-remembered", "ldap-bind"])
    assert found[0]["dn"] == alice.dn
    assert found[1]["server"] == site.server.ldaps


@pytest.mark.parametrize("whose", ["", "somebody@example.test"])
def test_dn_that_is_remembered_is_forgotten_with_all_by_a_flush(site: LdapSite, whose: str) -> None:
    login = "second", tree.ALICE.uid, tree.ALICE.password
    steps(site, *login)
    assert "ldap-remembered" in named(steps(site, *login)[1])
    words = ["cache", "flush", *filter(None, [whose]), "--config", str(site.site.configuration)]
    subprocess.run([sys.executable, "-m", "saslauthd_py", *words], env=environment(), cwd="/", timeout=PATIENCE, check=True)
    assert "ldap-remembered" not in named(steps(site, *login)[1])


def test_group_that_the_user_is_not_in_is_told_and_no_bind_is_made(site: LdapSite) -> None:
    other = tree.numbered(8)
    code, found = steps(site, "bind", other.uid, other.password)
    assert code == REJECTED
    assert named(found)[:3] == ["ldap-search", "ldap-compare", "ldap-group"]
    assert found[2]["member"] is False
    assert "group" in traced(site, "bind", other.uid, other.password)[1]


def test_filter_is_shown_as_it_was_sent(site: LdapSite) -> None:
    _, found = steps(site, "bind", WEIRD.uid, WEIRD.password)
    assert found[0]["filter"] == r"(&(uid=w\28e\29ird\2a)(objectClass=inetOrgPerson))"
    _, found = steps(site, "found", tree.BOTH.uid, tree.BOTH.password)
    groups = next(step for step in found if step["step"] == "ldap-search" and "memberUid" in step["filter"])
    assert (groups["base"], groups["filter"]) == (tree.GROUPS, "(memberUid=both)")


def test_template_shows_the_dn_that_it_made(site: LdapSite) -> None:
    comma = tree.ODD[1]
    code, found = steps(site, "template", comma.uid, comma.password)
    assert (code, named(found)) == (0, ["ldap-bind"])
    assert found[0]["dn"] == f"uid=comma\\2C\\20of,{tree.PEOPLE}"


def test_compare_shows_how_many_passwords_there_are_and_none_of_them(site: LdapSite) -> None:
    for person, secret, ended, values in ((tree.SSHA512, tree.SSHA512.password, 0, 1), (tree.TWO_PASSWORDS, "a wrong one", REJECTED, 2)):
        code, found = steps(site, "compare", person.uid, secret)
        assert (code, named(found)) == (ended, ["ldap-search", "ldap-stored"])
        assert (found[1]["dn"], found[1]["attribute"], found[1]["values"]) == (person.dn, "userPassword", values)


def test_wrong_password_and_nobody_are_told_apart(site: LdapSite) -> None:
    code, text = traced(site, "template", tree.ALICE.uid, "wrong secret")
    assert code == REJECTED
    assert "wrong-secret" in text
    code, text = traced(site, "by-mail", "nobody@example.test", "wrong secret")
    assert code == REJECTED
    assert "unknown-user" in text


def test_missing_token_is_named_and_nobody_is_asked(site: LdapSite) -> None:
    code, found = steps(site, "by-mail", "alice", "any secret")
    assert (code, named(found)) == (REJECTED, ["ldap-refused"])
    assert "%d has no value" in found[0]["why"]


def test_two_entries_are_shown_with_both_names(site: LdapSite) -> None:
    code, found = steps(site, "twins", "twin", tree.TWINS[0].password)
    assert (code, named(found)) == (UNAVAILABLE, ["ldap-search"])
    assert sorted(found[0]["found"]) == sorted(twin.dn for twin in tree.TWINS)


def test_server_that_is_down_is_shown_with_its_cause(site: LdapSite) -> None:
    code, found = steps(site, "down", tree.ALICE.uid, tree.ALICE.password)
    assert (code, named(found)) == (UNAVAILABLE, ["ldap-search"])
    assert "Connection refused" in found[0]["failed"]


def test_text_for_people_has_server_filter_dn_and_client(site: LdapSite) -> None:
    member = tree.numbered(9)
    code, text = traced(site, "bind", member.uid, member.password)
    assert code == 0
    for words in (site.server.ldap, "(&(uid=u0009)(objectClass=inetOrgPerson))", member.dn, f"cn=mail,{tree.GROUPS}", "Postfix says 235"):
        assert words in text
