"""The throw-away account of `setup`: gone at the end, whatever the end is, and its password is in no command line."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from saslauthd_py.setup import account
from saslauthd_py.setup.account import ThrowAway
from saslauthd_py.setup.commands import ProgramFailed
from tests.interop.daemon import Site, listener, new_site
from tests.interop.setup_site import ALICE, PASSWORD, SetUp
from tests.interop.waiting import until

pytestmark = pytest.mark.root

_NAME = "setup-0123456789ab@setup.invalid"


@pytest.fixture(scope="module")
def site(machine: Path) -> Iterator[Site]:
    """No daemon runs: the account is the store's."""
    with new_site(machine) as made:
        made.configure([listener(made.mux)], 'scheme = "sha512crypt"\n')
        made.add(ALICE, PASSWORD)
        yield made


def throw_away(site: Site) -> ThrowAway:
    return ThrowAway(str(site.configuration), "users", _NAME, _NAME)


def users(site: Site) -> list[str]:
    return SetUp(site, ()).users()


def test_killed_it_leaves_no_account_and_its_password_was_in_no_command_line(site: Site) -> None:
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        with throw_away(site).made() as made:
            os.write(writing, made.secret.reveal())
            signal.pause()
    password = os.read(reading, 1024)
    seen = b"".join(path.read_bytes() for path in _command_lines(pid))
    assert _NAME in users(site)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    os.close(reading)
    os.close(writing)
    assert _NAME.encode() in seen, "that of the process that will remove it"
    assert len(password) >= 24
    assert password not in seen
    until(lambda: _NAME not in users(site), "the account is removed by what it left behind")


def test_what_keeps_it_from_being_made_is_told(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(account, "_LIFE", "never")
    with pytest.raises(ProgramFailed, match="never"), throw_away(site).made():
        raise AssertionError


def _command_lines(parent: int) -> list[Path]:
    return [path for path in Path("/proc").glob("[0-9]*/cmdline") if _is_child(path.parent, parent)]


def _is_child(process: Path, parent: int) -> bool:
    try:
        return f"\nPPid:\t{parent}\n" in (process / "status").read_text()
    except OSError:
        return False
