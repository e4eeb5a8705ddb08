"""What the bench says of what it has measured: ratios, budgets, void rounds."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from saslauthd_py import passwords
from saslauthd_py.secret import Secret
from tests.bench import causes, compare, dovecot, flood, growth, stalls, starting
from tests.bench.asking import Answer, Outcome
from tests.bench.bench import SECRET, Sample
from tests.bench.failures import BenchError
from tests.bench.flood import Trial
from tests.bench.generator import Load
from tests.bench.growth import Stage
from tests.bench.processes import Memory
from tests.bench.report import Budget, Row, Section, at_least, at_most, render
from tests.bench.stock import cache_statistics

LOAD = Load(1000, 1000, 0, 0, 0, 0, 0, seconds=1.0, p50=0.001, p99=0.002, longest=0.003)


def sample(rate: float = 1000.0, p99: float = 0.002, cpu: float = 10e-6, not_ok: int = 0, misses: int | None = 0) -> Sample:
    load = dataclasses.replace(LOAD, seconds=1000 / rate, p99=p99, ok=1000 - not_ok, no=not_ok)
    return Sample(load, cpu, misses, Memory(50_000_000, 40_000_000))


def row(section: Section, name: str) -> Row:
    return next(row for row in section.rows if row.name == name)


def test_budgets_hold_at_their_limit_and_not_beyond() -> None:
    assert at_least(1.6, 1.6) == Budget(">= 1.6", met=True)
    assert not at_least(1.59, 1.6).met
    assert at_most(0.6, 0.6).met
    assert not at_most(0.61, 0.6).met


def test_a_ratio_is_the_median_of_each_rounds_own() -> None:
    rounds = {"stock": [sample(100), sample(200), sample(1000)], "ours": [sample(200), sample(200), sample(1500)]}
    found = row(compare.section(8, rounds), "requests/s")
    assert found.cells == ("200", "200", "1.50")
    assert found.budget == Budget(">= 1.6", met=False)


@pytest.mark.parametrize(("clients", "limited"), [(1, {"requests/s"}), (8, {"requests/s", "CPU us/request"})])
def test_one_client_and_eight_have_no_budget_for_p99(clients: int, limited: set[str]) -> None:
    section = compare.section(clients, {"stock": [sample()], "ours": [sample()]})
    assert {found.name for found in section.rows if found.budget} == limited


@pytest.mark.parametrize("clients", [64, 256])
def test_short_rows_are_named(clients: int) -> None:
    peer = [sample(1000, p99=0.010, cpu=20e-6)]
    assert compare.section(clients, {"stock": peer, "ours": [sample(1600, p99=0.006, cpu=14e-6)]}).short == ()
    short = compare.section(clients, {"stock": peer, "ours": [sample(1500, p99=0.007, cpu=15e-6)]}).short
    assert short == ("requests/s", "p99 ms", "CPU us/request")


def test_a_round_with_misses_or_wrong_answers_is_void() -> None:
    good = {"stock": [sample()], "ours": [sample()]}
    assert not compare.section(8, good).void
    assert compare.section(8, good | {"stock": [sample(misses=3)]}).void == "stock missed 3 in its cache"
    assert compare.section(8, good | {"ours": [sample(not_ok=2)]}).void == "ours did not answer OK to 2"


@pytest.mark.parametrize(("kind", "least"), [*zip(dovecot.CLEAR, (1.0, 1.0, 1.0, 1.3), strict=True), (dovecot.HASHED[0], 1.5)])
def test_the_rate_beside_dovecot_is_what_counts(kind: dovecot.Kind, least: float) -> None:
    peer = [sample(1000, p99=0.001, cpu=1e-6, misses=None)]
    met = dovecot.section("x", kind, {"dovecot": peer, "ours": [sample(1000 * least)]})
    assert (met.columns, met.short, met.void) == (("dovecot", "ours", "ratio"), (), "")
    assert {found.name for found in met.rows if found.budget} == {"requests/s"}
    assert dovecot.section("x", kind, {"dovecot": peer, "ours": [sample(999 * least)]}).short == ("requests/s",)


def test_beside_dovecot_an_answer_too_many_is_void() -> None:
    answered = sample(misses=None)
    talkative = dataclasses.replace(answered, load=dataclasses.replace(LOAD, strays=2))
    section = dovecot.section("x", dovecot.CLEAR[0], {"dovecot": [answered], "ours": [talkative]})
    assert section.void == "ours did not answer OK to 2"
    assert row(section, "not OK").cells == ("0", "2", "")


def test_misses_are_shown_where_there_is_a_cache() -> None:
    cached, uncached = sample(misses=3), sample(misses=None)
    one = dovecot.section("x", dovecot.CLEAR[0], {"dovecot": [uncached], "ours": [cached]})
    assert row(one, "cache misses").cells == ("", "3", "")
    assert one.void == "ours missed 3 in its cache"
    none = dovecot.section("x", dovecot.HASHED[0], {"dovecot": [uncached], "ours": [uncached]})
    assert "cache misses" not in {found.name for found in none.rows}


def test_a_good_login_may_come_five_milliseconds_later() -> None:
    assert stalls.section([LOAD], [dataclasses.replace(LOAD, p99=0.0069)], 1300).short == ()
    assert stalls.section([LOAD], [dataclasses.replace(LOAD, p99=0.0071)], 1300).short == ("p99 ms",)
    assert stalls.section([LOAD], [dataclasses.replace(LOAD, ok=999, closed=1)], 1300).void


def test_a_cause_may_differ_by_two_per_cent_or_fifty_microseconds() -> None:
    slow = dict.fromkeys(causes.CAUSES, 0.010) | {"unknown": 0.0101, "locked": 0.0103, "locked, right secret": 0.0097}
    assert causes.section("x", 1, slow).short == ("locked", "locked, right secret")
    quick = {cause: seconds / 10 for cause, seconds in slow.items()}
    assert causes.section("x", 1, quick).short == ()


@pytest.mark.parametrize("scheme", flood.SCHEMES)
def test_hashes_of_the_bench_are_those_of_its_secret(scheme: str) -> None:
    assert passwords.verify(passwords.recognise(flood.SCHEMES[scheme].stored), Secret(SECRET.encode()))


def test_memory_of_the_front_grows_from_the_full_cache_on() -> None:
    stages = {"start": 50, "cache full": 56, "500 logins": 60, "1,000 logins": 62}
    held = {name: Stage(Memory(size * 1_000_000, 0), Memory(70_000_000, 5_000_000)) for name, size in stages.items()}
    section = growth.section(held, 0, 10)
    assert section.short == ("1,000 logins",)
    assert row(section, "1,000 logins").cells == ("62.0", "0.0", "+6.0", "70.0", "5.0")


def test_memory_without_a_monitor() -> None:
    held = {"start": Stage(Memory(61_000_000, 0)), "cache full": Stage(Memory(0, 0))}
    section = growth.section(held, 1, 10)
    assert section.short == ("start",)
    assert row(section, "start").cells == ("61.0", "0.0", "", "", "")
    assert section.void


def answers(outcome: Outcome, *seconds: float) -> tuple[Answer, ...]:
    return tuple(Answer(outcome, one) for one in seconds)


NOES, GOOD = answers(Outcome.NO, 2.0, 2.5), answers(Outcome.OK, 0.9, 0.010, 0.020)
QUIET = {flood.OURS_QUIET: [Trial((), answers(Outcome.OK, 0.010, 0.010))]}


def test_a_good_login_beside_wrong_ones_may_take_twice_its_quiet_time_and_fifty_milliseconds() -> None:
    just, late = (Trial(NOES, answers(Outcome.OK, 0.9, seconds, seconds)) for seconds in (0.0699, 0.0701))
    assert flood.section(QUIET | {flood.OURS_ONE: [just], flood.OURS_MANY: [just]}, "x").short == ()
    assert flood.section(QUIET | {flood.OURS_ONE: [late], flood.OURS_MANY: [late]}, "x").short == (flood.OURS_ONE, flood.OURS_MANY)
    assert flood.section(QUIET | {flood.STOCK_FEW: [late]}, "x").short == ()


def test_rounds_of_a_flood_are_taken_together() -> None:
    section = flood.section(QUIET | {flood.OURS_ONE: [Trial(NOES, GOOD), Trial(NOES, answers(Outcome.OK, 0.1))]}, "x")
    assert row(section, flood.OURS_QUIET).cells == ("", "", "", "", "", "2 of 2", "10.0", "10.0", "10.0")
    assert row(section, flood.OURS_ONE).cells == ("2 x 2", "4", "0", "all", "2.5", "4 of 4", "500.0", "60.0", "900.0")
    assert not section.void


@pytest.mark.parametrize(
    ("trial", "why"),
    [
        (Trial(NOES, answers(Outcome.CLOSED, 0.01)), "1 good logins were not answered OK"),
        (Trial((*NOES, *answers(Outcome.CLOSED, 8.0)), GOOD), "1 wrong secrets were not answered NO"),
        (Trial(answers(Outcome.OK, 8.0), GOOD), "1 wrong secrets were not answered NO"),
        (Trial(NOES, GOOD, seen=False), "pam_unix has not logged each NO"),
    ],
)
def test_a_flood_with_other_answers_than_expected_is_void(trial: Trial, why: str) -> None:
    assert flood.section(QUIET | {flood.OURS_ONE: [Trial(NOES, GOOD), trial]}, "x").void == f"{flood.OURS_ONE}: {why}"


def test_over_the_limit_a_flood_is_told_nothing() -> None:
    refused = answers(Outcome.CLOSED, *[1.0] * 170)
    assert flood.limited_section(Trial((*answers(Outcome.NO, *[2.0] * 30), *refused), GOOD), "x").short == ()
    unlimited = flood.limited_section(Trial((*answers(Outcome.NO, *[2.0] * 32), *refused), GOOD), "x")
    assert unlimited.short == (flood.OURS_ONE,)
    assert not unlimited.void
    assert flood.limited_section(Trial((*NOES, *answers(Outcome.UNANSWERED, 9.0)), GOOD), "x").void


def test_the_median_start_counts() -> None:
    assert starting.section([0.1, 0.2, 3.0]).short == ()
    assert starting.section([0.1, 0.51, 0.6]).short == ("to READY",)


def test_a_table_is_aligned() -> None:
    rows = (Row("a", ("1", "22,222"), Budget(">= 1", met=True)), Row("longer", ("333", "")))
    assert render(Section("title", ("one", "two"), rows, {}, void="why")).splitlines() == [
        "title   VOID: why",
        "         one      two   budget",
        "a          1   22,222   >= 1     met",
        "longer   333",
    ]


def test_a_cache_that_is_not_known_is_not_guessed_at(tmp_path: Path) -> None:
    (tmp_path / "cache.mmap").write_bytes(b"SASLAUTHD_CACHE_MAGIC_2" + bytes(100))
    with pytest.raises(BenchError, match="misses cannot be counted"):
        cache_statistics(str(tmp_path / "cache.mmap"))
