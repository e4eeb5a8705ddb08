"""Plumbing of every test: the markers `peer` and `root`, and what hypothesis may take. Fixtures stand in the folders that use them.

A test marked `peer("postfix", "swaks")` is skipped by name where one of these is missing (packaging/peers.txt names them all), and the end
of the run lists what is missing and how it is installed. With CI=true such a skip is a failure, and so is that of `root`.
"""

from __future__ import annotations

import functools
import glob
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, settings

ROOT = Path(__file__).parent.parent
PEERS = ROOT / "packaging" / "peers.txt"
SEARCH_PATH = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])  # a plain user's PATH has no sbin

sys.path.append(str(ROOT))  # tests import tests.interop and the like; last, so that an installed saslauthd_py is the one tested

# No deadline and no complaint about slow generation: a test does not depend on the machine's speed.
settings.register_profile("saslauthd-py", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)
settings.load_profile("saslauthd-py")


class Probe(NamedTuple):
    """One row of the table: what shows that a peer is there, and the Debian package that brings it."""

    what: str
    package: str

    def found(self) -> bool:
        """Whether the program, the file or the Perl module is there."""
        if "::" in self.what:
            perl = shutil.which("perl", path=SEARCH_PATH)
            return perl is not None and subprocess.run([perl, f"-M{self.what}", "-e1"], capture_output=True, check=False).returncode == 0
        if self.what.startswith("/"):
            return bool(glob.glob(self.what))
        return shutil.which(self.what, path=SEARCH_PATH) is not None


@functools.cache
def peers() -> dict[str, list[Probe]]:
    """The table of peers, by name."""
    table: dict[str, list[Probe]] = {}
    for line in PEERS.read_text().splitlines():
        if line and not line.startswith("#"):
            name, what, package = line.split()
            table.setdefault(name, []).append(Probe(what, package))
    return table


@functools.cache
def lacking(name: str) -> tuple[str, ...]:
    """The Debian packages that a peer still needs; none when it is there."""
    return tuple(probe.package for probe in peers()[name] if not probe.found())


MISSING = "missing peer"
"""The property of a test's report that names a peer it lacked: reports come from every process that runs tests."""


def required(item: pytest.Item) -> Iterator[str]:
    """The peers that a test names, each once."""
    yield from dict.fromkeys(name for mark in item.iter_markers("peer") for name in mark.args)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A peer that the table does not have would never be installed, and its test never run."""
    for item in items:
        for name in required(item):
            if name not in peers():
                raise pytest.UsageError(f"{item.nodeid}: no peer {name!r} in {PEERS.name}: it has {', '.join(peers())}")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Before any fixture: is there what the test needs?"""
    missing = [name for name in required(item) if lacking(name)]
    for name in missing:
        item.user_properties.append((MISSING, name))
    if missing:
        refuse(f"missing: {', '.join(missing)}")
    if item.get_closest_marker("root") and os.geteuid() != 0:
        refuse("needs root")


def refuse(reason: str) -> None:
    """Skip; where everything is promised to be there, fail."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"{reason} (with CI=true no test is skipped)", pytrace=False)
    pytest.skip(reason)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What is missing, what it cost, and the command that mends it."""
    skipped: dict[str, list[str]] = {}
    for report in chain.from_iterable(terminalreporter.stats.get(outcome, ()) for outcome in ("skipped", "error")):
        properties = getattr(report, "user_properties", ())  # what stopped the collection has none
        for _, name in (told for told in properties if told[0] == MISSING):
            skipped.setdefault(name, []).append(report.nodeid)
    if not skipped:
        return
    terminalreporter.section("missing peers")
    for name, tests in sorted(skipped.items()):
        terminalreporter.line(f"{name} (Debian: {' '.join(lacking(name))}), {len(tests)} tests not run:")
        for test in tests:
            terminalreporter.line(f"    {test}")
    terminalreporter.line("As root, `PEERS=install make test` installs them, and packaging/install-peers.sh alone does so too.")
