"""Who may log in by a group: by attribute, by filter, nested; the traps of the original; what is remembered."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from saslauthd_py import trace
from saslauthd_py.backends.ldap.groups import MOST_GROUPS
from saslauthd_py.identity import Identity
from saslauthd_py.secret import Secret
from saslauthd_py.trace import Step
from saslauthd_py.verdict import FINAL_REASONS, Accepted, Reason, Rejected, Unavailable, UnknownUser
from saslauthd_py.wire.ldap import BindRequest, CompareRequest, ResultCode, SearchRequest
from tests.backends.directories import ALICE, BOB, GONE, PEOPLE, SERVER, Model, Stored, ask, backend, cost, dn, said

GROUPS = "ou=groups,dc=example,dc=test"
MAIL = f"cn=mail,{GROUPS}"
CHAIN = b"1.2.840.113556.1.4.1941"
NOT_IN_GROUP = Rejected(Reason.GROUP)
WRONG = Rejected(Reason.WRONG_SECRET)

BY_MEMBER: dict[str, Any] = {"group_dn": MAIL, "group_attribute": "member"}
BY_MEMBER_OF: dict[str, Any] = {"group_dn": MAIL, "group_attribute": "memberOf"}
BY_FILTER: dict[str, Any] = {"group_filter": "(&(cn=mail)(member=%D))", "group_base": GROUPS}
WAYS = pytest.mark.parametrize("keys", [BY_MEMBER, BY_MEMBER_OF, BY_FILTER], ids=["member", "memberOf", "filter"])
NESTED = pytest.mark.parametrize("keys", [BY_MEMBER, BY_MEMBER_OF], ids=["member", "memberOf"])


@pytest.fixture
def directory() -> Model:
    model = Model()
    alice, _ = model.add("alice", "pw1"), model.add("bob", "pw2")
    model.group("mail", alice)
    return model


@WAYS
async def test_members_and_others(directory: Model, keys: dict[str, Any]) -> None:
    it = backend(directory, **keys)
    assert isinstance(await ask(it), Accepted)
    assert await ask(it, "wrong") == WRONG
    assert await ask(it, "pw2", BOB) == NOT_IN_GROUP
    assert await ask(it, "wrong", BOB) == NOT_IN_GROUP
    assert await ask(it, "pw1", Identity("carol")) == UnknownUser()


@WAYS
async def test_d9_group_is_judged_before_the_secret(directory: Model, keys: dict[str, Any]) -> None:
    it = backend(directory, **keys)
    asked = "compare" if keys is BY_MEMBER else "search"
    assert await cost(directory, lambda: ask(it)) == ["search", asked, "bind"]
    await ask(it, "pw2", BOB)
    assert sorted(await cost(directory, lambda: ask(it, "pw2", BOB))) == sorted(["search", asked])
    assert dn("bob") not in directory.binds()


@WAYS
async def test_d6_all_who_are_refused_cost_the_same_questions(directory: Model, keys: dict[str, Any]) -> None:
    it = backend(directory, dn_cache="0s", **keys)
    await ask(it, "wrong", BOB)  # whether the server has the attribute is asked once

    async def login(name: Identity) -> None:
        await ask(it, "wrong", name)
        if name is not ALICE:
            await it.pretend(Secret(b"wrong"))

    costs = [await cost(directory, partial(login, name)) for name in (ALICE, BOB, Identity("carol"))]
    assert costs[0] == costs[1] == costs[2]


async def test_d6_unknown_user_stays_one_while_the_group_cannot_be_looked_at(directory: Model) -> None:
    it = backend(directory, **BY_MEMBER)
    directory.fail(CompareRequest, GONE, said(ResultCode.BUSY))
    for _ in range(2):
        assert await ask(it, "pw1", Identity("carol")) == UnknownUser()


def test_b4_who_is_in_no_group_may_be_known_elsewhere() -> None:
    assert Reason.GROUP not in FINAL_REASONS


async def test_attribute_and_values_are_the_servers_to_compare(directory: Model) -> None:
    await ask(backend(directory, **BY_MEMBER))
    assert directory.compares()[-1] == CompareRequest(MAIL.encode(), b"member", dn("alice"))
    await ask(backend(directory, **BY_MEMBER_OF))
    assert directory.searches()[-1] == f"(memberOf={MAIL})"


async def test_template_of_the_group_is_filled(directory: Model) -> None:
    directory.group("smtp", dn("alice"))
    it = backend(directory, group_dn=f"cn=%s,{GROUPS}", group_attribute="member")
    assert isinstance(await ask(it), Accepted)
    assert await ask(it, service="imap") == NOT_IN_GROUP
    assert await ask(it, service="") == UnknownUser()


async def test_two_matching_groups_are_a_yes(directory: Model) -> None:
    """The original denies whoever is in two groups: its size limit of 1 is an error to it."""
    for name in ("staff", "list", "all"):
        directory.group(name, dn("alice"))
    it = backend(directory, group_filter="(member=%D)", group_base=GROUPS)
    assert isinstance(await ask(it), Accepted)
    assert await ask(it, "pw2", BOB) == NOT_IN_GROUP
    search = next(one for one in directory.asked if isinstance(one, SearchRequest) and one.base == GROUPS.encode())
    assert (search.search.size_limit, search.search.attributes) == (1, (b"1.1",))
    directory.limit = 1
    assert isinstance(await ask(it), Accepted)


async def test_filter_alone_is_enough(directory: Model) -> None:
    """The original compares with an empty DN unless its match method says filter too, and denies everybody."""
    directory.entries[dn("alice")].attributes[b"memberuid"] = [b"alice"]
    it = backend(directory, group_filter="(&(uid=%U)(memberUid=%U))")
    assert isinstance(await ask(it), Accepted)
    assert await ask(it, "pw2", BOB) == NOT_IN_GROUP


async def test_dn_goes_into_a_filter_as_a_value() -> None:
    directory = Model()
    odd = directory.add("a*)(member=", "pw1")
    directory.group("mail", odd)
    directory.add("b", "pw2")
    it = backend(directory, **BY_FILTER)
    assert isinstance(await ask(it, "pw1", Identity("a*)(member=")), Accepted)
    assert await ask(it, "pw2", Identity("b")) == NOT_IN_GROUP
    assert r"(&(cn=mail)(member=uid=a\2a\29\28member=,ou=people,dc=example,dc=test))" in directory.searches()


async def test_base_may_be_the_users_own(directory: Model) -> None:
    directory.entries[b"cn=mail," + dn("alice")] = Stored({b"cn": [b"mail"]})
    it = backend(directory, group_filter="(cn=mail)", group_base="%D", group_scope="one")
    assert isinstance(await ask(it), Accepted)
    assert await ask(it, "pw2", BOB) == NOT_IN_GROUP


async def test_group_by_template_method(directory: Model) -> None:
    it = backend(directory, method="template", dn_template=f"uid=%U,{PEOPLE.decode()}", **BY_MEMBER)
    assert isinstance(await ask(it), Accepted)
    assert await ask(it, "pw2", BOB) == NOT_IN_GROUP
    assert directory.binds() == [dn("alice")]


@pytest.mark.parametrize("keys", [BY_MEMBER, BY_FILTER])
async def test_group_that_is_not_there_is_an_outage_unless_the_login_made_its_name(directory: Model, keys: dict[str, Any]) -> None:
    for key in ("group_dn", "group_base"):
        if key not in keys:
            continue
        verdict = await ask(backend(directory, **keys | {key: "cn=no,dc=other"}))
        assert isinstance(verdict, Unavailable)
        assert "hidden from bind_dn" in verdict.cause
        assert not verdict.judged
        assert await ask(backend(directory, **keys | {key: "cn=%d,dc=other"})) == NOT_IN_GROUP


@pytest.mark.parametrize(
    "answer", [said(ResultCode.INSUFFICIENT_ACCESS_RIGHTS), said(ResultCode.REFERRAL), said(ResultCode.BUSY), said(ResultCode.SUCCESS)]
)
async def test_compare_that_is_not_answered_is_an_outage(directory: Model, answer: Any) -> None:
    directory.fail(CompareRequest, answer)
    verdict = await ask(backend(directory, **BY_MEMBER))
    assert isinstance(verdict, Unavailable)
    assert verdict.cause.startswith(f"{SERVER}: compare member of {MAIL}: ")
    assert not directory.binds()


async def test_name_that_389_ds_has_not_is_nobody_s(directory: Model) -> None:
    """389-ds 2.3.1 answers search and compare of an entry that is not there with success, which of a compare is neither yes nor no."""
    directory.fail(SearchRequest, said(ResultCode.SUCCESS))
    directory.fail(CompareRequest, said(ResultCode.SUCCESS))
    it = backend(directory, method="template", dn_template=f"uid=%U,{PEOPLE.decode()}", **BY_MEMBER_OF)
    assert await ask(it, "pw1", Identity("carol")) == NOT_IN_GROUP
    directory.fail(CompareRequest, said(ResultCode.SUCCESS))
    assert await ask(backend(directory, **BY_MEMBER | {"group_dn": f"cn=%d,{GROUPS}"})) == NOT_IN_GROUP


async def test_g1_member_whose_entry_389_ds_has_elsewhere_now_is_found_there(directory: Model) -> None:
    it = backend(directory, **BY_MEMBER_OF)
    assert isinstance(await ask(it), Accepted)
    elsewhere = dn("alice", b"ou=moved," + PEOPLE)
    directory.entries[elsewhere] = directory.entries.pop(dn("alice"))
    directory.fail(SearchRequest, said(ResultCode.SUCCESS))
    directory.fail(CompareRequest, said(ResultCode.SUCCESS))
    assert isinstance(await ask(it), Accepted)
    assert directory.binds() == [dn("alice"), elsewhere]
    assert not any(directory.faults.values())


async def test_group_that_389_ds_has_not_is_told_so(directory: Model) -> None:
    directory.fail(CompareRequest, said(ResultCode.SUCCESS))
    verdict = await ask(backend(directory, **BY_MEMBER))
    assert isinstance(verdict, Unavailable)
    assert verdict.cause.endswith("success (0); 389-ds says this where there is no such entry, or it is hidden from bind_dn")


async def test_attribute_that_the_server_does_not_know_is_an_outage(directory: Model) -> None:
    directory.fail(CompareRequest, said(ResultCode.UNDEFINED_ATTRIBUTE_TYPE))
    verdict = await ask(backend(directory, **BY_MEMBER_OF), "pw2", BOB)
    assert isinstance(verdict, Unavailable)
    assert verdict.cause.endswith("undefinedAttributeType (17); the server knows no such attribute")


async def test_group_without_members_has_none(directory: Model) -> None:
    del directory.entries[MAIL.encode()].attributes[b"member"]
    assert await ask(backend(directory, **BY_MEMBER)) == NOT_IN_GROUP


async def test_group_is_asked_anew_at_each_login(directory: Model) -> None:
    it = backend(directory, **BY_MEMBER)
    assert isinstance(await ask(it), Accepted)
    directory.entries[MAIL.encode()].attributes[b"member"] = [dn("bob")]
    assert await ask(it) == NOT_IN_GROUP
    assert isinstance(await ask(it, "pw2", BOB), Accepted)


@WAYS
async def test_group_cache_remembers_a_yes_and_never_a_no(directory: Model, keys: dict[str, Any], autojump_clock: MockClock) -> None:
    it = backend(directory, group_cache="60s", dn_cache="0s", **keys)
    assert await ask(it, "pw2", BOB) == NOT_IN_GROUP
    assert isinstance(await ask(it), Accepted)
    directory.entries.pop(MAIL.encode())
    directory.entries[dn("alice")].attributes.pop(b"memberof")
    directory.group("mail", dn("bob"))
    assert isinstance(await ask(it, "pw2", BOB), Accepted)
    await trio.sleep(59)
    assert await cost(directory, lambda: ask(it)) == ["search", "bind"]
    assert await ask(it, "wrong") == WRONG
    await trio.sleep(2)
    assert await ask(it) == NOT_IN_GROUP


async def test_group_cache_is_forgotten_when_an_admin_says_so(directory: Model) -> None:
    it = backend(directory, group_cache="1h", **BY_MEMBER)
    assert isinstance(await ask(it), Accepted)
    directory.entries[MAIL.encode()].attributes[b"member"] = []
    assert isinstance(await ask(it), Accepted)
    it.forget()
    assert await ask(it) == NOT_IN_GROUP


async def test_group_cache_tells_services_apart_where_the_group_does(directory: Model) -> None:
    directory.group("smtp", dn("alice"))
    it = backend(directory, group_dn=f"cn=%s,{GROUPS}", group_attribute="member", group_cache="60s")
    assert isinstance(await ask(it), Accepted)
    assert await ask(it, service="imap") == NOT_IN_GROUP


async def test_group_cache_is_no_proof(directory: Model) -> None:
    it = backend(directory, group_cache="1h", **BY_MEMBER)
    assert isinstance(await ask(it), Accepted)
    directory.fail(BindRequest, said(ResultCode.INVALID_CREDENTIALS))
    assert await ask(it) == WRONG


async def test_g1_member_that_has_moved_is_found_before_it_is_refused(directory: Model) -> None:
    it = backend(directory, **BY_MEMBER)
    await ask(it)
    moved = dn("alice", b"ou=old," + PEOPLE)
    directory.entries[moved] = directory.entries.pop(dn("alice"))
    directory.entries[MAIL.encode()].attributes[b"member"] = [moved]
    assert await cost(directory, lambda: ask(it)) == ["compare", "search", "compare", "bind"]
    it = backend(directory, **BY_MEMBER_OF)
    await ask(it)
    directory.entries[dn("alice")] = directory.entries.pop(moved)
    assert await cost(directory, lambda: ask(it)) == ["search", "search", "search", "bind"]
    assert isinstance(await ask(it), Accepted)


def nest(directory: Model, *, depth: int = 3) -> None:
    """Bob is in g1, that in g2, and so on; the last is in mail. The groups have memberOf where the server has."""
    inner = dn("bob")
    for number in range(1, depth + 1):
        inner = directory.group(f"g{number}", inner)
    mail = directory.entries[MAIL.encode()]
    mail.attributes[b"member"].append(inner)
    if directory.memberof:
        directory.entries[inner].attributes.setdefault(b"memberof", []).append(MAIL.encode())


@NESTED
async def test_nested_group_counts_only_where_it_is_told(directory: Model, keys: dict[str, Any]) -> None:
    nest(directory)
    assert await ask(backend(directory, **keys), "pw2", BOB) == NOT_IN_GROUP
    assert isinstance(await ask(backend(directory, nested_groups=True, **keys), "pw2", BOB), Accepted)


@NESTED
async def test_nested_groups_by_the_rule_cost_one_more_question(directory: Model, keys: dict[str, Any]) -> None:
    nest(directory)
    directory.rules = frozenset({CHAIN})
    it, direct = backend(directory, nested_groups=True, **keys), "compare" if keys is BY_MEMBER else "search"
    await ask(it, "wrong", BOB)
    assert await cost(directory, lambda: ask(it)) == ["search", direct, "bind"]
    assert await cost(directory, lambda: ask(it, "pw2", BOB)) == [direct, "search", "bind"]
    group = MAIL.encode().decode()
    assert directory.searches()[-1] == f"(memberOf:{CHAIN.decode()}:={group})"
    directory.add("carol", "pw3")
    directory.group("other", dn("carol"))
    assert await cost(directory, lambda: ask(it, "pw3", Identity("carol"))) == ["search", direct, "search", "search"]
    assert await ask(it, "pw3", Identity("carol")) == NOT_IN_GROUP


@pytest.mark.parametrize(
    "code",
    [
        ResultCode.UNAVAILABLE_CRITICAL_EXTENSION,
        ResultCode.UNWILLING_TO_PERFORM,
        ResultCode.PROTOCOL_ERROR,
        ResultCode.INAPPROPRIATE_MATCHING,
        ResultCode.UNDEFINED_ATTRIBUTE_TYPE,
    ],
)
async def test_server_that_refuses_the_rule_is_asked_for_member_of(directory: Model, code: ResultCode) -> None:
    nest(directory)
    it = backend(directory, nested_groups=True, dn_cache="1h", **BY_MEMBER)
    await ask(it, "wrong", BOB)
    directory.fail(SearchRequest, said(code), said(code))
    assert isinstance(await ask(it, "pw2", BOB), Accepted)


async def test_outage_in_the_midst_of_nested_groups_is_one(directory: Model) -> None:
    nest(directory)
    it = backend(directory, nested_groups=True, dn_cache="1h", **BY_MEMBER)
    await ask(it, "wrong", BOB)
    for place in range(3):
        fine = [said(ResultCode.SUCCESS)] * place
        directory.faults[SearchRequest] = [*fine, said(ResultCode.BUSY)]
        assert isinstance(await ask(it, "pw2", BOB), Unavailable)
        directory.faults[SearchRequest] = [*fine, GONE]
        assert await ask(it, "pw2", BOB) == Unavailable(str(GONE))


async def test_groups_that_hold_each_other_end(directory: Model) -> None:
    one, two = directory.group("one", dn("bob")), directory.group("two")
    directory.entries[one].attributes[b"memberof"] = [two]
    directory.entries[two].attributes[b"memberof"] = [one, two]
    assert await ask(backend(directory, nested_groups=True, **BY_MEMBER), "pw2", BOB) == NOT_IN_GROUP


@pytest.mark.parametrize("more", [0, 1])
async def test_groups_without_the_rule_are_bounded(directory: Model, more: int) -> None:
    for number in range(MOST_GROUPS + more):
        directory.group(f"g{number}", dn("bob"))
    verdict = await ask(backend(directory, nested_groups=True, **BY_MEMBER), "pw2", BOB)
    if more:
        assert isinstance(verdict, Unavailable)
        assert f"over {MOST_GROUPS} groups" in verdict.cause
    else:
        assert verdict == NOT_IN_GROUP


async def test_without_rule_and_member_of_a_direct_member_is_still_one() -> None:
    directory = Model(memberof=False)
    directory.group("mail", directory.add("alice", "pw1"))
    directory.add("bob", "pw2")
    it = backend(directory, nested_groups=True, **BY_MEMBER)
    assert isinstance(await ask(it), Accepted)
    assert await ask(it, "pw2", BOB) == NOT_IN_GROUP


async def test_group_that_member_of_names_and_is_gone_holds_nobody(directory: Model) -> None:
    directory.entries[dn("bob")].attributes[b"memberof"] = [b"cn=gone,dc=example,dc=test"]
    assert await ask(backend(directory, nested_groups=True, **BY_MEMBER), "pw2", BOB) == NOT_IN_GROUP


async def test_trace_has_the_result(directory: Model) -> None:
    steps: list[Step] = []
    it = backend(directory, group_cache="60s", **BY_MEMBER)
    with trace.recording(steps.append):
        await ask(it)
        await ask(it)
        await ask(it, "pw2", BOB)
    groups = [step.facts for step in steps if step.name == "ldap-group"]
    assert [(one["dn"], one["member"], one["remembered"]) for one in groups] == [
        (dn("alice").decode(), True, False),
        (dn("alice").decode(), True, True),
        (dn("bob").decode(), False, False),
    ]
    compared = next(step.facts for step in steps if step.name == "ldap-compare")
    assert (compared["dn"], compared["attribute"], compared["result"]) == (MAIL, "member", "compareTrue (6)")
