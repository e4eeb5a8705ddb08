"""Does the time of a NO tell its cause? Interleaved tries of each cause in random order, with no delay to hide behind (rule D6)."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator
from statistics import median

from saslauthd_py import passwords
from saslauthd_py.identity import Identity
from saslauthd_py.secret import Secret
from saslauthd_py.wire import saslauthd
from tests.bench import ours
from tests.bench.accounts import Account
from tests.bench.bench import REALM, SECRET, Bench
from tests.bench.failures import BenchError
from tests.bench.generator import login
from tests.bench.report import Budget, Row, Section

_SHA512CRYPT = "$6$benching$dR.1r/4bEGlhlYVdrEIDt9BE/qhAOB.QFESfHcB.oTbHQROKK5K/H30J.a7AHGWUZb0yyzjBiQt7HqEc2.L7./"
"""SECRET with the scheme's own 5,000 rounds, as it stands in most shadow files: the quicker the work, the more shows beside it."""

_TRIES = {"sha512crypt": 5000, "argon2id": 1000}
"""Of each cause."""

CAUSES = ("wrong", "unknown", "secretless", "locked", "locked, right secret", "expired", "expired, right secret")
_WARM_UP = 50


def run(bench: Bench) -> Iterator[Section]:
    """One section for each scheme."""
    for scheme, tries in _TRIES.items():
        bench.say(f"causes: {scheme}")
        yield _measure(bench, scheme, max(1, round(tries * bench.tries)))


def _measure(bench: Bench, scheme: str, tries: int) -> Section:
    encoding = passwords.recognise(_SHA512CRYPT) if scheme == "sha512crypt" else passwords.make(scheme, Secret(SECRET.encode()))
    accounts = [
        *(Account(Identity(f"other{number}", REALM), encoding) for number in range(20)),
        Account(Identity("wrong", REALM), encoding),
        Account(Identity("secretless", REALM)),
        Account(Identity("locked", REALM), encoding, locked="bench"),
        Account(Identity("expired", REALM), encoding, expires=time.time() - 86400),
    ]
    installation = ours.install(os.path.join(bench.directory, scheme), accounts, delay="0s")
    order = [cause for cause in CAUSES for _ in range(tries)]
    random.Random(1).shuffle(order)  # noqa: S311 - the same order in every run
    order = [*CAUSES * (_WARM_UP // len(CAUSES)), *order]
    requests = bench.generator.requests(_request(cause, number) for number, cause in enumerate(order))
    with ours.started(installation) as own:
        load, times = bench.generator.latencies(own.socket, len(order), requests)
    if load.no != load.requests:
        raise BenchError(f"causes: {load.requests - load.no} of {load.requests} tries that must be refused were not answered NO")
    taken: dict[str, list[float]] = {cause: [] for cause in CAUSES}
    for cause, nanoseconds in list(zip(order, times, strict=True))[len(order) - tries * len(CAUSES) :]:
        taken[cause].append(nanoseconds * 1e-9)
    return section(scheme, tries, {cause: median(seconds) for cause, seconds in taken.items()})


def _request(cause: str, number: int) -> saslauthd.Request:
    """A wrong secret is another one each time, as long as the right one."""
    name, _, right = cause.partition(",")
    return login(name, SECRET if right else f"{number:0{len(SECRET)}d}", REALM)


def section(scheme: str, tries: int, medians: dict[str, float]) -> Section:
    """`medians` in seconds; each is held against a wrong secret's."""
    rows = [Row("wrong", (f"{medians['wrong'] * 1e6:,.0f}", "", ""))]
    for cause in CAUSES[1:]:
        apart = medians[cause] - medians["wrong"]
        part = apart / medians["wrong"]
        cells = (f"{medians[cause] * 1e6:,.0f}", f"{apart * 1e6:+,.0f}", f"{part:+.2%}")
        rows.append(Row(cause, cells, Budget("< 2 % or 50 us", abs(part) < 0.02 or abs(apart) < 50e-6)))
    return Section(
        f"time of a NO, {scheme}, {tries:,} tries a cause", ("median us", "apart us", "apart"), tuple(rows), {"medians": medians}
    )
