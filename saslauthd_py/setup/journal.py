"""What a change needs to be taken back: written down before the change, in a directory of root's, and gone when all is as it was."""

from __future__ import annotations

import json
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from fcntl import LOCK_EX, LOCK_NB, flock
from typing import Any

from saslauthd_py.setup import files
from saslauthd_py.setup.account import ThrowAway
from saslauthd_py.setup.files import Found
from saslauthd_py.setup.reloading import Master, Reload
from saslauthd_py.setup.steps import Joined, MadeDirectory, Step, Written

DEFAULT_DIRECTORY = "/var/lib/saslauthd-py-setup"
"""Not below /var/lib/saslauthd-py: that is the daemon's, which could then say what root is to restore."""

_MANIFEST = "manifest.json"
_VERSION = 1


class JournalError(Exception):
    """What was changed cannot be written down, or read back. Its text is one line that says what to do."""


class NothingApplied(JournalError):
    """There is nothing to take back."""


@dataclass(frozen=True, slots=True)
class Change:
    """All that one setup changes. `ours` is the daemon's configuration, and comes first; `theirs` is the mail server's.

    `control` is the daemon's control socket. `account`: what proves it; None: an account that is there anyway.
    """

    ours: tuple[Step, ...]
    theirs: tuple[Step, ...]
    reload: Reload
    control: str
    account: ThrowAway | None

    @property
    def steps(self) -> tuple[Step, ...]:
        """In the order in which they are made."""
        return (*self.ours, *self.theirs)


@dataclass(frozen=True, slots=True)
class Journal:
    """The record of the change of one mail server, in `directory`/`name`."""

    directory: str
    name: str

    @property
    def path(self) -> str:
        """Where it is."""
        return os.path.join(self.directory, self.name)

    def begin(self, change: Change) -> None:
        """Write it down with all copies. It is on the disk when it returns. Raises JournalError, OSError; nothing is begun then."""
        if os.path.lexists(self.path):
            raise JournalError(f"{self.path}: a change is recorded there already: take it back with --undo first")
        new = f"{self.path}.new"
        _take_away(new)
        os.mkdir(new, 0o700)
        entries: dict[str, list[dict[str, Any]]] = {"ours": [], "theirs": []}
        for number, step in enumerate(change.steps):
            copy = f"{number}.copy"
            if isinstance(step, Written) and step.old is not None:
                files.write_new(os.path.join(new, copy), step.old)
            entries["ours" if number < len(change.ours) else "theirs"].append(_entry(step, copy))
        manifest = {"version": _VERSION, **entries, "reload": asdict(change.reload), "control": change.control}
        manifest["account"] = asdict(change.account) if change.account is not None else None
        files.write_new(os.path.join(new, _MANIFEST), json.dumps(manifest, indent=1).encode())
        files.sync_directory(new)
        os.rename(new, self.path)
        files.sync_directory(self.directory)

    def recorded(self) -> Change:
        """What was written down. Raises NothingApplied, JournalError."""
        try:
            found = files.read(os.path.join(self.path, _MANIFEST))
        except OSError as error:
            raise JournalError(f"{self.path}: {(error.strerror or str(error)).lower()}") from None
        if found is None:
            raise NothingApplied(f"{self.path}: no such record: nothing was applied, or all of it was taken back")
        try:
            return self._change(json.loads(found))
        except (ValueError, KeyError, TypeError, OSError) as error:
            raise JournalError(f"{self.path}: {type(error).__name__}: not what setup writes: put the files in it back by hand") from None

    def end(self) -> None:
        """All is as it was: the record goes. Raises OSError."""
        gone = f"{self.path}.gone"
        _take_away(gone)
        os.rename(self.path, gone)
        files.sync_directory(self.directory)
        _take_away(gone)

    def copy_of(self, step: Step) -> str | None:
        """Where the copy of a file is; None: it was not there, or it is no file."""
        place = next((number for number, one in enumerate(self.recorded().steps) if str(one) == str(step)), None)
        copy = os.path.join(self.path, f"{place}.copy")
        return copy if os.path.exists(copy) else None

    def _change(self, manifest: dict[str, Any]) -> Change:
        if manifest["version"] != _VERSION:
            raise JournalError(f"{self.path}: written by another version of this program: take it back with that one")
        ours, theirs = ([self._step(entry) for entry in manifest[key]] for key in ("ours", "theirs"))
        reload, account = manifest["reload"], manifest["account"]
        master = Master(reload["master"]["pid_file"], *(tuple(reload["master"][key]) for key in ("names", "configurations")))
        taking = Reload(tuple(map(tuple, reload["commands"])), master, reload["hang_up"])
        return Change(tuple(ours), tuple(theirs), taking, manifest["control"], ThrowAway(**account) if account else None)

    def _step(self, entry: dict[str, Any]) -> Step:
        match entry["kind"]:
            case "file":
                before = Found(**entry["before"]) if entry["before"] else None
                old = files.read(os.path.join(self.path, entry["copy"])) if before else None
                if before and (old is None or files.digest(old) != before.sha256):
                    raise JournalError(f"{self.path}/{entry['copy']}: this copy of {entry['path']} is damaged: nothing is restored from it")
                return Written(entry["path"], before, Found(**entry["after"]), b"", old)
            case "directory":
                return MadeDirectory(entry["path"])
            case "member":
                return Joined(entry["user"], entry["group"])
        raise ValueError(entry["kind"])


@contextmanager
def opened(directory: str, name: str) -> Iterator[Journal]:
    """The record of that name, for one command at a time; the directory is made. Raises JournalError, OSError."""
    os.makedirs(directory, 0o700, exist_ok=True)
    real = os.path.realpath(directory)
    _refuse_others(real)
    descriptor = os.open(real, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        try:
            flock(descriptor, LOCK_EX | LOCK_NB)
        except BlockingIOError:
            raise JournalError(f"{directory}: another setup is at work there: wait for its end") from None
        yield Journal(real, name)
    finally:
        os.close(descriptor)


def _refuse_others(directory: str) -> None:
    """Whoever can put another manifest there says what root writes, and where."""
    path = directory
    while True:
        found = os.lstat(path)
        writable = found.st_mode & (stat.S_IWGRP | stat.S_IWOTH) and (path == directory or not found.st_mode & stat.S_ISVTX)
        if found.st_uid not in (0, os.geteuid()) or writable:
            raise JournalError(f"{path}: others than root can write here, so what setup keeps in {directory} could be changed")
        if path == "/":
            return
        path = os.path.dirname(path)


def _entry(step: Step, copy: str) -> dict[str, Any]:
    match step:
        case Written():
            before = asdict(step.before) if step.before is not None else None
            return {"kind": "file", "path": step.path, "before": before, "after": asdict(step.after), "copy": copy}
        case MadeDirectory():
            return {"kind": "directory", "path": step.path}
        case Joined():
            return {"kind": "member", "user": step.user, "group": step.group}


def _take_away(path: str) -> None:
    if os.path.lexists(path):
        shutil.rmtree(path)
