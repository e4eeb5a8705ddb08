"""Does the time of a NO tell its cause? Interleaved tries of each cause in random order, with no delay to hide behind (rule D6)."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median
from typing import Literal

from saslauthd_py import passwords
from saslauthd_py.identity import Identity
from saslauthd_py.secret import Secret
from saslauthd_py.wire import saslauthd
from tests.bench import ours
from tests.bench.accounts import Account
from tests.bench.bench import REALM, SECRET, SHA512CRYPT, Bench
from tests.bench.failures import BenchError
from tests.bench.generator import login
from tests.bench.ours import UNDELAYED, UNLIMITED, Installation
from tests.bench.report import Budget, Row, Section
from tests.bench.system import machine
from tests.interop.pam_machine import Dates

TRIES = {"store, sha512crypt": 5000, "store, argon2id": 1000, "shadow, sha512crypt": 2000, "pam, sha512crypt": 200}
"""Of each cause. The quicker the work, the more shows beside it; each try of PAM lasts as long as the slowest so far."""

CAUSES = ("wrong", "unknown", "secretless", "locked", "locked, right secret", "expired", "expired, right secret")
SYSTEM_CAUSES = ("wrong", "unknown", "never-set", "empty", "locked", "locked, right secret", "expired", "expired, right secret")
"""`never-set`: a star in place of a hash; `empty`: nothing there; `locked`: an exclamation mark before it."""

_KINDS: tuple[Literal["shadow", "pam"], ...] = ("shadow", "pam")
_SECTIONS = UNDELAYED + UNLIMITED
_LONG_AGO = 19000
"""The day on which accounts and their passwords ended."""

_WARM_UP = 100
"""Tries before those that count. PAM's are held back as long as the longest so far, which has to be learnt."""


def run(bench: Bench) -> Iterator[Section]:
    """One section for each backend and scheme. Shadow and PAM need root: without it, the store alone."""
    for scheme in ("sha512crypt", "argon2id"):
        yield _measure(bench, f"store, {scheme}", _store(bench, scheme), REALM)
    if os.geteuid() == 0:
        for kind in _KINDS:
            with _system(bench, kind) as installation:
                yield _measure(bench, f"{kind}, sha512crypt", installation, "")


def _store(bench: Bench, scheme: str) -> Installation:
    encoding = passwords.recognise(SHA512CRYPT) if scheme == "sha512crypt" else passwords.make(scheme, Secret(SECRET.encode()))
    accounts = [
        *(Account(Identity(f"other{number}", REALM), encoding) for number in range(20)),
        Account(Identity("wrong", REALM), encoding),
        Account(Identity("secretless", REALM)),
        Account(Identity("locked", REALM), encoding, locked="bench"),
        Account(Identity("expired", REALM), encoding, expires=time.time() - 86400),
    ]
    return ours.install(os.path.join(bench.directory, scheme), accounts, _SECTIONS)


@contextmanager
def _system(bench: Bench, kind: Literal["shadow", "pam"]) -> Iterator[Installation]:
    accounts = {"wrong": SHA512CRYPT, "never-set": "*", "empty": "", "locked": f"!{SHA512CRYPT}"}
    with machine(bench.directory, accounts, "nodelay") as made:
        made.account("expired", SHA512CRYPT, Dates(expires=_LONG_AGO))
        yield ours.install_in(made, kind, _SECTIONS)


def _measure(bench: Bench, subject: str, installation: Installation, realm: str) -> Section:
    bench.say(f"causes: {subject}")
    causes, tries = CAUSES if realm else SYSTEM_CAUSES, max(1, round(TRIES[subject] * bench.tries))
    order = [cause for cause in causes for _ in range(tries)]
    random.Random(1).shuffle(order)  # noqa: S311 - the same order in every run
    order = [*causes * (_WARM_UP // len(causes)), *order]
    requests = bench.generator.requests(_request(cause, number, realm) for number, cause in enumerate(order))
    with ours.started(installation) as own:
        load, times = bench.generator.latencies(own.socket, len(order), requests)
    if load.no != load.requests:
        raise BenchError(f"causes: {subject}: {load.requests - load.no} of {load.requests} wrong ones were not answered NO")
    taken: dict[str, list[float]] = {cause: [] for cause in causes}
    for cause, nanoseconds in list(zip(order, times, strict=True))[-tries * len(causes) :]:
        taken[cause].append(nanoseconds * 1e-9)
    return section(subject, tries, {cause: median(seconds) for cause, seconds in taken.items()})


def _request(cause: str, number: int, realm: str) -> saslauthd.Request:
    """A wrong secret is another one each time, as long as the right one."""
    name, _, right = cause.partition(",")
    return login(name, SECRET if right else f"{number:0{len(SECRET)}d}", realm)


def section(subject: str, tries: int, medians: dict[str, float]) -> Section:
    """`medians` in seconds, a wrong secret's first: each other one is held against it."""
    rows = []
    for cause, seconds in medians.items():
        apart = seconds - medians["wrong"]
        part = apart / medians["wrong"]
        if cause == "wrong":
            rows.append(Row(cause, (f"{seconds * 1e6:,.0f}", "", "")))
        else:
            cells = (f"{seconds * 1e6:,.0f}", f"{apart * 1e6:+,.0f}", f"{part:+.2%}")
            rows.append(Row(cause, cells, Budget("< 2 % or 50 us", abs(part) < 0.02 or abs(apart) < 50e-6)))
    title = f"time of a NO, {subject}, {tries:,} tries a cause"
    return Section(title, ("median us", "apart us", "apart"), tuple(rows), {"medians": medians})
