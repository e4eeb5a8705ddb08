"""Who may try: limits by account, address, network and pair, tickets, and the same wrong secret again (rules B3, D2 to D5, D9, D10)."""

from __future__ import annotations

import pickle
import subprocess
import sys
from ipaddress import ip_address, ip_network

import pytest

from saslauthd_py import identity
from saslauthd_py.admission import REPEAT_LIFE, TICKET_LIFE, UNROUTED, Admission, Entry
from saslauthd_py.backend import Attempt
from saslauthd_py.config.settings.admission import AdmissionSettings
from saslauthd_py.identity import Identity
from saslauthd_py.secret import Secret
from saslauthd_py.verdict import Accepted, Reason, Rejected, Unavailable, UnknownUser, Verdict

ALICE = Identity("alice", "example.test")
WRONG = Rejected(Reason.WRONG_SECRET)
YES = Accepted(ALICE)
TIGHT = AdmissionSettings.model_validate({"per_account": "6/10m", "per_network": "5/10m", "per_pair": "3/10m"})
OFF = AdmissionSettings.model_validate({"per_account": "off", "per_network": "off", "per_pair": "off"})


class Desk:
    """An admission on a clock that the test sets; each attempt is entered and settled at once unless the test does it."""

    def __init__(self, settings: AdmissionSettings = TIGHT) -> None:
        self.now = 1000.0
        self.admission = Admission(settings, lambda: self.now)
        self._guesses = 0

    def enter(self, secret: str = "", name: Identity = ALICE, address: str | None = None, accounts: tuple[str, ...] = ()) -> Entry:
        """Without a secret: one that was never tried before."""
        self._guesses += 1
        attempt = Attempt(name, Secret((secret or f"guess {self._guesses}").encode()), "smtp", ip_address(address) if address else None)
        return self.admission.enter(attempt, accounts or (identity.account(name),))

    def ask(self, verdict: Verdict, secret: str = "", name: Identity = ALICE, address: str | None = None) -> Verdict:
        entry = self.enter(secret, name, address)
        return entry.refused or self.admission.settle(entry, verdict)

    def passes(self, verdict: Verdict = WRONG, address: str | None = None, name: Identity = ALICE) -> int:
        """How many such attempts are let in before one is refused."""
        for number in range(1000):
            if limited(self.ask(verdict, address=address, name=name)):
                return number
        pytest.fail("no limit")


def limited(verdict: Verdict) -> bool:
    return isinstance(verdict, Unavailable) and verdict.limited


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.mark.parametrize("verdict", [WRONG, UnknownUser(), Rejected(Reason.LOCKED), Rejected(Reason.SERVICE)])
def test_d2_failures_of_one_account_are_limited_and_let_in_again_as_time_goes_by(desk: Desk, verdict: Verdict) -> None:
    assert desk.passes(verdict) == 6
    desk.now += 99.9
    assert desk.passes() == 0
    desk.now += 0.2
    assert desk.passes() == 1
    assert desk.passes(name=Identity("bob", "example.test")) == 6


@pytest.mark.parametrize("verdict", [YES, Unavailable("down")])
def test_d2_token_is_given_back_on_accepted_and_on_outage(desk: Desk, verdict: Verdict) -> None:
    for _ in range(100):
        assert desk.ask(verdict, address="192.0.2.1") == verdict
    assert desk.passes(address="192.0.2.1") == 3


def test_d2_over_the_limit_the_answer_is_unavailable_to_right_and_wrong_alike(desk: Desk) -> None:
    desk.passes()
    right, wrong = desk.ask(YES, "right"), desk.ask(WRONG, "wrong")
    assert right == wrong == Unavailable("admission: too many failed logins of this account", limited=True)


def test_d2_what_is_refused_costs_nothing_more(desk: Desk) -> None:
    desk.passes()
    for _ in range(50):
        assert limited(desk.ask(WRONG))
    desk.now += 100.1
    assert desk.passes() == 1


def test_d2_tokens_are_taken_at_the_start_so_guesses_at_the_same_time_do_not_all_pass(desk: Desk) -> None:
    assert sum(entry.refused is None for entry in [desk.enter() for _ in range(1000)]) == 6


@pytest.mark.parametrize("verdict", [Rejected(Reason.SERVICE), Rejected(Reason.NETWORK), Rejected(Reason.EXPIRED)])
def test_d2_right_secret_that_may_not_be_used_costs_what_a_wrong_one_costs(desk: Desk, verdict: Verdict) -> None:
    desk.ask(verdict, "right")
    assert desk.passes() == 5


def test_d2_spellings_of_one_account_are_one() -> None:
    desk = Desk()
    for name in (Identity("Alice", "Example.Test"), Identity("ALICE", "example.test"), Identity("\uff41lice", "example.test")):
        desk.ask(WRONG, name=name)
    assert desk.passes() == 3


def test_b1_name_counts_against_every_account_that_a_backend_may_mean_by_it() -> None:
    desk = Desk()
    for number in range(6):
        entry = desk.enter(name=Identity("alice", f"{number}.test"), accounts=("alice@", f"alice@{number}.test"))
        assert desk.admission.settle(entry, WRONG) == WRONG
    assert limited(desk.enter(name=Identity("alice", "7.test"), accounts=("alice@", "alice@7.test")).refused or WRONG)
    assert desk.passes(name=Identity("alice", "8.test")) == 6


@pytest.mark.parametrize(
    ("first", "near", "far"),
    [("192.0.2.1", "192.0.2.200", "192.0.3.1"), ("2001:db8::1", "2001:db8:0:1::1", "2001:db8:1::1")],
)
def test_d2_pair_is_an_account_and_the_network_around_the_address(first: str, near: str, far: str) -> None:
    desk = Desk()
    assert desk.passes(address=first) == 3
    assert desk.ask(WRONG, address=near) == Unavailable("admission: too many failed logins of this account from this network", limited=True)
    assert desk.passes(address=far) == 3
    assert desk.passes() == 0, "six of the account"


@pytest.mark.parametrize(
    ("first", "same", "near", "far"),
    [
        ("192.0.2.1", "192.0.2.1", "192.0.2.{}", "192.0.3.1"),
        ("2001:db8::1", "2001:db8::ffff:2", "2001:db8:0:{}::1", "2001:db8:1::1"),
        ("::ffff:192.0.2.1", "192.0.2.1", "::ffff:192.0.2.{}", "::ffff:192.0.3.1"),
    ],
)
def test_d2_address_and_network_are_limited_over_all_accounts(first: str, same: str, near: str, far: str) -> None:
    desk, names = Desk(), iter(Identity(f"user{number}", "example.test") for number in range(100))
    for _ in range(5):
        assert desk.ask(WRONG, name=next(names), address=first) == WRONG
    assert desk.ask(WRONG, name=next(names), address=same) == Unavailable(
        "admission: too many failed logins from this address", limited=True
    )
    for number in range(5, 20):
        assert desk.ask(WRONG, name=next(names), address=near.format(number)) == WRONG
    assert desk.ask(WRONG, name=next(names), address=near.format(99)) == Unavailable(
        "admission: too many failed logins from this network", limited=True
    )
    assert desk.ask(WRONG, name=next(names), address=far) == WRONG


def test_d2_trusted_network_is_limited_by_account_alone() -> None:
    desk = Desk(TIGHT.model_copy(update={"trusted_networks": (ip_network("192.0.2.0/24"), ip_network("::1/128"))}))
    for address in ("192.0.2.1", "::1", "::ffff:192.0.2.7"):
        for number in range(50):
            assert desk.ask(WRONG, name=Identity(f"user{number}", address), address=address) == WRONG
        assert desk.admission.network(ip_address(address)) is None
    assert desk.passes(address="192.0.2.1") == 6
    assert str(desk.admission.network(ip_address("192.0.3.1"))) == "192.0.3.0/24"


def test_d10_address_that_is_absent_slows_nothing_down_but_the_account(desk: Desk) -> None:
    for number in range(100):
        assert desk.ask(WRONG, name=Identity(f"user{number}", "example.test")) == WRONG
    assert desk.admission.network(None) is None


def test_d2_limit_that_is_off_is_none() -> None:
    desk = Desk(OFF)
    for _ in range(1000):
        assert desk.ask(WRONG, address="192.0.2.1") == WRONG


def test_d4_same_wrong_secret_repeated_counts_once(desk: Desk) -> None:
    for _ in range(100):
        assert desk.ask(WRONG, "of last year", address="192.0.2.1") == WRONG
    assert desk.passes() == 5


def test_d4_same_wrong_secret_at_the_same_time_counts_once(desk: Desk) -> None:
    entries = [desk.enter("of last year") for _ in range(6)]
    for entry in entries:
        assert desk.admission.settle(entry, WRONG) == WRONG
    assert desk.passes() == 5


def test_d4_repeated_secret_is_refused_like_any_other_when_the_account_is_over_its_limit(desk: Desk) -> None:
    desk.ask(WRONG, "of last year")
    desk.passes()
    assert limited(desk.ask(WRONG, "of last year"))


def test_d4_repeat_counts_once_for_a_time_only(desk: Desk) -> None:
    desk.ask(WRONG, "of last year")
    desk.now += REPEAT_LIFE
    desk.ask(WRONG, "of last year")
    assert desk.passes() == 5


def test_d4_repeat_of_another_account_or_from_another_place_counts(desk: Desk) -> None:
    bob = Identity("bob", "example.test")
    desk.ask(WRONG, "guess", address="192.0.2.1")
    desk.ask(WRONG, "guess", name=bob)
    assert desk.passes(name=bob) == 5
    desk.ask(WRONG, "guess", address="198.51.100.1")
    desk.ask(WRONG, "guess")
    assert desk.passes() == 3, "nobody learns from the count what somebody else's old password is"


def test_d4_secret_that_became_right_is_no_repeat_any_more(desk: Desk) -> None:
    desk.ask(WRONG, "new")
    desk.ask(YES, "new")
    desk.ask(Rejected(Reason.SERVICE), "new")
    desk.ask(Rejected(Reason.SERVICE), "new")
    assert desk.passes() == 4


def test_d3_ticket_skips_every_limit_and_no_other_secret_does(desk: Desk) -> None:
    assert desk.ask(YES, "right", address="192.0.2.1") == YES
    desk.passes(address="192.0.2.1")
    desk.passes()
    entry = desk.enter("right", address="192.0.2.1")
    assert entry.urgent
    assert entry.refused is None
    assert desk.admission.settle(entry, YES) == YES
    assert limited(desk.ask(YES, "righ"))
    for name, secret in ((Identity("bob", "example.test"), "right"), (Identity("alice", "example"), ".testright")):
        assert not desk.enter(secret, name).urgent


def test_d3_ticket_ends_seven_days_after_the_last_proof(desk: Desk) -> None:
    desk.ask(YES, "right")
    desk.now += TICKET_LIFE - 1
    desk.ask(YES, "right")
    desk.now += TICKET_LIFE - 1
    assert desk.enter("right").urgent
    desk.now += 1
    assert not desk.enter("right").urgent
    assert TICKET_LIFE == 7 * 24 * 3600


def test_d3_ticket_goes_when_its_secret_is_refused_and_stays_through_outages_and_other_secrets(desk: Desk) -> None:
    desk.ask(YES, "right")
    desk.ask(Unavailable("down"), "right")
    desk.ask(WRONG, "wrong")
    assert desk.enter("right").urgent
    assert desk.ask(WRONG, "right") == WRONG
    assert not desk.enter("right").urgent


def test_d3_failure_with_a_ticket_counts_too(desk: Desk) -> None:
    desk.ask(YES, "right")
    desk.ask(WRONG, "right")
    assert desk.passes() == 5


def test_d2_holder_of_a_ticket_hears_no_no_either_when_the_account_is_over_its_limit(desk: Desk) -> None:
    desk.ask(YES, "right")
    desk.passes()
    assert limited(desk.ask(Rejected(Reason.SERVICE), "right"))
    desk.now += 100.1
    assert desk.passes() == 1, "what was not there was not taken"


def test_d3_tickets_are_bounded(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("saslauthd_py.admission._MOST_TICKETS", 10)
    small = Desk()
    for number in range(100):
        small.ask(YES, f"right {number}")
    assert len(small.admission._tickets) == 10
    assert small.enter("right 99").urgent


def test_d9_outage_after_the_secret_was_judged_counts_as_an_attempt(desk: Desk) -> None:
    for _ in range(6):
        entry = desk.enter()
        entry.judged = True
        assert desk.admission.settle(entry, Unavailable("down")) == Unavailable("down")
    assert desk.passes() == 0


def test_b3_names_without_a_route_share_one_bucket(desk: Desk) -> None:
    for number in range(6):
        entry = desk.enter(name=Identity("alice", f"nowhere{number}.test"), accounts=(UNROUTED,))
        assert desk.admission.settle(entry, Rejected(Reason.NO_ROUTE)) == Rejected(Reason.NO_ROUTE)
    assert desk.enter(name=Identity("bob", "no domain \u2260"), accounts=(UNROUTED,)).refused
    assert desk.passes() == 6


def test_d5_two_admissions_have_two_keys_and_neither_is_pickled(desk: Desk) -> None:
    desk.ask(YES, "right")
    desk.passes()
    restarted = Desk()
    assert not restarted.enter("right").urgent
    assert restarted.enter("x").ticket != desk.enter("x").ticket
    assert restarted.passes() == 4
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(desk.admission)


def test_d5_nothing_of_a_secret_is_kept(desk: Desk) -> None:
    for verdict in (YES, WRONG, Rejected(Reason.SERVICE)):
        entry = desk.enter("tanstaaf")
        desk.admission.settle(entry, verdict)
        assert "tanstaaf" not in repr(entry)
    parts = [desk.admission._tickets._since, desk.admission._repeats._since]
    assert all(len(mac) == 16 for macs in parts for mac in macs)


NO_FILES = """
import sys
from ipaddress import ip_address
from saslauthd_py.admission import Admission
from saslauthd_py.backend import Attempt
from saslauthd_py.config.settings import AdmissionSettings
from saslauthd_py.identity import Identity
from saslauthd_py.secret import Secret
from saslauthd_py.verdict import Accepted, Reason, Rejected
touched = []
outside = {"open", "os", "shutil", "socket", "subprocess"}
sys.addaudithook(lambda event, args: touched.append(event) if event.split(".")[0] in outside else None)
admission = Admission(AdmissionSettings(), lambda: 0.0)
alice = Identity("alice", "example.test")
for number in range(100):
    entry = admission.enter(Attempt(alice, Secret(b"%d" % number), "smtp", ip_address("192.0.2.1")), ("alice@example.test",))
    if not entry.refused:
        admission.settle(entry, Accepted(alice) if number == 0 else Rejected(Reason.WRONG_SECRET))
del admission
print(touched)
"""


def test_d5_nothing_is_written_anywhere() -> None:
    done = subprocess.run([sys.executable, "-c", NO_FILES], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
