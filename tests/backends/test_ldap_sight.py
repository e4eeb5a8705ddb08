"""A base that is missing or hidden, at a server that answers searches below it as ones that find nobody: as 389-ds does."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from saslauthd_py.backends.ldap.directory import Answer
from saslauthd_py.backends.ldap.sight import LONGEST_LOOK, LOOK_EVERY
from saslauthd_py.identity import Identity
from saslauthd_py.secret import Secret
from saslauthd_py.verdict import Accepted, Reason, Rejected, Unavailable, UnknownUser, Verdict
from saslauthd_py.wire.ldap import BindRequest, ResultCode, SearchRequest
from tests.backends.directories import ALICE, BOB, GONE, PEOPLE, SERVER, Model, ask, backend, dn, is_look, said

NOBODY = Identity("nobody", "example.test")
NOTHING = said(ResultCode.SUCCESS)
SECOND = "ldap://second.test"
GROUPS = "ou=groups,dc=example,dc=test"
CLEAR = b"{CLEARTEXT}pw1"

HIDING = [NOTHING, said(ResultCode.NO_SUCH_OBJECT), said(ResultCode.INSUFFICIENT_ACCESS_RIGHTS)]
SAYING_NOTHING = [GONE, said(ResultCode.BUSY), said(ResultCode.REFERRAL), said(ResultCode.OTHER), said(ResultCode.SIZE_LIMIT_EXCEEDED)]


@dataclass
class Hiding(Model):
    """`shown`: whether searches find anybody; `look_says`: what a look is told, None: the truth; `by`: the server that answers.

    `kinds` has the kinds of all questions in their order; `look_takes` is seconds.
    """

    shown: bool = True
    look_says: Answer | Exception | None = None
    look_takes: float = 0.0
    by: str = SERVER

    def __post_init__(self) -> None:
        self.kinds: list[str] = []

    def hide(self) -> None:
        """Base and people are out of sight."""
        self.shown, self.look_says = False, NOTHING

    def show(self) -> None:
        self.shown, self.look_says = True, None

    async def search(self, request: SearchRequest) -> Answer:
        self.kinds.append("look" if is_look(request) else "search")
        answer = await super().search(request)
        if not is_look(request) and (not self.shown or answer.code == ResultCode.NO_SUCH_OBJECT):
            answer = NOTHING
        return answer._replace(server=self.by)

    async def look(self, request: SearchRequest) -> Answer:
        says = self.look_says
        await trio.sleep(self.look_takes)
        if isinstance(says, Exception):
            raise says
        return says or await super().look(request)

    async def bind(self, request: BindRequest) -> Answer:
        self.kinds.append("bind")
        return await super().bind(request)


@pytest.fixture
def directory() -> Hiding:
    hiding = Hiding()
    hiding.add("alice", "pw1", userPassword=[CLEAR])
    hiding.add("bob", "pw2", userPassword=[CLEAR])
    return hiding


async def past() -> None:
    """Until what is known is to be looked at again."""
    await trio.sleep(LOOK_EVERY + 0.01)


def is_outage(verdict: Verdict) -> bool:
    return isinstance(verdict, Unavailable) and "hidden from bind_dn" in verdict.cause


@pytest.mark.parametrize("method", ["bind", "compare"])
@pytest.mark.parametrize("says", HIDING)
async def test_g2_nobody_below_a_base_that_is_out_of_sight_is_an_outage(directory: Hiding, says: Answer, method: str) -> None:
    directory.hide()
    directory.look_says = says
    it = backend(directory, method=method)
    for name in (ALICE, NOBODY, ALICE):
        verdict = await ask(it, "pw1", name)
        assert isinstance(verdict, Unavailable)
        assert not verdict.judged
        for words in (SERVER, PEOPLE.decode(), "is missing, or hidden from bind_dn", "correct base, or let bind_dn read"):
            assert words in verdict.cause
    assert not directory.binds()


@pytest.mark.parametrize("method", ["bind", "compare"])
async def test_g2_base_that_is_lost_later_is_an_outage_until_it_is_back(directory: Hiding, method: str, autojump_clock: MockClock) -> None:
    keys: dict[str, Any] = {"dn_cache": "0s"} if method == "bind" else {}
    it = backend(directory, method=method, **keys)
    assert isinstance(await ask(it), Accepted)
    assert await ask(it, "pw1", NOBODY) == UnknownUser()
    directory.hide()
    await past()
    assert is_outage(await ask(it))
    assert is_outage(await ask(it, "pw1", NOBODY))
    directory.show()
    assert isinstance(await ask(it), Accepted)
    await past()
    assert await ask(it, "pw1", NOBODY) == UnknownUser()


async def test_base_that_the_service_may_not_read_and_people_that_it_may_are_as_ever(directory: Hiding, autojump_clock: MockClock) -> None:
    directory.look_says = NOTHING
    it = backend(directory)
    assert is_outage(await ask(it, "pw1", NOBODY))
    assert isinstance(await ask(it), Accepted)
    for _ in range(3):
        assert await ask(it, "pw1", NOBODY) == UnknownUser()
        await past()


async def test_g2_people_that_were_found_do_not_excuse_a_base_that_was_in_sight(directory: Hiding, autojump_clock: MockClock) -> None:
    it = backend(directory, dn_cache="0s")
    assert isinstance(await ask(it), Accepted)
    directory.look_says = NOTHING
    await past()
    assert isinstance(await ask(it), Accepted)
    assert is_outage(await ask(it, "pw1", NOBODY))


@pytest.mark.parametrize("says", SAYING_NOTHING)
async def test_look_that_shows_nothing_changes_nothing(directory: Hiding, says: Answer | Exception, autojump_clock: MockClock) -> None:
    directory.look_says = says
    it = backend(directory, dn_cache="0s")
    assert await ask(it, "pw1", NOBODY) == UnknownUser()
    assert isinstance(await ask(it), Accepted)
    directory.show()
    await past()
    await ask(it)
    directory.shown, directory.look_says = False, says
    await past()
    assert await ask(it) == UnknownUser()
    directory.hide()
    await past()
    assert is_outage(await ask(it))
    directory.look_says = says
    await past()
    assert is_outage(await ask(it))


async def test_look_that_failed_is_not_repeated_at_once(directory: Hiding, autojump_clock: MockClock) -> None:
    it = backend(directory, dn_cache="0s")
    await ask(it)
    directory.look_says = GONE
    await past()
    for _ in range(5):
        await ask(it)
    assert len(directory.looks) == 2


@pytest.mark.parametrize("known", [False, True])
async def test_nobody_waits_long_for_a_look(directory: Hiding, known: bool, autojump_clock: MockClock) -> None:
    it = backend(directory, dn_cache="0s")
    if known:
        await ask(it)
        await past()
    directory.look_takes = 4.0
    for waits in (True, not known, False):
        began = trio.current_time()
        assert isinstance(await ask(it), Accepted)
        assert trio.current_time() - began == pytest.approx(LONGEST_LOOK if waits else 0.0)


async def test_login_that_is_given_up_during_its_look_ends(directory: Hiding, autojump_clock: MockClock) -> None:
    directory.look_takes = 0.9
    with trio.move_on_after(0.5) as scope:
        await ask(backend(directory))
    assert scope.cancelled_caught
    assert directory.kinds == ["look"]


async def test_a_look_holds_for_ten_seconds_and_comes_before_the_search(directory: Hiding, autojump_clock: MockClock) -> None:
    it = backend(directory, dn_cache="0s")
    for _ in range(3):
        await ask(it)
        await trio.sleep(LOOK_EVERY / 2)
    assert directory.kinds == ["look", "search", "bind", "search", "bind", "search", "bind"]
    await trio.sleep(0.01)
    directory.kinds.clear()
    await ask(it)
    assert directory.kinds == ["look", "search", "bind"]
    (look, _) = directory.looks
    assert (look.base, look.search.size_limit, look.search.time_limit) == (PEOPLE, 1, 5)


async def test_dn_that_is_remembered_is_bound_without_a_look(directory: Hiding, autojump_clock: MockClock) -> None:
    it = backend(directory, dn_cache="1h")
    await ask(it)
    directory.hide()
    await past()
    directory.kinds.clear()
    assert isinstance(await ask(it), Accepted)
    assert directory.kinds == ["bind"]


async def test_d9_remembered_dn_that_is_refused_where_the_base_is_out_of_sight_counts_as_a_guess(
    directory: Hiding, autojump_clock: MockClock
) -> None:
    it = backend(directory, dn_cache="1h")
    await ask(it)
    directory.hide()
    await past()
    verdict = await ask(it, "wrong")
    assert isinstance(verdict, Unavailable)
    assert verdict.judged
    directory.kinds.clear()
    assert isinstance(await ask(it), Accepted)
    assert directory.kinds == ["bind"]


async def at_once(*logins: Callable[[], Awaitable[Verdict]]) -> None:
    async with trio.open_nursery() as nursery:
        for login in logins:
            nursery.start_soon(login)
            await wait_all_tasks_blocked()


async def test_one_login_looks_where_something_is_known_and_all_where_nothing_is(directory: Hiding, autojump_clock: MockClock) -> None:
    directory.look_takes = 0.5
    it = backend(directory, dn_cache="0s")
    logins = [partial(ask, it), partial(ask, it, "pw1", NOBODY), partial(ask, it, "pw2", BOB)]
    await at_once(*logins)
    assert len(directory.looks) == 3
    await past()
    directory.kinds.clear()
    await at_once(*logins)
    assert directory.kinds == ["look", "search", "search", "bind", "search", "bind"]


async def test_look_that_is_answered_late_does_not_replace_a_later_one(directory: Hiding, autojump_clock: MockClock) -> None:
    it = backend(directory, dn_cache="0s")
    directory.look_takes, directory.look_says = 0.9, NOTHING
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask, it)
        await trio.sleep(0.2)
        directory.look_takes, directory.look_says = 0.1, None
        await ask(it)
    assert len(directory.looks) == 2
    directory.look_says = NOTHING
    assert await ask(it, "pw1", NOBODY) == UnknownUser()


@pytest.mark.parametrize("says", [None, *HIDING, GONE])
async def test_d6_known_and_unknown_names_cost_the_same_questions_at_any_time(
    directory: Hiding, says: Answer | Exception | None, autojump_clock: MockClock
) -> None:
    """One backend each, so both come at the same times: the first login, one soon after it, one that is due, and one after that."""
    asked: dict[Identity, list[list[str]]] = {}
    for name in (ALICE, NOBODY):
        it = backend(directory, dn_cache="0s")
        for pause in (0.0, 1.0, LOOK_EVERY, 1.0):
            await trio.sleep(pause)
            directory.look_says = says if pause else None
            directory.kinds.clear()
            await ask(it, "wrong", name)
            if name == NOBODY:
                await it.pretend(Secret(b"wrong"))
            asked.setdefault(name, []).append(directory.kinds[:])
    assert asked[ALICE] == asked[NOBODY]
    assert [kinds.count("look") for kinds in asked[ALICE]] == [1, 0, 1, 0]


@pytest.mark.parametrize("base", ["ou=%d,dc=example,dc=test", ""])
async def test_base_of_the_login_s_own_and_the_root_are_not_looked_at(directory: Hiding, base: str) -> None:
    directory.hide()
    assert await ask(backend(directory, base=base)) == UnknownUser()
    assert not directory.looks


async def test_base_out_of_sight_is_told_once_a_minute(
    directory: Hiding, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    directory.hide()
    it = backend(directory)
    causes = set()
    for _ in range(5):
        verdict = await ask(it)
        assert isinstance(verdict, Unavailable)
        causes.add(verdict.cause)
        await past()
    (told,) = caplog.records
    assert told.levelno == logging.ERROR
    assert causes == {told.getMessage()}
    assert "\n" not in told.getMessage()
    await past()
    await ask(it)
    assert len(caplog.records) == 2


async def test_g2_what_one_server_shows_is_not_known_of_another(directory: Hiding, autojump_clock: MockClock) -> None:
    it = backend(directory, dn_cache="0s")
    assert isinstance(await ask(it), Accepted)
    await trio.sleep(1)
    directory.by = SECOND
    directory.hide()
    for name in (ALICE, NOBODY):
        verdict = await ask(it, "pw1", name)
        assert isinstance(verdict, Unavailable)
        assert verdict.cause.startswith(f"{SECOND}: ")
    assert directory.kinds.count("look") == 2
    await trio.sleep(1)
    directory.by = SERVER
    directory.show()
    assert await ask(it, "pw1", NOBODY) == UnknownUser()
    assert directory.kinds.count("look") == 2


async def test_d6_another_server_is_looked_at_whatever_its_search_finds(directory: Hiding, autojump_clock: MockClock) -> None:
    asked: dict[Identity, list[str]] = {}
    for name in (ALICE, NOBODY):
        directory.by = SERVER
        it = backend(directory, dn_cache="0s")
        await ask(it)
        await trio.sleep(1)
        directory.by = SECOND
        directory.kinds.clear()
        await ask(it, "pw1", name)
        asked[name] = directory.kinds[:2]
    assert asked[ALICE] == asked[NOBODY] == ["search", "look"]


BY_FILTER: dict[str, Any] = {"group_filter": "(member=%D)", "group_base": GROUPS, "dn_cache": "0s"}


@dataclass
class HidingGroups(Hiding):
    """What is hidden are the groups alone."""

    hidden: bool = False

    async def search(self, request: SearchRequest) -> Answer:
        answer = await super().search(request)
        if request.base == GROUPS.encode() and self.hidden:
            return NOTHING._replace(server=self.by)
        return answer


async def test_g2_no_group_below_a_base_that_is_out_of_sight_is_an_outage(autojump_clock: MockClock) -> None:
    directory = HidingGroups()
    directory.add("bob", "pw2")
    directory.group("mail", directory.add("alice", "pw1"))
    for hidden_first in (True, False):
        it = backend(directory, **BY_FILTER)
        for directory.hidden in (hidden_first, not hidden_first, hidden_first):
            for name, secret in ((ALICE, "pw1"), (BOB, "pw2")):
                verdict = await ask(it, secret, name)
                if directory.hidden:
                    assert isinstance(verdict, Unavailable)
                    assert f"group_base {GROUPS} is missing, or hidden" in verdict.cause
                    assert not verdict.judged
                else:
                    assert isinstance(verdict, Accepted) if name is ALICE else verdict == Rejected(Reason.GROUP)
            assert await ask(it, "pw1", NOBODY) == UnknownUser()
            await past()
    assert dn("bob") not in directory.binds()


async def test_groups_below_the_base_of_users_need_no_look_of_their_own(autojump_clock: MockClock) -> None:
    directory = Hiding()
    directory.add("alice", "pw1", memberUid=[b"alice"])
    it = backend(directory, group_filter="(memberUid=%U)", dn_cache="0s")
    for _ in range(3):
        assert isinstance(await ask(it), Accepted)
        await past()
    assert len(directory.looks) == 3


@pytest.mark.parametrize("base", ["%D", "ou=%d,dc=example,dc=test"])
async def test_group_base_of_the_login_s_own_is_not_looked_at(directory: Hiding, base: str) -> None:
    it = backend(directory, **BY_FILTER | {"group_base": base})
    assert await ask(it) == Rejected(Reason.GROUP)
    assert {look.base for look in directory.looks} == {PEOPLE}
