"""Limits and tickets of logins whose secret is never sent (rules D2, D3, D5, D9)."""

from __future__ import annotations

import pytest

from saslauthd_py import identity
from saslauthd_py.admission import Admission, Entry
from saslauthd_py.backend import Attempt
from saslauthd_py.config.settings.admission import AdmissionSettings
from saslauthd_py.identity import Identity
from saslauthd_py.secret import Secret
from saslauthd_py.verdict import Accepted, Reason, Rejected, Unavailable, Verdict

ALICE = Identity("alice", "example.test")
BOB = Identity("bob", "example.test")
THREE = AdmissionSettings.model_validate({"per_account": "3/10m", "per_network": "off", "per_pair": "off"})
WRONG = Rejected(Reason.WRONG_SECRET)
YES = Accepted(ALICE)
KEY = bytes(range(32))


class Desk:
    def __init__(self) -> None:
        self.now = 1000.0
        self.admission = Admission(THREE, lambda: self.now)

    def enter(self) -> Entry:
        return self.admission.enter_exchange(None, [identity.account(ALICE)])

    def ask(self, verdict: Verdict, key: bytes = b"", name: Identity = ALICE) -> Verdict:
        entry = self.enter()
        entry.judged = True
        if key:
            self.admission.claim(entry, name, key)
        return self.admission.settle(entry, verdict)

    def over(self) -> Unavailable:
        """Until the limit is met."""
        for _ in range(10):
            if isinstance(last := self.ask(WRONG), Unavailable):
                return last
        pytest.fail("no limit")


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_d2_each_failure_counts(desk: Desk) -> None:
    assert [desk.ask(WRONG) for _ in range(3)] == [WRONG] * 3
    assert desk.over().limited


def test_d2_settling_without_a_ticket_over_the_limit_is_never_anything_else(desk: Desk) -> None:
    later = desk.over()
    for verdict in (YES, WRONG, Unavailable("down")):
        assert desk.ask(verdict, KEY) == later
    assert desk.admission.tickets() == 0


def test_d2_time_that_goes_by_in_an_exchange_does_not_turn_later_into_no(desk: Desk) -> None:
    later = desk.over()
    entry = desk.enter()
    desk.now += 600
    assert desk.admission.settle(entry, WRONG) == later


def test_d3_time_that_goes_by_in_an_exchange_does_not_turn_later_into_no_for_a_ticket(desk: Desk) -> None:
    desk.ask(YES, KEY)
    later = desk.over()
    entry = desk.enter()
    desk.now += 600
    desk.admission.claim(entry, ALICE, KEY)
    assert entry.urgent
    assert desk.admission.settle(entry, WRONG) == later


def test_d3_ticket_is_of_account_and_key(desk: Desk) -> None:
    assert desk.ask(YES, KEY) == YES
    later = desk.over()
    assert desk.ask(YES, KEY) == YES
    assert desk.ask(YES, KEY, Identity("ALICE", "Example.test")) == YES
    assert desk.ask(YES, KEY[::-1]) == later
    assert desk.ask(YES, KEY, BOB) == later
    assert desk.ask(YES) == later


def test_d3_over_the_limit_no_holder_of_a_ticket_hears_a_no(desk: Desk) -> None:
    desk.ask(YES, KEY)
    later = desk.over()
    assert desk.ask(WRONG, KEY) == later
    assert desk.ask(YES, KEY) == later, "the ticket has gone with it"


def test_d3_ticket_ends_after_seven_days(desk: Desk) -> None:
    desk.ask(YES, KEY)
    desk.now += 7 * 86400
    assert desk.ask(YES, KEY) == YES
    desk.now += 7 * 86400
    later = desk.over()
    assert desk.ask(YES, KEY) == later


def test_d3_password_that_looks_like_a_key_has_no_ticket_of_it(desk: Desk) -> None:
    desk.ask(YES, KEY)
    desk.over()
    entry = desk.admission.enter(Attempt(ALICE, Secret(KEY), "smtp"), [identity.account(ALICE)])
    assert entry.refused
    assert not entry.urgent


def test_d9_outage_after_the_proof_keeps_the_token(desk: Desk) -> None:
    assert [desk.ask(Unavailable("down"), KEY) for _ in range(3)] == [Unavailable("down")] * 3
    assert desk.over().limited
    assert [one.failures for one in desk.admission.top(1)] == [3.0]
