"""How long `import` takes where hashes are ready: into a new store, and beside a daemon that serves."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import nullcontext
from statistics import median

from tests.bench import ours
from tests.bench.bench import ARGON2ID, REALM, SECRET, Bench
from tests.bench.failures import BenchError
from tests.bench.generator import login
from tests.bench.report import Row, Section, at_least

_ACCOUNTS = 1_000_000
_ROUNDS = 3
_WANTED = 50_000
_EMPTY = ".empty"
_TRIED = 100
"""Accounts that log in after each import."""


def run(bench: Bench) -> Iterator[Section]:
    """One section."""
    rounds = min(bench.rounds, _ROUNDS)
    yield section(_ACCOUNTS, measure(bench, _ACCOUNTS, rounds))


def measure(bench: Bench, accounts: int, rounds: int) -> dict[str, list[float]]:
    """Seconds of each import, by its name, from the start of the command to its end."""
    installation = ours.install(os.path.join(bench.directory, "import"), [])
    shutil.copytree(_store(installation), _store(installation) + _EMPTY)
    files = {form: _file(bench, form, accounts) for form in ("passwd-file", "jsonl")}
    seconds: dict[str, list[float]] = {}
    for _ in range(rounds):
        for form, file in files.items():
            for served in (False, True):
                name = f"{form}, beside a daemon" if served else f"{form}, a new store"
                bench.say(name)
                seconds.setdefault(name, []).append(_imported(bench, installation, (form, file), served=served))
    return seconds


def section(accounts: int, seconds: dict[str, list[float]]) -> Section:
    """The budget is that of a new store."""
    rows = []
    for name, times in seconds.items():
        middle = median(times)
        rate = accounts / middle
        cells = (f"{middle:.1f}", f"{min(times):.1f}", f"{max(times):.1f}", f"{rate:,.0f}")
        rows.append(Row(name, cells, at_least(round(rate), _WANTED, " a second") if name.endswith("a new store") else None))
    return Section(f"import, {accounts:,} accounts", ("median s", "least", "most", "accounts/s"), tuple(rows), {"seconds": seconds})


def _imported(bench: Bench, installation: ours.Installation, what: tuple[str, str], *, served: bool) -> float:
    _prepare(_store(installation), empty=served)
    good = bench.generator.requests(login(name, SECRET, REALM) for name in _names(_TRIED))
    with ours.started(installation) if served else nullcontext() as own:
        begun = time.monotonic()
        command = [sys.executable, "-m", "saslauthd_py", "import", *what, "--config", installation.configuration]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        took = time.monotonic() - begun
        if done.returncode:
            raise BenchError(f"import {what[0]}: {done.stderr.strip()}")
        with nullcontext(own) if own is not None else ours.started(installation) as daemon:
            if bench.generator.run(daemon.socket, 1, _TRIED, good).not_ok:
                raise BenchError(f"import {what[0]}: an imported account cannot log in")
    return took


def _store(installation: ours.Installation) -> str:
    return os.path.join(installation.directory, "store")


def _prepare(store: str, *, empty: bool) -> None:
    """No store; or one without accounts, as it was made first."""
    shutil.rmtree(store, ignore_errors=True)
    if empty:
        shutil.copytree(store + _EMPTY, store)
        user = ours.owner()
        for name in (store, *(entry.path for entry in os.scandir(store))):
            os.chown(name, user.pw_uid, user.pw_gid)


def _names(count: int) -> list[str]:
    return [f"import{number:07d}" for number in range(count)]


def _file(bench: Bench, form: str, accounts: int) -> str:
    """Names in no order, as they stand in a file that has grown."""
    names = _names(accounts)
    random.Random(1).shuffle(names)  # noqa: S311 - the same each time
    path = os.path.join(bench.directory, form)
    with open(path, "w") as file:
        for name in names:
            if form == "jsonl":
                fields = {"name": name, "realm": REALM, "passwords": [{"encodings": {"argon2id": ARGON2ID}}]}
                file.write(json.dumps(fields) + "\n")
            else:
                file.write(f"{name}@{REALM}:{{ARGON2ID}}{ARGON2ID}\n")
    return path
