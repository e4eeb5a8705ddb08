"""Token buckets against the plainest model of one, and what is left of them when names come by the million (rule D2)."""

from __future__ import annotations

from collections.abc import Hashable
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from saslauthd_py.admission.buckets import SECOND, Buckets
from saslauthd_py.admission.macs import Macs
from saslauthd_py.config.settings.admission import Rate


class Bucket:
    """One bucket as a book would put it: so many tokens, and a bit more with every moment."""

    def __init__(self, count: int, step: int) -> None:
        self.count = count
        self.step = step
        self.tokens = Fraction(count)
        self.at = 0

    def fill(self, now: int) -> None:
        self.tokens = min(self.tokens + Fraction(now - self.at, self.step), Fraction(self.count))
        self.at = now


@given(
    count=st.integers(1, 50),
    seconds=st.integers(1, 3600),
    steps=st.lists(st.tuples(st.sampled_from(["take", "take", "take", "give"]), st.integers(0, 120 * SECOND)), max_size=80),
)
def test_d2_bucket_fills_evenly_and_holds_what_was_taken_and_given_back(count: int, seconds: int, steps: list[tuple[str, int]]) -> None:
    buckets = Buckets(Rate(count, float(seconds)), "")
    model = Bucket(count, round(seconds * SECOND / count))
    now = taken = 0
    for what, wait in steps:
        now += wait
        model.fill(now)
        assert buckets.has_token("it", now) is (model.tokens >= 1)
        if what == "take" and model.tokens >= 1:
            buckets.take("it", now)
            model.tokens -= 1
            taken += 1
        elif what == "give" and taken:
            buckets.give_back("it", now)
            model.tokens = min(model.tokens + 1, Fraction(count))
            taken -= 1
        if model.tokens == count:
            buckets.take("another", now)  # whatever it was, it is looked through now
            buckets.give_back("another", now)
    assert len(buckets) <= 1


def test_d2_so_many_at_once_and_then_one_in_each_part_of_the_time() -> None:
    buckets = Buckets(Rate(3, 30.0), "")
    now = 0
    for _ in range(3):
        assert buckets.has_token("a", now)
        buckets.take("a", now)
    assert not buckets.has_token("a", now)
    assert not buckets.has_token("a", 10 * SECOND - 1)
    assert buckets.has_token("a", 10 * SECOND)
    assert buckets.has_token("b", now)


def test_d2_token_given_back_at_once_leaves_nothing_behind() -> None:
    buckets = Buckets(Rate(7, 600.0), "")
    for now in range(0, SECOND * 1000, SECOND // 3):
        buckets.take("a", now)
        buckets.give_back("a", now)
    assert len(buckets) == 0
    assert buckets._slots == {}


def test_d2_empty_bucket_gets_no_emptier() -> None:
    buckets = Buckets(Rate(2, 20.0), "")
    for _ in range(10):
        buckets.take("a", 0)
    assert buckets.has_token("a", 10 * SECOND)


def test_d2_full_buckets_are_not_kept() -> None:
    buckets = Buckets(Rate(10, 600.0), "")
    for number in range(100):
        buckets.take(number, 0)
    for _ in range(100):
        before = len(buckets)
        buckets.take("later", 120 * SECOND)
        assert len(buckets) >= before - 2, "a few at a time"
    assert len(buckets) == 1
    assert sum(len(keys) for keys in buckets._slots.values()) == 1


def test_d2_million_names_push_each_other_out_and_no_guesser_at_its_limit() -> None:
    buckets = Buckets(Rate(30, 600.0), "", most=1000)
    for _ in range(30):
        buckets.take("guesser", 0)
    for number in range(20_000):
        buckets.take(f"name{number}", number * SECOND // 1000)
        if number % 10 == 0:
            assert len(buckets) <= 1000
    now = 19 * SECOND
    assert not buckets.has_token("guesser", now)
    kept: list[Hashable] = [key for key in buckets._full_at if key != "guesser"]
    assert kept == [f"name{number}" for number in range(20_000 - 999, 20_000)], "those nearest to full go first"


def test_d2_guesser_among_a_million_names_still_comes_to_its_limit() -> None:
    buckets = Buckets(Rate(30, 600.0), "", most=1000)
    for number in range(30 * 500):
        if number % 500 == 0:
            buckets.take("guesser", 0)
        buckets.take(f"name{number}", 0)
    assert not buckets.has_token("guesser", 0)


@given(steps=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 5 * SECOND), st.sampled_from(["add", "discard", "look"]))))
def test_d3_macs_are_held_for_their_time_and_no_longer(steps: list[tuple[int, int, str]]) -> None:
    macs = Macs(10, 3)
    model: dict[bytes, int] = {}
    now = 0
    for number, wait, what in steps:
        now += wait
        mac = b"%d" % number
        if what == "add":
            macs.add(mac, now)
            model = {key: since for key, since in model.items() if now - since < 10 * SECOND and key != mac}
            while len(model) >= 3:
                del model[min(model, key=lambda key: model[key])]
            model[mac] = now
        elif what == "discard":
            macs.discard(mac)
            model.pop(mac, None)
        assert macs.holds(mac, now) is (mac in model and now - model[mac] < 10 * SECOND)
        assert len(macs) <= 3
