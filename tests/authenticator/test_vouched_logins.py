"""Logins that a trusted listener vouches for: may this account log in (rules B3, B4, C1, D2, D9)?"""

from __future__ import annotations

from ipaddress import ip_network
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from saslauthd_py.authenticator import Decision
from saslauthd_py.authenticator.vouching import UNABLE
from saslauthd_py.config.settings import AdmissionSettings
from saslauthd_py.credential import Restrictions
from saslauthd_py.identity import Identity
from saslauthd_py.routing import Next
from saslauthd_py.verdict import Accepted, Reason, Rejected, Unavailable, UnknownUser, Verdict
from tests.authenticator.keyed_backends import ALICE, LATER, ScriptedKeys, says_keys, sought
from tests.desks import Plan, desk, grant
from tests.front.fronts import ScriptedBackend

ALL = frozenset(Next)
FIVE = AdmissionSettings.model_validate({"per_account": "5/10m", "per_network": "off", "per_pair": "off"})


def one(keys: ScriptedKeys | None = None, **plan: Any) -> Plan:
    return Plan(keyed={"users": keys or ScriptedKeys()}, **plan)


async def test_account_that_may_log_in_is_accepted_as_the_backend_calls_it(autojump_clock: MockClock) -> None:
    async with desk(one(ScriptedKeys(confirmed=lambda _: ALICE)), users=ScriptedBackend()) as it:
        assert await it.authenticator.vouch(sought("ALICE@example.test")) == Decision(Accepted(ALICE), "alice@example.test", "users")
        assert it.backends["users"].asked == []
        assert it.cache.proofs == {}
        assert it.authenticator._routes.members["users"].used == {}, "no secret was used"


@pytest.mark.parametrize("answer", [UnknownUser(), Rejected(Reason.LOCKED), Rejected(Reason.EXPIRED), Unavailable("down")])
async def test_what_the_backend_says_is_the_verdict(answer: Verdict, autojump_clock: MockClock) -> None:
    async with desk(one(says_keys(answer)), users=ScriptedBackend()) as it:
        assert await it.authenticator.vouch(sought()) == Decision(answer, "alice@example.test", "users")


async def test_b3_name_without_a_route_is_refused_before_any_backend_is_asked(autojump_clock: MockClock) -> None:
    keys = ScriptedKeys()
    async with desk(one(keys, realms=frozenset({"example.test"})), users=ScriptedBackend()) as it:
        for name in ("alice", "alice@no domain \u2260"):
            assert (await it.authenticator.vouch(sought(name))).verdict == Rejected(Reason.NO_ROUTE)
        assert keys.asked == []


async def test_d9_authzid_is_granted_or_refused_before_any_backend_is_asked(autojump_clock: MockClock) -> None:
    keys = ScriptedKeys()
    async with desk(one(keys, grants=(grant("alice@example.test", "bob@example.test"),)), users=ScriptedBackend()) as it:
        refused = await it.authenticator.vouch(sought(authzid="carol@example.test"))
        assert refused == Decision(Rejected(Reason.AUTHZID), "alice@example.test")
        assert keys.asked == []
        granted = await it.authenticator.vouch(sought(authzid="bob@example.test"))
        assert granted == Decision(Accepted(ALICE), "bob@example.test", "users", authcid="alice@example.test")
        spelled = await it.authenticator.vouch(sought("alice@example.test", authzid="ALICE@example.test"))
        assert spelled.verdict == Rejected(Reason.AUTHZID)
        assert keys.asked == [ALICE, ALICE]


async def test_d9_service_that_a_backend_does_not_serve_is_refused_without_asking_it(autojump_clock: MockClock) -> None:
    keys = ScriptedKeys()
    async with desk(one(keys, services={"users": frozenset({"imap"})}), users=ScriptedBackend()) as it:
        assert (await it.authenticator.vouch(sought())).verdict == Rejected(Reason.SERVICE)
        assert keys.asked == []


async def test_c1_rules_of_the_account_are_judged(autojump_clock: MockClock) -> None:
    keys = ScriptedKeys(restrictions=Restrictions(("smtp",), (ip_network("192.0.2.0/24"),)))
    async with desk(one(keys), users=ScriptedBackend()) as it:
        assert isinstance((await it.authenticator.vouch(sought(address="192.0.2.7"))).verdict, Accepted)
        assert (await it.authenticator.vouch(sought(address="198.51.100.1"))).verdict == Rejected(Reason.NETWORK)
        assert (await it.authenticator.vouch(sought(service="imap", address="192.0.2.7"))).verdict == Rejected(Reason.SERVICE)


@pytest.mark.parametrize(
    ("next_on", "first", "second", "verdict"),
    [
        ({Next.UNKNOWN}, UnknownUser(), None, Accepted(ALICE)),
        (set(), UnknownUser(), None, UnknownUser()),
        (ALL, Rejected(Reason.LOCKED), None, Rejected(Reason.LOCKED)),
        ({Next.UNKNOWN}, Unavailable("down"), None, Unavailable("down")),
        ({Next.UNAVAILABLE}, Unavailable("down"), None, Accepted(ALICE)),
        ({Next.UNAVAILABLE}, Unavailable("down"), UnknownUser(), Unavailable("down")),
        ({Next.UNAVAILABLE}, Unavailable("down"), Accepted(ALICE, Restrictions(services=("imap",))), Unavailable("down")),
    ],
)
async def test_b4_chain(next_on: set[Next], first: Verdict, second: Verdict | None, verdict: Verdict, autojump_clock: MockClock) -> None:
    keyed = {"one": says_keys(first), "two": says_keys(second) if second else ScriptedKeys()}
    async with desk(Plan(frozenset(next_on), keyed=dict(keyed)), one=ScriptedBackend(), two=ScriptedBackend()) as it:
        assert (await it.authenticator.vouch(sought())).verdict == verdict


async def test_backend_that_cannot_say_lets_nobody_behind_it_in_for_its_own(autojump_clock: MockClock) -> None:
    """The certificate's alice may be the first backend's: the second one's would get her name."""
    plan = Plan(keyed={"users": ScriptedKeys()})
    async with desk(plan, system=ScriptedBackend(), users=ScriptedBackend()) as it:
        assert await it.authenticator.vouch(sought()) == Decision(UNABLE, "alice@example.test", "system")
    async with desk(one(), users=ScriptedBackend(), system=ScriptedBackend()) as it:
        assert isinstance((await it.authenticator.vouch(sought())).verdict, Accepted)
        assert (await it.authenticator.vouch(sought("nobody@example.test"))).verdict == UNABLE


async def test_d2_flood_keeps_nobody_out_who_is_vouched_for(autojump_clock: MockClock) -> None:
    async with desk(one(admission=FIVE), users=ScriptedBackend()) as it:
        for number in range(6):
            await it.ask(secret=b"%d" % number)
        assert (await it.ask()).verdict == LATER
        assert isinstance((await it.authenticator.vouch(sought())).verdict, Accepted)
        assert it.authenticator._grounds.admission.tickets() == 0


async def test_d2_no_counts_as_a_failed_login_and_an_outage_does_not(autojump_clock: MockClock) -> None:
    keys = ScriptedKeys(answers=[Unavailable("down")] * 6)
    async with desk(one(keys, admission=FIVE), users=ScriptedBackend()) as it:
        for _ in range(6):
            assert (await it.authenticator.vouch(sought())).verdict == Unavailable("down")
        assert it.authenticator._grounds.admission.top(1) == []
        keys.answers = [Rejected(Reason.LOCKED)] * 6
        verdicts = [(await it.authenticator.vouch(sought())).verdict for _ in range(6)]
        assert verdicts == [Rejected(Reason.LOCKED)] * 5 + [LATER]


async def test_b3_names_without_a_route_share_one_bucket(autojump_clock: MockClock) -> None:
    async with desk(one(admission=FIVE, realms=frozenset({"example.test"})), users=ScriptedBackend()) as it:
        verdicts = [(await it.authenticator.vouch(sought(f"alice@{number}.test"))).verdict for number in range(6)]
        assert verdicts == [Rejected(Reason.NO_ROUTE)] * 5 + [LATER]


async def test_answer_that_takes_longer_than_the_deadline_is_an_outage(autojump_clock: MockClock) -> None:
    async with desk(one(ScriptedKeys(gate=trio.Event())), users=ScriptedBackend()) as it:
        began = trio.current_time()
        assert (await it.authenticator.vouch(sought())).verdict == Unavailable("no answer within 8 s")
        assert trio.current_time() - began == pytest.approx(8.0)


async def test_bug_is_an_outage_with_a_traceback(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("a bug")

    async with desk(one(says_keys(RuntimeError("a bug"))), users=ScriptedBackend()) as it:
        assert isinstance((await it.authenticator.vouch(sought())).verdict, Unavailable)
        monkeypatch.setattr("saslauthd_py.rules.judge", fail)
        assert isinstance((await it.authenticator.vouch(sought())).verdict, Unavailable)
    assert caplog.text.count("Traceback") == 2


async def test_b1_grant_is_judged_by_what_the_backend_confirms(autojump_clock: MockClock) -> None:
    capital = Identity("Alice", "example.test")
    plan = one(ScriptedKeys({"Alice@example.test": {}}), grants=(grant("alice@example.test", "bob@example.test"),))
    async with desk(plan, users=ScriptedBackend()) as it:
        decision = await it.authenticator.vouch(sought(str(capital), authzid="bob@example.test"))
        assert decision == Decision(Rejected(Reason.AUTHZID), str(capital), "users")
