"""Which file has the accounts of a realm: one for all, or one for each, named by the realm.

A realm comes from outside, so it makes a path only where it is a plain name of one component; and only a realm whose file (or whose
directory, where `{realm}` names that) is there leaves anything in memory. Links are followed: only who may write the directory can
plant one, and there `..data` and the like are how files get replaced; what it leads to must be a file like any other.
"""

from __future__ import annotations

import os
import re
from collections import OrderedDict
from collections.abc import Callable, Iterable

from saslauthd_py import stamps
from saslauthd_py.backends.passwd_file.index import Index
from saslauthd_py.stamps import Stamp
from saslauthd_py.watching import watched
from saslauthd_py.watching.reading import Fault

REALM = "{realm}"

WatchedFile = watched.WatchedFile[Index]
"""A password file under watch."""

MOST_WATCHED = 64
"""Files, those asked last, on which remembered answers may hang: each costs a stat (2.5 us) at every look."""

MOST_KEPT = 128 << 20
"""Bytes of all indexes together, the one in use apart; the ones that were asked longest ago go first."""

_LEAST_KEPT = 4096
"""What a file counts for at the least."""

_COMPONENT = re.compile(r"[0-9a-z_][0-9a-z._+-]*")
"""What a realm, folded, must be: so neither empty nor hidden, no `..`, no `/`, no backup (`~`), nothing that a log could be forged with."""


class Files:
    """The files of one backend: those that are watched, and those that only keep an index until they are asked again."""

    def __init__(self, path: str, watch: Callable[[str], WatchedFile], dropped: Callable[[WatchedFile], None]) -> None:
        """`watch` makes the file of a realm; `dropped` is told of one that is watched no more, so no answer may hang on it any more."""
        self._watch = watch
        self._dropped = dropped
        self._watched: OrderedDict[str, WatchedFile] = OrderedDict()
        self._resting: OrderedDict[str, WatchedFile] = OrderedDict()
        parts = path.split("/")
        level = next((place for place, part in enumerate(parts) if REALM in part), len(parts))
        self.per_realm = level < len(parts)
        self._entry = "/".join(parts[: level + 1])
        self.home = Home("/".join(parts[:level]) or "/")

    def find(self, realm: str) -> WatchedFile | Fault | None:
        """The file with the accounts of a realm, folded (`identity.fold_realm`), watched from now on; None where it has none.

        A stat or two at the first time; never waits.
        """
        if not self.per_realm:
            realm = ""
        elif not _COMPONENT.fullmatch(realm):
            return None
        file = self._watched.get(realm)
        if file is not None:
            self._watched.move_to_end(realm)
            return file
        file = self._resting.pop(realm, None)
        if file is None:
            there = self.home.has(self._entry.replace(REALM, realm)) if self.per_realm else True
            if there is not True:
                return there or None
            file = self._watch(realm)
        self._watched[realm] = file
        if len(self._watched) > MOST_WATCHED:
            self._rest(*self._watched.popitem(last=False))
        return file

    def knows(self, realm: str) -> bool:
        """Whether a realm's file is known; else what is said of its accounts hangs on `home`."""
        return not self.per_realm or realm in self._watched or realm in self._resting

    def watched(self) -> Iterable[WatchedFile]:
        """Every file on which an answer may hang that is remembered."""
        return self._watched.values()

    def trim(self, read: WatchedFile) -> None:
        """Keep within MOST_KEPT, after `read` was read. That one is in use, and so is the one that was asked last."""
        excess = sum(max(file.size, _LEAST_KEPT) for file in (*self._resting.values(), *self._watched.values())) - MOST_KEPT
        while excess > 0 and self._resting:
            _, file = self._resting.popitem(last=False)
            excess -= max(file.size, _LEAST_KEPT)
        for file in list(self._watched.values())[:-1]:
            if excess <= 0:
                return
            if file is not read:
                excess -= file.size
                file.unload()

    def _rest(self, realm: str, file: WatchedFile) -> None:
        self._dropped(file)
        if file.found is not None:
            self._resting[realm] = file


class Home:
    """The directory in which realms have their files: one stat of it tells whether one that had none may have one now.

    `generation` is another number after every such change that a `changed` has seen.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.generation = 0
        self._stamp: Stamp | int | None = None  # None: nobody was ever missing
        self._sure = True

    def has(self, path: str) -> bool | Fault:
        """Is there something at `path`, in here? A Fault where that cannot be told."""
        before = stamps.look(self.path)
        found = stamps.look(path)
        if isinstance(found, Stamp):
            return True
        if found not in stamps.MISSING or not isinstance(before, Stamp):
            where, number = (self.path, before) if isinstance(before, int) else (path, found)
            return Fault(f"{where}: {os.strerror(number)}")
        if self._stamp is None:
            self._stamp, self._sure = before, before.quiet
        return False

    def changed(self) -> bool:
        """Whether any realm that had no file may have got one since the last call."""
        if self._stamp is None:
            return False
        now = stamps.look(self.path)
        if now == self._stamp and self._sure:
            return False
        if now != self._stamp:
            self.generation += 1
        self._stamp, self._sure = now, isinstance(now, Stamp) and now.quiet
        return True
