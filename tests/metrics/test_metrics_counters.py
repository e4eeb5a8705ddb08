"""Counting: what is added where, and what the text says of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from saslauthd_py.identity import Identity
from saslauthd_py.mechanisms.table import MECHANISMS, Need
from saslauthd_py.metrics import Counters, Where
from saslauthd_py.metrics.counters import BOUNDS, OUTCOMES, PASSWORD, Kind, Times, outcome
from saslauthd_py.verdict import Accepted, Reason, Rejected, Unavailable, UnknownUser, Verdict

ALICE = Identity("alice", "example.test")
EVERY_VERDICT: tuple[Verdict, ...] = (
    Accepted(ALICE),
    UnknownUser(),
    Unavailable("down"),
    Unavailable("too many", limited=True),
    *map(Rejected, Reason),
)
MUX, USERS = "/run/mux", "users"


def test_every_verdict_is_one_of_the_outcomes_and_none_is_left_over() -> None:
    assert sorted(map(outcome, EVERY_VERDICT)) == sorted(OUTCOMES)


@pytest.mark.parametrize("verdict", EVERY_VERDICT, ids=str)
def test_what_names_the_client_is_no_part_of_a_kind(verdict: Verdict) -> None:
    counters = Counters()
    counters.decided(verdict, 0.1, Where(MUX, USERS))
    ((kind, times),) = counters.kinds()
    assert kind == Kind(Where(MUX, USERS), *outcome(verdict))
    assert times.count == 1
    assert "alice" not in str(kind)


def test_a_new_one_has_counted_nothing() -> None:
    counters = Counters()
    assert list(counters.kinds()) == []
    assert set(str(counters).replace("=", " ").split()[1::2]) == {"0"}


def test_text_has_the_totals_in_its_order() -> None:
    counters = Counters()
    for verdict in EVERY_VERDICT:
        counters.decided(verdict, 0.0, Where(MUX, USERS))
    counters.decided(Accepted(ALICE), 0.0, Where(MUX, USERS, cached=True))
    counters.inline_cell(MUX, USERS)[0] += 7
    counters.refused_at[MUX] += 3
    counters.refused_at["/run/other"] += 1
    counters.incomplete_at[MUX] += 2
    counters.faults += 5
    assert str(counters) == (
        f"accepted=2 rejected={1 + len(Reason)} unavailable=2 limited=1 refused=4 inline=7 cached=1 incomplete=2 faults=5"
    )


def test_names_without_a_route_are_no_misses_for_nothing_was_looked_up() -> None:
    counters = Counters()
    counters.decided(Rejected(Reason.NO_ROUTE), 0.0, Where(MUX))
    counters.decided(Rejected(Reason.WRONG_SECRET), 0.0, Where(MUX, USERS))
    counters.decided(Rejected(Reason.LOCKED), 0.0, Where(MUX, USERS, cached=True))
    assert counters.looked_up_in_vain == 1


def test_logins_without_a_secret_are_no_misses_for_there_is_nothing_to_look_up_by() -> None:
    counters = Counters()
    for mechanism in ("PLAIN", "LOGIN", "SCRAM-SHA-256", "SCRAM-SHA-1", "EXTERNAL"):
        counters.decided(Accepted(ALICE), 0.0, Where(MUX, USERS, mechanism=mechanism))
    assert (counters.accepted, counters.looked_up_in_vain) == (5, 2)


def test_password_mechanisms_are_those_of_the_table() -> None:
    assert {mechanism.name for mechanism in MECHANISMS.values() if mechanism.need is Need.PASSWORD} | {""} == PASSWORD


def test_one_cell_for_each_listener_and_backend() -> None:
    counters = Counters()
    cell = counters.inline_cell(MUX, USERS)
    assert counters.inline_cell(MUX, USERS) is cell
    assert counters.inline_cell(MUX, "ldap") is not cell
    assert counters.inline_cell("/run/other", USERS) is not cell
    for _ in range(3):
        cell[0] += 1
    kinds = {kind.where: times for kind, times in counters.kinds()}
    assert kinds[Where(MUX, USERS, cached=True)].buckets == [3] + [0] * len(BOUNDS)
    assert kinds[Where(MUX, USERS, cached=True)].seconds == 0
    assert (counters.inline, counters.accepted) == (3, 0)


def test_what_was_read_grows_no_more() -> None:
    counters = Counters()
    counters.decided(Accepted(ALICE), 0.3, Where(MUX, USERS))
    counters.inline_cell(MUX, USERS)[0] += 1
    read = list(counters.kinds())
    counters.decided(Accepted(ALICE), 0.3, Where(MUX, USERS))
    counters.inline_cell(MUX, USERS)[0] += 1
    assert [times.count for _, times in read] == [1, 1]


@given(st.lists(st.floats(0, 100)))
def test_each_time_is_in_the_first_bucket_that_holds_it(times: list[float]) -> None:
    found = Times()
    for seconds in times:
        found.add(seconds)
    assert found.count == len(times)
    assert found.seconds == pytest.approx(sum(times))
    for place, bound in enumerate(BOUNDS):
        assert sum(found.buckets[: place + 1]) == sum(seconds <= bound for seconds in times)


@given(st.lists(st.floats(0, 100)), st.lists(st.floats(0, 100)))
def test_two_sums_are_the_sum_of_both(some: list[float], others: list[float]) -> None:
    first, second, both = Times(), Times(), Times()
    for times, seconds in ((first, some), (second, others), (both, some + others)):
        for one in seconds:
            times.add(one)
    assert (first + second).buckets == both.buckets
    assert (first + second).seconds == pytest.approx(both.seconds)
