"""A cache that forgets after a minute is warm whenever something is measured, though nothing in it is renewed before its end."""

from __future__ import annotations

import dataclasses
from typing import cast

import pytest

from tests.bench import bench
from tests.bench.bench import Bench, Daemon, Sample, Warmth
from tests.bench.failures import BenchError
from tests.bench.generator import Load
from tests.bench.processes import Memory

ACCOUNTS = 100
LOAD = Load(ACCOUNTS, ACCOUNTS, 0, 0, 0, 0, 0, seconds=1.0, p50=0.001, p99=0.002, longest=0.003)


@dataclasses.dataclass
class Site:
    """A clock, a daemon whose cache obeys it, and a bench that asks it for each account in turn."""

    slow: float = 0.1
    lifetime: float = 60.0
    not_ok: int = 0
    forgets: bool = False
    now: float = 0.0
    name: str = "site"
    identities: int = ACCOUNTS
    fills: int = 0
    ends: list[float] = dataclasses.field(default_factory=lambda: [0.0] * ACCOUNTS)
    said: list[str] = dataclasses.field(default_factory=list)

    def say(self, text: str) -> None:
        self.said.append(text)

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def ask(self) -> Sample:
        misses = 0
        for account in range(ACCOUNTS):
            if self.forgets or self.ends[account] <= self.now:
                misses += 1
                self.now += self.slow
                self.ends[account] = self.now + self.lifetime
            else:
                self.now += 0.001
        self.fills += misses == ACCOUNTS
        return Sample(dataclasses.replace(LOAD, ok=ACCOUNTS - self.not_ok), 0.0, misses, Memory(0, 0))


def warmth(site: Site, monkeypatch: pytest.MonkeyPatch) -> Warmth:
    monkeypatch.setattr(bench, "time", site)
    return Warmth(cast(Bench, site), cast(Daemon, site), site.ask)


def test_every_account_is_there_for_as_long_as_was_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    site = Site()
    warm = warmth(site, monkeypatch)
    for _ in range(50):
        warm.keep(10)
        assert min(site.ends) >= site.now + 10
        site.now += 7
    assert site.fills == len(site.said) == 9


def test_nothing_is_filled_while_it_lasts(monkeypatch: pytest.MonkeyPatch) -> None:
    site = Site(lifetime=28800)
    warm = warmth(site, monkeypatch)
    for _ in range(50):
        warm.keep(10)
        site.now += 7
    assert site.fills == 1


@pytest.mark.parametrize(
    ("site", "complaint"),
    [
        (Site(forgets=True), "lost 100 of 100 accounts"),
        (Site(not_ok=1), "1 of 100 good logins were not answered OK"),
        (Site(slow=0.55), "forgets before anything can be measured"),
    ],
)
def test_a_cache_that_cannot_be_kept_warm_is_an_error(site: Site, complaint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BenchError, match=complaint):
        warmth(site, monkeypatch).keep(10)
