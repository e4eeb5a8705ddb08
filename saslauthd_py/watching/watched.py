"""One file under watch: its index, and never an answer from one that the file is not any more (rule C6)."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Generic

import trio

from saslauthd_py import stamps
from saslauthd_py.identity import Identity
from saslauthd_py.stamps import Stamp
from saslauthd_py.watching import reading
from saslauthd_py.watching.reading import Fault, Index, Reading, Source

_logger = logging.getLogger(__name__)

MOST_NAMED = 1000
"""Accounts of one file that are named at once. With more every account counts as changed, which costs the caller less."""

PATIENCE = 0.25
"""Seconds that a file which is being written may take to come to rest; then what it says is taken for as long as it says it."""

PATIENCE_WITH_HALVES = 1.0
"""The same while what is seen looks like half a file."""

_PAUSE = 0.01
"""Seconds between two looks at a file that is being written."""

_RETRY = 1.0
"""Seconds after which a fault is looked at again that may end without a trace in the file."""


Changed = tuple[Identity, ...] | None
"""The names, as the file spells them, that have changed; None: any may have."""


class WatchedFile(Generic[Index]):
    """A file for the loop: looked at by one stat, read by a thread, one reading at a time.

    `found` is what the last reading gave. A file that turned into something else altogether (a binary, a page of HTML) leaves the
    index of before in place, with one error in the log. One that is gone, empty, no file, closed to us or open to every writer does not:
    what was taken back in it we cannot know, so nothing that stood in it counts (rule C6).
    """

    def __init__(
        self, source: Source[Index], nursery: trio.Nursery, published: Callable[[WatchedFile[Index], Changed], None], backend: str = ""
    ) -> None:
        """`nursery` runs the readings: a login that gives up does not end one. `published` is called, in the loop, after each.

        `backend`: whose file it is, for the log.
        """
        self._whose = f"backend {backend}: " if backend else ""
        self.found: Index | Fault | None = None
        self.exposed = False
        self.asked: set[str] | None = set()
        self.source = source
        self._nursery = nursery
        self._published = published
        self._stamp: Stamp | int | None = None
        self._look_again = float("inf")
        self._begun = self._done = 0
        self._had_accounts = False
        self._outlives = False  # the file is nonsense now, and the index that is kept is the last one that we could have
        self._reading: trio.Event | None = None
        self._said: tuple[Stamp | int | None, tuple[str, ...]] = (None, ())

    @property
    def size(self) -> int:
        """Bytes of the index that is kept."""
        return 0 if self.found is None or isinstance(self.found, Fault) else self.found.size

    @property
    def was_read(self) -> bool:
        """Whether anything can have been answered from it."""
        return self._done > 0

    def unchanged(self) -> bool:
        """Whether the file is still what the last reading found. Else the next reading is under way. One stat; never waits."""
        if self._as_read():
            return True
        self._start()
        return False

    async def current(self) -> Index | Fault:
        """What the file says at some moment after this call; waits for a reading where it has changed."""
        first_new = self._begun + 1
        while self.found is None or (self._done < first_new and not self._as_read()):
            await self._start().wait()
        return self.found

    def note(self, account: str) -> None:
        """Something is about to be said of this account: `asked` has it, or is None where that got too many to be named."""
        if self.asked is not None:
            self.asked.add(account)
            if len(self.asked) > MOST_NAMED:
                self.asked = None

    def unload(self) -> None:
        """Give the memory of the index back, where it can be had again. The watch goes on."""
        if not self._outlives and not isinstance(self.found, Fault):
            self.found = None

    def _as_read(self) -> bool:
        return self._stamp is not None and time.monotonic() < self._look_again and stamps.look(self.source.path) == self._stamp

    def _start(self) -> trio.Event:
        if self._reading is None:
            self._reading = trio.Event()
            self._nursery.start_soon(self._read, self._reading)
        return self._reading

    async def _read(self, done: trio.Event) -> None:
        try:
            self._publish(*await self._read_at_rest())
        except Exception:
            _logger.exception("%sbug while %s was read; its accounts are unavailable", self._whose, self.source.path)
            self._publish(self._begun, Reading(Fault(f"{self.source.path}: bug, see the traceback"), None, passing=True))
        finally:
            self._reading = None
            done.set()

    async def _read_at_rest(self) -> tuple[int, Reading[Index]]:
        """Read until it can be relied on, or patience ends. The number of the last reading, and what it gave."""
        start = trio.current_time()
        while True:
            self._begun += 1
            began = self._begun
            before = None if isinstance(self.found, Fault) else self.found
            seen: Reading[Index] = await trio.to_thread.run_sync(reading.read, self.source, before)
            passed = trio.current_time() - start
            if seen.settled or passed > PATIENCE_WITH_HALVES or (seen.whole and passed > PATIENCE):
                return began, seen
            await trio.sleep(_PAUSE)

    def _publish(self, began: int, seen: Reading[Index]) -> None:
        fault = seen.found if isinstance(seen.found, Fault) else None
        kept = not isinstance(self.found, Fault | None) and self.found is not self.source.missing
        self._outlives = fault is not None and fault.nonsense and kept
        self._tell(seen, fault)
        gone = seen.found is self.source.missing
        if gone and self._had_accounts:
            line = "gone; its realm has no accounts any more: if that is not meant, put the file back"
            _logger.warning("%s%s: %s", self._whose, self.source.path, line)
        self._had_accounts = not gone and (self._had_accounts or fault is None)
        changed = self._changed(seen, fault)
        if not self._outlives:
            self.found, self.exposed = seen.found, seen.exposed
        self._stamp, self._done = seen.stamp, began
        self._look_again = time.monotonic() + _RETRY if seen.passing else float("inf")
        self._published(self, changed)

    def _changed(self, seen: Reading[Index], fault: Fault | None) -> Changed:
        if not self.was_read or self._outlives or (fault is not None and isinstance(self.found, Fault)):
            return ()
        if self.found is None and seen.stamp is not None and seen.stamp == self._stamp:
            return ()
        return seen.changed

    def _tell(self, seen: Reading[Index], fault: Fault | None) -> None:
        """One line for a fault until the file changes again, and one for each kind of fault in lines until there are others."""
        faulty = bool(self._said[1]) and self._said[0] is not None
        if fault is not None:
            says: tuple[Stamp | int | None, tuple[str, ...]] = (seen.stamp or 0, (fault.cause,))
        else:
            says = (None, () if isinstance(seen.found, Fault) else seen.found.complaints)
        if says == self._said:
            return
        self._said = says
        if fault is not None:
            outlives = "; the accounts that it had go on as before" if self._outlives else ""
            _logger.error("%s%s%s", self._whose, fault.cause, outlives)
            return
        if faulty:
            _logger.info("%s%s: read again", self._whose, self.source.path)
        for line in says[1]:
            _logger.warning("%s%s: %s", self._whose, self.source.path, line)
