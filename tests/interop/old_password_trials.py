"""How often is an old password still accepted right after the change? By hand: python -m tests.interop.old_password_trials

Two kinds of trial, each with the daemon's cache warm for the old password:
- by commands: `saslauthd-py user passwd` changes it, and the next request that each daemon on that store gets has the old one;
- by commits: under load, one other process commits the change, waits as commands do, and asks with the old one itself, so that no
  start of a process gives the daemon time.
"""

from __future__ import annotations

import argparse
import json
import select
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from saslauthd_py import identity
from saslauthd_py.credential import Encoding
from saslauthd_py.passwords.libcrypt import crypt, salt
from saslauthd_py.store.access import become_owner
from saslauthd_py.store.model import NewSecret
from saslauthd_py.store.store import Store
from tests.interop.daemon import Daemon, Site, environment, listener, new_site
from tests.interop.mux import NO, OK, ask
from tests.interop.waiting import PATIENCE

TURNING, STEADY = "turning@example.test", "steady@example.test"
FIRST = "pw-0"
LOADERS = 2
BACKEND = 'rehash = false\n\n[admission]\nper_account = "off"\n'
"""What the committing process stores stays as it is, with the fewest rounds there are: its time goes into questions, not into hashing."""


def prepare(site: Site) -> None:
    """Two accounts: one whose password changes, one that the load logs in with."""
    site.configure([listener(site.mux)], BACKEND)
    for name in (TURNING, STEADY):
        site.add(name, FIRST)


def twin(site: Site) -> Site:
    """A second daemon's configuration, on the same store."""
    other = Site(site.directory / "twin")
    other.directory.mkdir()
    other.directory.chmod(0o755)
    other.configure([listener(other.mux)], BACKEND)
    other.configuration.write_text(other.configuration.read_text().replace(str(other.store), str(site.store)))
    return other


def by_commands(site: Site, serving: Mapping[Path, Daemon], trials: int) -> Counter[bytes]:
    """The answers of all daemons `serving` that store, each at its socket, to the old password: one a trial and daemon.

    AssertionError where a cache was not warm.
    """
    answers: Counter[bytes] = Counter()
    for trial in range(trials):
        old, new = f"pw-{trial}", f"pw-{trial + 1}"
        for mux, daemon in serving.items():
            assert [ask(mux, TURNING, old) for _ in range(2)] == [OK, OK]
            daemon.wait_for_line("accepted", f"user={TURNING}", "cached=yes", count=trial + 1)
        site.passwd(TURNING, new)
        answers.update(ask(mux, TURNING, old) for mux in serving)
    return answers


def by_commits(site: Site, daemon: Daemon, trials: int) -> Counter[bytes]:
    """The same, with the load on and all changes made by one process. AssertionError where load or cache were not as they should be."""
    with load(site) as counts:
        done = subprocess.run(_self("commits", site, str(trials)), env=environment(), stdout=subprocess.PIPE, check=True, text=True)
    assert counts["OK"] > trials
    assert set(counts) == {"OK"}, f"the load was not always accepted: {counts}"
    daemon.wait_for_line("accepted", f"user={TURNING}", "cached=yes", count=trials)
    return Counter({bytes.fromhex(answer): count for answer, count in json.loads(done.stdout).items()})


@contextmanager
def load(site: Site) -> Iterator[Counter[str]]:
    """LOADERS processes that log in with the right password until the end; then the counter holds what they were told."""
    counts: Counter[str] = Counter()
    started = [_start(_self("load", site)) for _ in range(LOADERS)]
    try:
        for loader in started:
            assert _stream(loader.stdout).readline() == "started\n"
        yield counts
    finally:
        for loader in started:
            counts.update(json.loads(loader.communicate(timeout=PATIENCE)[0]))


def _start(command: list[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(command, env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def _stream(stream: IO[str] | None) -> IO[str]:
    assert stream is not None
    return stream


def _self(role: str, site: Site, *more: str) -> list[str]:
    return [sys.executable, "-m", "tests.interop.old_password_trials", role, str(site.directory), *more]


def _run_load(site: Site) -> None:
    """A loader process: until its standard input ends."""
    print("started", flush=True)
    counts: Counter[str] = Counter()
    while not select.select([sys.stdin], [], [], 0)[0]:
        answers = [ask(site.mux, STEADY, FIRST) for _ in range(20)]
        counts.update(answer[2:].decode() or "outage" for answer in answers)
    print(json.dumps(counts))


def _run_commits(site: Site, trials: int) -> None:
    """The committing process: the store's owner, as a command is."""
    become_owner(str(site.store))
    who = identity.split(TURNING)
    answers: Counter[str] = Counter()
    with Store.open(str(site.store)) as store:
        for trial in range(trials):
            old, new = f"pw-{trial}", f"pw-{trial + 1}"
            encoding = Encoding("sha512crypt", crypt(new.encode(), f"$6$rounds=1000${salt(16)}"))
            if [ask(site.mux, TURNING, old) for _ in range(2)] != [OK, OK]:
                raise SystemExit(f"trial {trial}: the password that holds is refused")
            store.set_secret(who, NewSecret(encoding))
            answers[ask(site.mux, TURNING, old).hex()] += 1
    print(json.dumps(answers))


def _run_all(commands: int, commits: int) -> int:
    accepted = 0
    if commands:
        with _prepared() as site, site.serving() as first:
            other = twin(site)
            with other.serving() as second:
                accepted += _told(
                    f"{commands} commands, two daemons", lambda: by_commands(site, {site.mux: first, other.mux: second}, commands)
                )
    if commits:
        with _prepared() as site, site.serving() as daemon:
            accepted += _told(f"{commits} commits under load", lambda: by_commits(site, daemon, commits))
    return 1 if accepted else 0


@contextmanager
def _prepared() -> Iterator[Site]:
    with new_site(Path("/run")) as site:
        prepare(site)
        yield site


def _told(what: str, run: Callable[[], Counter[bytes]]) -> int:
    """Print what came of it; returns how many answers were not NO."""
    began = time.monotonic()
    answers = run()
    told = f"refused {answers[NO]}, accepted {answers[OK]}, outages {answers[b'']}"
    print(f"{what}: {time.monotonic() - began:.0f} s, old password {told}", flush=True)
    return answers.total() - answers[NO]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    roles = parser.add_subparsers(dest="role")
    roles.add_parser("load").add_argument("site", type=Path)
    committer = roles.add_parser("commits")
    committer.add_argument("site", type=Path)
    committer.add_argument("trials", type=int)
    parser.add_argument("--commands", type=int, default=1000, help="trials with `user passwd` (default 1000)")
    parser.add_argument("--commits", type=int, default=3000, help="trials with commits under load (default 3000)")
    arguments = parser.parse_args()
    if arguments.role == "load":
        _run_load(Site(arguments.site))
    elif arguments.role == "commits":
        _run_commits(Site(arguments.site), arguments.trials)
    else:
        return _run_all(arguments.commands, arguments.commits)
    return 0


if __name__ == "__main__":
    sys.exit(main())
