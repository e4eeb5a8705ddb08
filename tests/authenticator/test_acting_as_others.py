"""A password proves one identity, and the login wants to act as another (rules C1, D2, D6, D9)."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from saslauthd_py import identity
from saslauthd_py.authenticator import Decision
from saslauthd_py.config.settings import AdmissionSettings
from saslauthd_py.credential import Restrictions
from saslauthd_py.identity import Identity
from saslauthd_py.routing import Next
from saslauthd_py.verdict import Accepted, Reason, Rejected, Unavailable, UnknownUser
from tests.desks import WRONG, Plan, desk, grant, says
from tests.front.fronts import ScriptedBackend

ALICE = Identity("alice", "example.test")
BOB = Identity("bob", "example.test")
AUTHZID = Rejected(Reason.AUTHZID)
GRANTS = (grant("alice@example.test", "bob@example.test"),)
FIVE = AdmissionSettings.model_validate({"per_account": "5/10m", "per_network": "off", "per_pair": "off"})
LATER = Unavailable("admission: too many failed logins of this account", limited=True)


async def test_who_may_act_as_another_is_logged_in_as_that_other(autojump_clock: MockClock) -> None:
    async with desk(Plan(grants=GRANTS), users=ScriptedBackend()) as it:
        decision = await it.ask(authzid=BOB)
        assert decision == Decision(Accepted(ALICE), "bob@example.test", "users", authcid="alice@example.test")
        again = await it.ask(authzid=BOB)
        assert again == Decision(Accepted(ALICE), "bob@example.test", "users", cached=True, authcid="alice@example.test")
        assert [attempt.identity for attempt in it.backends["users"].asked] == [ALICE], "nobody looks for the other"


async def test_who_acts_as_itself_needs_no_grant(autojump_clock: MockClock) -> None:
    async with desk(users=ScriptedBackend()) as it:
        for _ in range(2):
            decision = await it.ask(authzid=Identity("alice", "EXAMPLE.test"))
            assert (decision.verdict, decision.user, decision.authcid) == (Accepted(ALICE), "alice@example.test", "")


async def test_grant_does_not_help_a_wrong_secret(autojump_clock: MockClock) -> None:
    async with desk(Plan(grants=GRANTS), users=ScriptedBackend()) as it:
        decision = await it.ask(secret=b"wrong", authzid=BOB)
        assert decision == Decision(WRONG, "alice@example.test", "users")


@pytest.mark.parametrize("authzid", ["carol@example.test", "Bob@example.test", "bob", "bob@other.test", "bob@no domain \u2260"])
async def test_d9_authzid_that_no_grant_allows_is_refused_before_any_backend_is_asked(authzid: str, autojump_clock: MockClock) -> None:
    async with desk(Plan(grants=GRANTS), users=ScriptedBackend(), more=ScriptedBackend()) as it:
        for secret in (b"pw1", b"wrong"):
            assert await it.ask(secret=secret, authzid=identity.split(authzid)) == Decision(AUTHZID, "alice@example.test")
        assert (it.backends["users"].asked, it.backends["more"].asked) == ([], [])


async def test_d6_authzid_that_is_refused_at_once_costs_the_work_of_a_wrong_secret(autojump_clock: MockClock) -> None:
    async with desk(users=ScriptedBackend(), more=ScriptedBackend()) as it:
        await it.ask(authzid=BOB)
        assert (it.backends["users"].pretended, it.backends["more"].pretended) == (1, 0)


async def test_d2_authzid_that_is_refused_at_once_counts_as_a_failed_login(autojump_clock: MockClock) -> None:
    async with desk(Plan(admission=FIVE), users=ScriptedBackend()) as it:
        verdicts = [(await it.ask(secret=b"%d" % number, authzid=BOB)).verdict for number in range(6)]
        assert verdicts == [AUTHZID] * 5 + [LATER]
        assert it.backends["users"].pretended == 5
        assert (await it.ask()).verdict == LATER


async def test_d9_name_without_a_route_is_told_so_and_not_its_authzid(autojump_clock: MockClock) -> None:
    async with desk(Plan(realms=frozenset({"other.test"})), users=ScriptedBackend()) as it:
        assert (await it.ask(authzid=BOB)).verdict == Rejected(Reason.NO_ROUTE)
        assert it.backends["users"].pretended == 0


@pytest.mark.parametrize(("confirmed", "verdict"), [("alice", Accepted(ALICE)), ("Alice", AUTHZID)])
async def test_grant_is_judged_by_the_spelling_that_the_backend_confirms(
    confirmed: str, verdict: Accepted | Rejected, autojump_clock: MockClock
) -> None:
    backend = ScriptedBackend(accounts={"Alice@example.test": b"pw1"}, accepted=lambda _: Accepted(Identity(confirmed, "example.test")))
    async with desk(Plan(grants=GRANTS), users=backend) as it:
        for asked in (1, 2):
            decision = await it.ask("Alice@example.test", authzid=BOB)
            assert decision.verdict == verdict
            assert len(backend.asked) == asked, "a proof from memory does not know the spelling"
        assert decision.user == ("bob@example.test" if isinstance(verdict, Accepted) else "Alice@example.test")
        assert decision.authcid == ("alice@example.test" if isinstance(verdict, Accepted) else "")


async def test_spelling_of_itself_is_judged_by_what_the_backend_confirms(autojump_clock: MockClock) -> None:
    async with desk(users=ScriptedBackend(accounts={"Alice@example.test": b"pw1"}, accepted=lambda _: Accepted(ALICE))) as it:
        decision = await it.ask("Alice@example.test", authzid=ALICE)
        assert (decision.verdict, decision.user, decision.authcid) == (Accepted(ALICE), "alice@example.test", "")
    async with desk(users=ScriptedBackend(accounts={"Alice@example.test": b"pw1"})) as it:
        assert (await it.ask("Alice@example.test", authzid=ALICE)).verdict == AUTHZID


async def test_d2_authzid_that_is_refused_after_the_proof_counts_and_takes_the_ticket(autojump_clock: MockClock) -> None:
    backend = ScriptedBackend(accounts={"Alice@example.test": b"pw1"})
    async with desk(Plan(grants=GRANTS, admission=FIVE, ttl={"users": 0.0}), users=backend) as it:
        for number in range(4):
            await it.ask("Alice@example.test", b"%d" % number)
        decision = await it.ask("Alice@example.test", authzid=BOB)
        assert decision == Decision(AUTHZID, "Alice@example.test", "users")
        assert (await it.ask("Alice@example.test", authzid=BOB)).verdict == LATER
        assert (await it.ask("Alice@example.test")).verdict == LATER


async def test_last_use_is_noted_only_where_the_authzid_is_granted(autojump_clock: MockClock) -> None:
    backend = ScriptedBackend(accounts={"Alice@example.test": b"pw1"}, accepted=lambda attempt: Accepted(attempt.identity, credential=7))
    async with desk(Plan(grants=GRANTS), users=backend) as it:
        used = it.authenticator._routes.members["users"].used
        await it.ask("Alice@example.test", authzid=BOB)
        assert used == {}
        await it.ask("Alice@example.test", authzid=Identity("Alice", "example.test"))
        assert used is not None
        assert set(used) == {7}


async def test_c1_proof_from_memory_is_no_permission_to_act_as_another(autojump_clock: MockClock) -> None:
    async with desk(users=ScriptedBackend()) as it:
        await it.ask()
        assert (await it.ask()).cached
        assert (await it.ask(authzid=BOB)).verdict == AUTHZID


async def test_c1_rules_of_the_credential_are_judged_for_who_acts_as_another_too(autojump_clock: MockClock) -> None:
    backend = ScriptedBackend(accepted=lambda attempt: Accepted(attempt.identity, Restrictions(services=("smtp",))))
    async with desk(Plan(grants=GRANTS), users=backend) as it:
        assert isinstance((await it.ask(authzid=BOB)).verdict, Accepted)
        assert (await it.ask(service="imap", authzid=BOB)).verdict == Rejected(Reason.SERVICE)


async def test_c8_one_flight_serves_two_logins_and_each_is_judged_by_its_own_authzid(autojump_clock: MockClock) -> None:
    gate = trio.Event()
    backend = ScriptedBackend(accounts={"Alice@example.test": b"pw1"}, gate=gate)
    decisions: dict[str, Decision] = {}
    async with desk(Plan(grants=GRANTS), users=backend) as it, trio.open_nursery() as nursery:

        async def ask(name: str, authzid: Identity | None) -> None:
            decisions[name] = await it.ask("Alice@example.test", authzid=authzid)

        nursery.start_soon(ask, "herself", None)
        nursery.start_soon(ask, "bob", BOB)
        await wait_all_tasks_blocked()
        assert len(backend.asked) == 1
        gate.set()
    assert (decisions["herself"].verdict, decisions["herself"].user) == (
        Accepted(Identity("Alice", "example.test")),
        "Alice@example.test",
    )
    assert decisions["bob"].verdict == AUTHZID


@pytest.mark.parametrize("restrictions", [Restrictions(), Restrictions(services=("imap",))], ids=["authzid", "service"])
async def test_b4_after_an_outage_no_rule_makes_a_no_of_a_proof(restrictions: Restrictions, autojump_clock: MockClock) -> None:
    plan = Plan(frozenset(Next), grants=GRANTS, admission=FIVE)
    capital = Identity("Alice", "example.test")
    one, two = says(*[Unavailable("down")] * 6), says(*[Accepted(capital, restrictions)] * 6)
    async with desk(plan, one=one, two=two) as it:
        verdicts = [(await it.ask("Alice@example.test", b"%d" % number, authzid=BOB)).verdict for number in range(6)]
    assert verdicts == [Unavailable("down")] * 5 + [LATER], "and it counts"


async def test_unknown_user_stays_unknown(autojump_clock: MockClock) -> None:
    async with desk(Plan(grants=(grant("eve@example.test", "*@example.test"),)), users=ScriptedBackend()) as it:
        assert (await it.ask("eve@example.test", authzid=BOB)).verdict == UnknownUser()
