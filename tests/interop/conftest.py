"""Real peers and the real daemon: one private Postfix of each kind for all tests, a store and a daemon for each that asks."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.interop import dovecot_postfix
from tests.interop import postfix as private_postfix
from tests.interop.daemon import Site, new_site
from tests.interop.postfix import Postfix


@pytest.fixture(scope="session")
def machine() -> Iterator[Path]:
    """A directory that every user can search and only root can write, all the way up: what /run is to a real site."""
    before = os.umask(0o022)  # whatever it is, Postfix and the daemon's user must find their way
    directory = Path(tempfile.mkdtemp(prefix="saslauthd-py-", dir="/run" if os.geteuid() == 0 else None))
    directory.chmod(0o755)
    yield directory
    shutil.rmtree(directory)
    os.umask(before)


@pytest.fixture
def site(machine: Path) -> Iterator[Site]:
    """A place for a store and a daemon, not yet configured."""
    with new_site(machine) as made:
        yield made


@pytest.fixture(scope="session")
def postfix(machine: Path) -> Iterator[Postfix]:
    """smtpd not chrooted: the socket is where its own path says."""
    with private_postfix.running(machine / "postfix") as running:
        yield running


@pytest.fixture(scope="session")
def chrooted_postfix(machine: Path) -> Iterator[Postfix]:
    """smtpd chrooted to the queue directory: the socket lies below it."""
    with private_postfix.running(machine / "chrooted", chroot=True) as running:
        yield running


@pytest.fixture(scope="module")
def dovecot_place(machine: Path) -> Iterator[dovecot_postfix.Place]:
    """A Postfix that will ask a Dovecot socket, chrooted; to be started once the daemon is there."""
    with dovecot_postfix.new_place(machine) as place:
        yield place
