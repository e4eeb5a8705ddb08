"""LDAP as a backend: binds by search and by template, names that cannot be looked for, outages, and the work of a no."""

from __future__ import annotations

import logging
from functools import partial
from typing import Any

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from saslauthd_py import trace
from saslauthd_py.backend import Attempt
from saslauthd_py.backends.ldap import LdapBackend, TemplateErrors
from saslauthd_py.backends.ldap.directory import LinkLost
from saslauthd_py.identity import Identity, InvalidIdentity
from saslauthd_py.secret import Secret
from saslauthd_py.trace import Step
from saslauthd_py.verdict import Accepted, Reason, Rejected, Unavailable, UnknownUser, Verdict
from saslauthd_py.wire.ldap import BindRequest, ResultCode, SearchRequest, SearchResultEntry
from tests.backends.directories import ALICE, BOB, GONE, PEOPLE, SERVER, Model, Silent, ask, backend, cost, dn, said

WRONG = Rejected(Reason.WRONG_SECRET)
BY_TEMPLATE: dict[str, Any] = {"method": "template", "dn_template": f"uid=%U,{PEOPLE.decode()}"}
LOST = LinkLost(f"{SERVER}: ended the connection")


@pytest.fixture
def directory() -> Model:
    model = Model()
    model.add("alice", "pw1")
    model.add("bob", "pw2")
    return model


def proved(name: Identity = ALICE) -> Accepted:
    """A yes that nobody may repeat."""
    return Accepted(name, replayable=False)


@pytest.mark.parametrize("keys", [{}, {"dn_cache": "0s"}, BY_TEMPLATE])
async def test_right_and_wrong(directory: Model, keys: dict[str, Any]) -> None:
    it = backend(directory, **keys)
    for _ in range(2):
        assert await ask(it) == proved()
        assert await ask(it, "wrong") == WRONG
        assert await ask(it, "pw2") == WRONG
        assert await ask(it, "pw2", BOB) == proved(BOB)


async def test_bind_asks_first_who_it_is(directory: Model) -> None:
    it = backend(directory)
    assert await cost(directory, lambda: ask(it)) == ["search", "bind"]
    assert directory.searches() == ["(uid=alice)"]
    assert directory.binds() == [dn("alice")]
    search = next(one for one in directory.asked if isinstance(one, SearchRequest))
    assert (search.base, search.search.attributes, search.search.size_limit, search.search.time_limit) == (PEOPLE, (b"1.1",), 2, 5)


async def test_template_asks_nothing_else(directory: Model) -> None:
    it = backend(directory, **BY_TEMPLATE)
    assert await cost(directory, lambda: ask(it)) == ["bind"]


async def test_template_that_is_no_dn() -> None:
    directory = Model()
    directory.entries[b"alice@ad.example.test"] = directory.entries[directory.add("alice", "pw1")]
    it = backend(directory, method="template", dn_template="%U@ad.example.test")
    assert await ask(it) == proved()
    assert await ask(it, "pw1", Identity("alice,dc=x")) == UnknownUser()


async def test_no_entry_is_an_unknown_user_and_nobody_binds(directory: Model) -> None:
    assert await ask(backend(directory), "pw1", Identity("carol")) == UnknownUser()
    assert not directory.binds()


@pytest.mark.parametrize("code", [ResultCode.NO_SUCH_OBJECT, ResultCode.INVALID_DN_SYNTAX])
async def test_template_without_an_entry_is_an_unknown_user(directory: Model, code: ResultCode) -> None:
    directory.fail(BindRequest, said(code))
    assert await ask(backend(directory, **BY_TEMPLATE)) == UnknownUser()


async def test_login_template_makes_the_name_and_b1_a_yes_confirms_it(directory: Model) -> None:
    assert await ask(backend(directory, login="{local}", filter="(uid=%u)")) == proved(Identity("alice"))
    assert await ask(backend(directory, login="{local}@{realm}")) == proved()
    assert directory.searches() == ["(uid=alice)", "(uid=alice)"]


async def test_b1_yes_is_for_the_name_that_was_asked() -> None:
    directory = Model()
    directory.add("alice", "pw1", mail=[b"alice.smith@example.test"])
    alias = Identity("alice.smith", "example.test")
    assert await ask(backend(directory, filter="(mail=%u)"), "pw1", alias) == proved(alias)


async def test_verdict_may_be_repeated_only_where_the_configuration_says_so(directory: Model) -> None:
    assert await ask(backend(directory, cache="60s")) == Accepted(ALICE, replayable=True)
    assert await ask(backend(directory)) == Accepted(ALICE, replayable=False)


@pytest.mark.parametrize("keys", [{}, BY_TEMPLATE])
@pytest.mark.parametrize("secret", ["", "\0", "pw1\0", "pw1\0pw1"])
async def test_g4_empty_or_cut_secret_never_reaches_a_bind(directory: Model, keys: dict[str, Any], secret: str) -> None:
    it = backend(directory, **keys)
    for name in (ALICE, Identity("nobody")):
        before = len(directory.asked)
        assert await ask(it, secret, name) == WRONG
        (pretended,) = directory.asked[before:]
        assert isinstance(pretended, BindRequest)
        assert pretended.name not in directory.entries
        assert pretended.secret != Secret(secret.encode())


async def test_d7_secret_goes_to_the_directory_as_it_is(directory: Model) -> None:
    for secret in ("x" * 16_000, "pa\u00adss", "p\u00e4ss \u200b", " pw1 "):
        directory.entries[dn("alice")].password = secret.encode()
        assert await ask(backend(directory), secret) == proved()
        assert await ask(backend(directory), secret[:-1]) == WRONG


@pytest.mark.parametrize(
    ("keys", "name"),
    [
        ({"filter": "(mail=%U@%d)"}, Identity("alice")),
        ({"filter": "(&(uid=%U)(o=%2))"}, Identity("alice", "localhost")),
        ({"filter": "(uid=%U)", "base": "ou=%r,dc=example,dc=test"}, Identity("alice")),
        ({}, Identity(" alice")),
        ({"method": "template", "dn_template": "uid=%U,dc=%d"}, Identity("alice")),
        ({"group_filter": "(cn=%r)"}, Identity("alice")),
        ({"filter": "(cn=%U@%9)"}, ALICE),
    ],
)
async def test_name_that_cannot_fill_a_template_is_unknown_and_nobody_is_asked(
    directory: Model, keys: dict[str, Any], name: Identity
) -> None:
    assert await ask(backend(directory, **keys), "pw1", name) == UnknownUser()
    assert not directory.asked


async def test_service_that_a_filter_needs_and_nobody_named(directory: Model) -> None:
    it = backend(directory, filter="(&(uid=%U)(service=%s))")
    directory.entries[dn("alice")].attributes[b"service"] = [b"smtp"]
    assert await ask(it, service="") == UnknownUser()
    assert not directory.asked
    assert await ask(it, service="imap") == UnknownUser()
    assert await ask(it, service="smtp") == proved()
    assert await ask(it, service="imap") == UnknownUser()


async def test_login_that_renders_to_no_name_is_unknown(directory: Model) -> None:
    it = backend(directory, login="{local}.{realm}@{realm}")
    assert await ask(it, "pw1", Identity("a" * 250, "example.test")) == UnknownUser()
    assert not directory.asked


def test_templates_that_cannot_be_used_are_told_at_once() -> None:
    with pytest.raises(TemplateErrors, match="filter"):
        trio.run(build, {"filter": "(uid=%U"})


async def build(keys: dict[str, Any]) -> None:
    backend(Model(), **keys)


@given(st.text(st.sampled_from('a*()\\&|!=,+"<>;#u0 @%\0\u00e9\u202e'), max_size=20), st.sampled_from(["", "example.test", "a)(uid=*"]))
def test_g4_no_name_finds_an_entry_that_has_another(local: str, realm: str) -> None:
    try:
        name = Identity(local, realm)
    except InvalidIdentity:
        return
    for keys in ({}, {"filter": "(&(uid=%U)(objectClass=person))"}, {"filter": "(|(uid=%u)(mail=%u))"}, BY_TEMPLATE):
        directory = Model()
        directory.add("alice", "pw1", mail=[b"b@example.test"])
        verdict = trio.run(asked, directory, keys, name, clock=MockClock(autojump_threshold=0))
        assert isinstance(verdict, UnknownUser) or (verdict == WRONG and keys is BY_TEMPLATE)


async def asked(directory: Model, keys: dict[str, Any], name: Identity) -> Verdict:
    return await ask(backend(directory, **keys), "pw1", name)


async def test_more_than_one_entry_is_an_outage_and_told_once_a_minute(
    directory: Model, caplog: pytest.LogCaptureFixture, autojump_clock: MockClock
) -> None:
    directory.add("alice", "pw1", b"ou=old," + PEOPLE)
    directory.add("bob", "pw1", b"ou=old," + PEOPLE)
    it = backend(directory, dn_cache="0s")
    causes = set()
    for _ in range(3):
        verdict = await ask(it)
        assert isinstance(verdict, Unavailable)
        assert not verdict.judged
        causes.add(verdict.cause)
    (told,) = caplog.records
    assert told.levelno == logging.ERROR
    assert "uid=alice,ou=old" in told.getMessage()
    assert causes == {told.getMessage()}
    await ask(it, "pw1", BOB)
    assert len(caplog.records) == 2
    await trio.sleep(61)
    await ask(it)
    assert len(caplog.records) == 3
    assert not directory.binds()


@pytest.mark.parametrize("others", [2, 5])
async def test_size_limit_is_never_taken_for_one_entry(directory: Model, others: int, caplog: pytest.LogCaptureFixture) -> None:
    for number in range(others):
        directory.add("alice", "pw1", b"ou=%d," % number + PEOPLE)
    for limit in (0, 1, 2):
        directory.limit = limit
        assert isinstance(await ask(backend(directory)), Unavailable)
    assert not directory.binds()


async def test_size_limit_with_nothing_found_is_an_outage(directory: Model) -> None:
    directory.fail(SearchRequest, said(ResultCode.SIZE_LIMIT_EXCEEDED))
    assert isinstance(await ask(backend(directory)), Unavailable)


async def test_references_beside_an_entry_do_not_count(directory: Model) -> None:
    """`Answer.entries` has entries alone: what a root of Active Directory refers to is not among them, and the code is success."""
    directory.fail(SearchRequest, said(ResultCode.SUCCESS, "", SearchResultEntry(dn("alice"))))
    assert await ask(backend(directory)) == proved()


async def test_entry_without_a_name_is_never_bound(directory: Model) -> None:
    for name in (b"", b" "):
        directory.fail(SearchRequest, said(ResultCode.SUCCESS, "", SearchResultEntry(name)))
        assert isinstance(await ask(backend(directory)), Unavailable)
    assert not directory.binds()


async def test_base_that_is_not_there_is_an_outage_unless_the_login_made_it(directory: Model) -> None:
    verdict = await ask(backend(directory, base="ou=peopel,dc=example,dc=test"))
    assert isinstance(verdict, Unavailable)
    assert "hidden from bind_dn" in verdict.cause
    assert await ask(backend(directory, base="ou=%d,dc=example,dc=test")) == UnknownUser()
    directory.fail(SearchRequest, said(ResultCode.INVALID_DN_SYNTAX))
    assert await ask(backend(directory, base="dc=%d,dc=example,dc=test")) == UnknownUser()


@pytest.mark.parametrize("keys", [{}, {"dn_cache": "0s"}, BY_TEMPLATE])
async def test_d9_directory_that_fails_is_an_outage_and_judged_once_a_secret_was_sent(directory: Model, keys: dict[str, Any]) -> None:
    it = backend(directory, **keys)
    directory.fail(BindRequest, LOST, GONE, said(ResultCode.BUSY), said(ResultCode.OTHER))
    assert await ask(it) == Unavailable(str(LOST), judged=True)
    assert await ask(it) == Unavailable(str(GONE), judged=False)
    busy, other = await ask(it), await ask(it)
    assert isinstance(busy, Unavailable)
    assert not busy.judged
    assert isinstance(other, Unavailable)
    assert other.judged
    assert await ask(it) == proved()


async def test_search_that_fails_judges_nothing(directory: Model) -> None:
    directory.fail(SearchRequest, GONE, said(ResultCode.BUSY))
    it = backend(directory)
    assert await ask(it) == Unavailable(str(GONE))
    busy = await ask(it)
    assert isinstance(busy, Unavailable)
    assert not busy.judged
    assert not directory.binds()


async def test_d9_search_that_fails_after_a_refused_bind_counts_as_a_guess(directory: Model) -> None:
    it = backend(directory)
    assert await ask(it) == proved()
    directory.fail(SearchRequest, GONE)
    assert await ask(it, "wrong") == Unavailable(str(GONE), judged=True)


async def test_cancelled_at_any_point_it_ends(autojump_clock: MockClock) -> None:
    for keys in ({}, BY_TEMPLATE):
        with trio.move_on_after(8) as scope:
            await ask(backend(Silent(), **keys))
        assert scope.cancelled_caught


@pytest.mark.parametrize("keys", [{}, {"dn_cache": "0s"}, BY_TEMPLATE])
async def test_d6_unknown_user_costs_a_bind_as_a_wrong_secret_does(
    directory: Model, keys: dict[str, Any], autojump_clock: MockClock
) -> None:
    directory.delay, directory.hash = 0.001, 0.05
    it = backend(directory, **keys)
    took: dict[str, list[float]] = {"wrong": [], "unknown": []}
    kinds: dict[str, list[str]] = {}
    for number in range(20):
        for kind, name in (("wrong", Identity(f"u{number}")), ("unknown", Identity(f"n{number}"))):
            if kind == "wrong":
                directory.add(name.local, "right")
            began = trio.current_time()
            kinds[kind] = await cost(directory, partial(whole_login, it, name))
            took[kind].append(trio.current_time() - began)
    if keys is not BY_TEMPLATE:
        assert kinds["wrong"] == kinds["unknown"] == ["search", "bind"]
        assert took["wrong"][1:] == pytest.approx(took["unknown"][1:])


async def whole_login(it: LdapBackend, name: Identity) -> Verdict:
    """As a chain asks one backend."""
    attempt = Attempt(name, Secret(b"wrong"), "smtp")
    verdict = await it.verify_password(attempt)
    if verdict != WRONG and isinstance(verdict, Rejected | UnknownUser):
        await it.pretend(attempt.secret)
    return verdict


@pytest.mark.parametrize("code", [ResultCode.CONSTRAINT_VIOLATION, ResultCode.UNWILLING_TO_PERFORM])
async def test_d6_refusal_by_a_bind_costs_no_second_one(directory: Model, code: ResultCode) -> None:
    it = backend(directory)
    directory.fail(BindRequest, said(code))
    assert await cost(directory, lambda: whole_login(it, ALICE)) == ["search", "bind"]
    assert await cost(directory, lambda: it.pretend(Secret(b"wrong"))) == ["bind"]


async def test_d6_pretended_bind_never_shows_a_secret_and_never_fails(directory: Model) -> None:
    for keys in ({}, {"base": "ou=%d,dc=test"}, {"base": ""}, BY_TEMPLATE, {"method": "template", "dn_template": "%U@ad.test"}):
        it = backend(directory, **keys)
        directory.fail(BindRequest, GONE, LOST, said(ResultCode.SUCCESS), said(ResultCode.REFERRAL))
        for _ in range(5):
            await it.pretend(Secret(b"pw1"))
    pretended = [one for one in directory.asked if isinstance(one, BindRequest)]
    assert len({one.name for one in pretended}) == len(pretended) == 25
    assert all(one.secret != Secret(b"pw1") and one.name.strip() for one in pretended)


async def test_d6_one_slow_answer_does_not_slow_a_pretended_bind(directory: Model, autojump_clock: MockClock) -> None:
    it = backend(directory)
    for hashing in (0.01, 30.0, 0.01):
        directory.hash = hashing
        assert await ask(it, "wrong") == WRONG
    began = trio.current_time()
    await it.pretend(Secret(b"wrong"))
    assert trio.current_time() - began == pytest.approx(0.01)
    directory.hash = 30.0
    for _ in range(40):
        assert await ask(it, "wrong") == WRONG
    began = trio.current_time()
    await it.pretend(Secret(b"wrong"))
    assert trio.current_time() - began == pytest.approx(1.0)


async def test_trace_has_each_step_and_no_secret(directory: Model) -> None:
    steps: list[Step] = []
    it = backend(directory, filter="(&(uid=%U)(objectClass=person))")
    directory.add("w(e)ird*", "pw1")
    with trace.recording(steps.append):
        await ask(it, "hidden", Identity("w(e)ird*"))
        await ask(it, "pw1", Identity("w(e)ird*"))
        directory.fail(SearchRequest, GONE)
        await ask(it, "hidden")
        await ask(it, "hidden", Identity(" x"))
    names = ["ldap-search", "ldap-search", "ldap-bind", "ldap-remembered", "ldap-bind", "ldap-search", "ldap-refused"]
    assert [step.name for step in steps] == names
    look, search, bind, remembered, _, failed, refused = [step.facts for step in steps]
    weird = dn("w(e)ird*").decode()
    assert (look["base"], look["scope"], look["filter"]) == (PEOPLE.decode(), "base", "(objectClass=*)")
    assert search["filter"] == r"(&(uid=w\28e\29ird\2a)(objectClass=person))"
    assert (search["server"], search["base"], search["scope"], search["found"]) == (SERVER, PEOPLE.decode(), "sub", [weird])
    assert (bind["dn"], bind["result"], bind["server"]) == (weird, "invalidCredentials (49)", SERVER)
    assert remembered == {"dn": weird}
    assert failed["failed"] == str(GONE)
    assert "spaces" in str(refused["why"])
    assert all("ms" in step.facts for step in steps if step.name in {"ldap-search", "ldap-bind"})
    assert "hidden" not in repr(steps)
    assert "pw1" not in repr(steps)


@pytest.mark.parametrize(("entries", "last"), [(10, "uid=u9"), (11, "1 more"), (4000, "3990 more")])
async def test_trace_names_few_of_the_entries_that_a_server_without_limits_sends(directory: Model, entries: int, last: str) -> None:
    directory.fail(SearchRequest, said(ResultCode.SUCCESS, "", *(SearchResultEntry(b"uid=u%d" % number) for number in range(entries))))
    steps: list[Step] = []
    with trace.recording(steps.append):
        assert isinstance(await ask(backend(directory)), Unavailable)
    found = steps[-1].facts["found"]
    assert isinstance(found, list)
    assert (len(found), found[-1]) == (min(entries, 11), last)


async def test_trace_tells_what_a_sub_code_means(directory: Model) -> None:
    words = "80090308: LdapErr: DSID-0C0903A9, comment: AcceptSecurityContext error, data 530, v1db1"
    directory.fail(BindRequest, said(ResultCode.INVALID_CREDENTIALS, words))
    steps: list[Step] = []
    with trace.recording(steps.append):
        assert await ask(backend(directory)) == Rejected(Reason.DISABLED)
    assert steps[-1].facts["diagnostic"] == f"the account may not log in at this hour; {words}"
