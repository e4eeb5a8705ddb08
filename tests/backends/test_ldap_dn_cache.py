"""Rule G1: a DN that was found lately saves a search, and never decides anything."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from saslauthd_py.backends.ldap import LdapBackend
from saslauthd_py.backends.ldap.directory import Answer
from saslauthd_py.backends.ldap.methods import MOST_REMEMBERED
from saslauthd_py.backends.ldap.recent import Recent
from saslauthd_py.identity import Identity
from saslauthd_py.secret import Secret
from saslauthd_py.verdict import Accepted, Reason, Rejected, Unavailable, UnknownUser
from saslauthd_py.wire.ldap import BindRequest, ResultCode, SearchRequest, text
from tests.backends.directories import ALICE, BOB, GONE, PEOPLE, Model, Question, ask, backend, cost, dn, is_look, said

WRONG = Rejected(Reason.WRONG_SECRET)
OLD = b"ou=old," + PEOPLE


@pytest.fixture
def directory() -> Model:
    model = Model()
    model.add("alice", "pw1")
    return model


async def test_g1_dn_that_was_found_lately_is_bound_at_once(directory: Model, autojump_clock: MockClock) -> None:
    it = backend(directory)
    assert await cost(directory, lambda: ask(it)) == ["search", "bind"]
    for _ in range(3):
        await trio.sleep(3)
        assert await cost(directory, lambda: ask(it)) == ["bind"]
    await trio.sleep(1.5)
    assert await cost(directory, lambda: ask(it)) == ["search", "bind"]


async def test_g1_age_counts_from_before_the_search(directory: Model, autojump_clock: MockClock) -> None:
    directory.delay = 4
    it = backend(directory)
    await ask(it)
    await trio.sleep(1)
    assert await cost(directory, lambda: ask(it)) == ["bind"]
    assert await cost(directory, lambda: ask(it)) == ["search", "bind"]


async def test_g1_without_a_cache_every_login_searches(directory: Model, autojump_clock: MockClock) -> None:
    it = backend(directory, dn_cache="0s")
    for _ in range(2):
        assert await cost(directory, lambda: ask(it)) == ["search", "bind"]


async def test_g1_old_password_is_refused_at_once(directory: Model) -> None:
    it = backend(directory)
    assert isinstance(await ask(it), Accepted)
    directory.entries[dn("alice")].password = b"new"
    assert await ask(it) == WRONG
    assert isinstance(await ask(it, "new"), Accepted)


async def test_g1_refused_bind_as_the_same_dn_is_not_repeated(directory: Model) -> None:
    it = backend(directory)
    await ask(it)
    assert await cost(directory, lambda: ask(it, "wrong")) == ["bind", "search"]
    assert await ask(it, "wrong") == WRONG


@pytest.mark.parametrize("gone", [ResultCode.INVALID_CREDENTIALS, ResultCode.NO_SUCH_OBJECT, ResultCode.UNWILLING_TO_PERFORM])
async def test_g1_moved_entry_is_found_and_bound(directory: Model, gone: ResultCode) -> None:
    it = backend(directory)
    await ask(it)
    directory.entries[dn("alice", OLD)] = directory.entries.pop(dn("alice"))
    directory.fail(BindRequest, said(gone))
    assert await cost(directory, lambda: ask(it)) == ["bind", "search", "bind"]
    assert directory.binds()[-1] == dn("alice", OLD)
    assert await cost(directory, lambda: ask(it)) == ["bind"]


async def test_g1_entry_that_is_gone_is_an_unknown_user_and_forgotten(directory: Model) -> None:
    it = backend(directory)
    await ask(it)
    del directory.entries[dn("alice")]
    directory.add("bob", "pw2")
    assert await cost(directory, lambda: ask(it)) == ["bind", "search"]
    assert await ask(it) == UnknownUser()
    assert await cost(directory, lambda: ask(it)) == ["search"]


async def test_g2_no_such_object_for_a_dn_of_this_logins_own_search_is_a_no(directory: Model) -> None:
    directory.fail(BindRequest, said(ResultCode.NO_SUCH_OBJECT), said(ResultCode.NO_SUCH_OBJECT))
    it = backend(directory)
    assert await ask(it) == WRONG
    assert await ask(it) == WRONG


async def test_g1_outage_of_a_bind_is_one(directory: Model) -> None:
    it = backend(directory)
    await ask(it)
    directory.fail(BindRequest, said(ResultCode.BUSY))
    assert await cost(directory, lambda: ask(it)) == ["bind"]
    directory.fail(BindRequest, said(ResultCode.BUSY))
    assert isinstance(await ask(it), Unavailable)


class Late(Model):
    """Its first search is answered with what was true when it was asked."""

    async def search(self, request: SearchRequest) -> Answer:
        first = not self.asked and not is_look(request)
        answer = await super().search(request)
        if first:
            await trio.sleep(2)
        return answer


async def test_g1_search_that_answers_late_does_not_bring_an_old_dn_back(autojump_clock: MockClock) -> None:
    directory = Late()
    directory.add("alice", "pw1")
    it = backend(directory)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask, it)
        await trio.sleep(1)
        directory.entries[dn("alice", OLD)] = directory.entries.pop(dn("alice"))
        assert isinstance(await ask(it), Accepted)
    assert await cost(directory, lambda: ask(it)) == ["bind"]
    assert directory.binds() == [dn("alice", OLD), dn("alice"), dn("alice", OLD)]


async def test_dns_are_forgotten_when_an_admin_says_so(directory: Model) -> None:
    directory.add("bob", "pw2")
    it = backend(directory)
    for _ in range(2):
        assert await cost(directory, lambda: ask(it)) == ["search", "bind"]
        assert await cost(directory, lambda: ask(it, "pw2", BOB)) == ["search", "bind"]
        assert await cost(directory, lambda: ask(it)) == ["bind"]
        it.forget()


async def test_dn_that_was_asked_for_before_all_were_forgotten_is_not_remembered_after_it(autojump_clock: MockClock) -> None:
    directory = Late()
    directory.add("alice", "pw1")
    it = backend(directory)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask, it)
        await trio.sleep(1)
        it.forget()
    assert await cost(directory, lambda: ask(it)) == ["search", "bind"]
    assert await cost(directory, lambda: ask(it)) == ["bind"]


async def test_recent_is_bounded_and_the_oldest_goes(autojump_clock: MockClock) -> None:
    recent: Recent[int, bytes] = Recent(10, 3)
    for key in range(5):
        recent.keep(key, b"%d" % key, trio.current_time())
    assert [recent.find(key) for key in range(5)] == [None, None, b"2", b"3", b"4"]
    recent.keep(2, b"again", trio.current_time())
    recent.keep(5, b"5", trio.current_time())
    assert [recent.find(key) for key in range(6)] == [None, None, b"again", None, b"4", b"5"]
    assert len(recent) == 3
    assert MOST_REMEMBERED <= 10_000


async def test_recent_keeps_nothing_that_was_asked_for_in_the_moment_in_which_it_was_cleared(autojump_clock: MockClock) -> None:
    recent: Recent[int, bytes] = Recent(10, 3)
    asked = trio.current_time()
    recent.clear()
    recent.keep(1, b"before", asked)
    assert recent.find(1) is None
    await trio.sleep(1)
    recent.keep(1, b"after", trio.current_time())
    assert recent.find(1) == b"after"


async def test_g1_logins_of_two_services_or_realms_are_told_apart_where_the_filter_does() -> None:
    directory = Model()
    here, there = directory.add("alice", "pw1", mail=[b"alice@example.test"]), directory.add("al2", "pw2", mail=[b"alice@other.test"])
    it = backend(directory, filter="(mail=%u)")
    assert isinstance(await ask(it), Accepted)
    assert isinstance(await ask(it, "pw2", Identity("alice", "other.test")), Accepted)
    assert await ask(it, "pw1", Identity("alice", "other.test")) == WRONG
    assert directory.binds() == [here, there, there]


@dataclass
class Witness(Model):
    """Notes for each name which DNs a search of it found, and when that search was asked."""

    found: dict[str, dict[bytes, float]] = field(default_factory=dict)

    async def search(self, request: SearchRequest) -> Answer:
        asked = trio.current_time()
        answer = await super().search(request)
        for entry in answer.entries:
            self.found.setdefault(text(request.search.filter, request.values), {})[entry.name] = asked
        return answer


NAMES = st.sampled_from([ALICE, BOB, Identity("carol", "example.test")])
PASSWORDS = st.sampled_from(["pw1", "pw2"])
PLACES = st.sampled_from([PEOPLE, OLD])
STEPS = st.one_of(
    st.tuples(st.just("put"), NAMES, PLACES, PASSWORDS),
    st.tuples(st.just("remove"), NAMES),
    st.tuples(st.just("swap"), NAMES, NAMES),
    st.tuples(st.just("wait"), st.sampled_from([1.0, 4.0, 9.0, 11.0])),
    st.tuples(st.just("break"), st.sampled_from([SearchRequest, BindRequest]), st.sampled_from([GONE, said(ResultCode.BUSY)])),
    st.tuples(st.just("login"), NAMES, PASSWORDS),
    st.tuples(st.just("login"), NAMES, PASSWORDS),
    st.tuples(st.just("login"), NAMES, PASSWORDS),
)


@settings(max_examples=400, deadline=None)
@given(st.lists(STEPS, max_size=30), st.sampled_from(["0s", "10s"]))
def test_g1_nothing_but_a_bind_of_now_ever_says_yes(steps: list[tuple[object, ...]], dn_cache: str) -> None:
    trio.run(play, steps, dn_cache, clock=MockClock(autojump_threshold=0))


async def play(steps: list[tuple[object, ...]], dn_cache: str) -> None:
    directory = Witness(delay=0.25)
    directory.add("postmaster", "root")
    it = backend(directory, dn_cache=dn_cache)
    for step in steps:
        match step:
            case ("put", Identity() as name, bytes() as place, str() as password):
                _remove(directory, name)
                directory.add(name.local, password, place)
            case ("remove", Identity() as name):
                _remove(directory, name)
            case ("swap", Identity() as one, Identity() as other):
                _swap(directory, one, other)
            case ("wait", float() as seconds):
                await trio.sleep(seconds)
            case ("break", type() as kind, fault):
                directory.faults[kind] = [fault]  # type: ignore[list-item]  # as STEPS has them
            case ("login", Identity() as name, str() as password):
                await _check(directory, it, name, password, 10.0 if dn_cache == "10s" else 0.0)


async def _check(directory: Witness, it: LdapBackend, name: Identity, password: str, age: float) -> None:
    began, before, broken = trio.current_time(), len(directory.asked), {kind: faults[:] for kind, faults in directory.faults.items()}
    right = [each for each in _owned(directory, name) if directory.entries[each].password == password.encode()]
    verdict = await ask(it, password, name)
    asked = directory.asked[before:]
    binds = [one for one in asked if isinstance(one, BindRequest)]
    for bind in binds:
        assert bind.secret == Secret(password.encode())
        assert began - directory.found[f"(uid={name.local})"][bind.name] <= age or _searched_before(asked, bind)
    assert len(binds) <= 2
    assert len(asked) - len(binds) <= 1
    assert len({bind.name for bind in binds}) == len(binds)
    used = any(broken.get(kind) and not directory.faults.get(kind) for kind in (SearchRequest, BindRequest))
    match verdict:
        case Accepted():
            last = asked[-1]
            assert isinstance(last, BindRequest)
            assert directory.entries[last.name].password == password.encode()
        case Rejected() | UnknownUser():
            assert not right
            assert isinstance(verdict, UnknownUser) == (not _owned(directory, name))
            assert not used
        case Unavailable():
            assert used
            assert verdict.judged == (len(binds) > 1 or (bool(binds) and isinstance(asked[-1], SearchRequest)))
    if right and not used:
        assert isinstance(verdict, Accepted)


def _searched_before(asked: list[Question], bind: BindRequest) -> bool:
    return any(isinstance(one, SearchRequest) for one in asked[: asked.index(bind)])


def _owned(directory: Model, name: Identity) -> list[bytes]:
    return [each for each, entry in directory.entries.items() if entry.attributes[b"uid"] == [name.local.encode()]]


def _remove(directory: Model, name: Identity) -> None:
    for each in _owned(directory, name):
        del directory.entries[each]


def _swap(directory: Model, one: Identity, other: Identity) -> None:
    """The entries keep their DNs and passwords, and change their names."""
    ones, others = _owned(directory, one), _owned(directory, other)
    for each in ones:
        directory.entries[each].attributes[b"uid"] = [other.local.encode()]
    for each in others:
        directory.entries[each].attributes[b"uid"] = [one.local.encode()]
