"""Where a demo lives: a directory with a real configuration in it, gone afterwards with all that the demo made there."""

from __future__ import annotations

import grp
import os
import pwd
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from saslauthd_py.cli.exits import CommandFailed, Exit
from saslauthd_py.cli.report import Fields
from saslauthd_py.config.load import render_toml

DAEMON_USER = "nobody"
"""Whom root's demo runs as: every system has it, and it owns nothing."""

MECHANISMS = ["PLAIN", "LOGIN", "SCRAM-SHA-256"]
"""Named, so that the proof finds SCRAM offered however busy the machine is: by itself it is once the accounts have been counted."""


@dataclass(frozen=True, slots=True)
class Site:
    """The paths of a demo. `notify` is where the daemon says that it is ready."""

    directory: str

    @property
    def configuration(self) -> str:
        return os.path.join(self.directory, "saslauthd-py.toml")

    @property
    def store(self) -> str:
        return os.path.join(self.directory, "store")

    @property
    def socket(self) -> str:
        return os.path.join(self.directory, "mux")

    @property
    def pwcheck(self) -> str:
        return os.path.join(self.directory, "pwcheck")

    @property
    def dovecot(self) -> str:
        return os.path.join(self.directory, "auth")

    @property
    def control(self) -> str:
        return os.path.join(self.directory, "control")

    @property
    def notify(self) -> str:
        return os.path.join(self.directory, "notify")


@contextmanager
def made(directory: str | None) -> Iterator[Site]:
    """A site in `directory`, which is empty or not there yet, or in a new one. Raises CommandFailed, OSError."""
    if directory is None:
        with tempfile.TemporaryDirectory(prefix="saslauthd-py-demo-") as fresh:
            yield from _furnished(fresh)
        return
    directory = os.path.abspath(directory)
    new = not os.path.lexists(directory)
    if new:
        os.mkdir(directory, 0o700)
    elif os.listdir(directory):
        raise CommandFailed(Exit.USAGE, f"{directory} is not empty: name an empty or a new directory, or leave out --dir")
    before = stat.S_IMODE(os.stat(directory).st_mode)
    try:
        yield from _furnished(directory)
    finally:
        _clear(Site(directory))
        os.chmod(directory, before)
        if new:
            os.rmdir(directory)


def _furnished(directory: str) -> Iterator[Site]:
    os.chmod(directory, 0o711)  # noqa: S103 - the daemon's user and a mail server find their way through it, and see no more of it
    site = Site(directory)
    with open(site.configuration, "x", encoding="utf-8") as file:
        os.fchmod(file.fileno(), 0o644)
        file.write(render_toml(_document(site)))
    yield site


def _document(site: Site) -> Fields:
    server: Fields = {"server": {"user": DAEMON_USER, "group": _group_of(DAEMON_USER)}} if os.geteuid() == 0 else {}
    return {
        **server,
        "log": {"to": "stderr"},
        "control": {"path": site.control},
        "listen": [
            {"protocol": "dovecot", "path": site.dovecot, "mechanisms": MECHANISMS},
            {"protocol": "saslauthd", "path": site.socket},
            {"protocol": "pwcheck", "path": site.pwcheck},
        ],
        "backend": {"users": {"type": "store", "path": os.path.join(site.store, "users.db")}},
        "route": [{"realm": "*", "backends": ["users"]}],
    }


def _group_of(user: str) -> str:
    try:
        return grp.getgrgid(pwd.getpwnam(user).pw_gid).gr_name
    except KeyError:
        raise CommandFailed(Exit.CONFIGURATION, f"there is no user {user} with a group here: run the demo as a plain user") from None


def _clear(site: Site) -> None:
    """What a demo makes, by name: nothing else that came to lie here meanwhile is touched."""
    shutil.rmtree(site.store, ignore_errors=True)
    for path in (site.configuration, site.dovecot, site.socket, site.pwcheck, site.control, site.notify):
        if os.path.lexists(path):
            os.unlink(path)
