"""A file of accounts into the store: read by all cores, put aside, and written in one transaction."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Protocol

from saslauthd_py.identity import Identity
from saslauthd_py.keying import Salts
from saslauthd_py.secret import Secret
from saslauthd_py.store import migrations, staging
from saslauthd_py.store.merging import Name, OnConflict, Wanted, Written
from saslauthd_py.store.staging import Staging
from saslauthd_py.store.store import Store
from saslauthd_py.transfer import processes
from saslauthd_py.transfer.converting import Complaint, Converter
from saslauthd_py.transfer.formats import Format, Source


class Progress(Protocol):
    """Where somebody may see how far it is."""

    def read(self, size: int) -> None:
        """So many bytes more of the file."""

    def writing(self) -> None:
        """All is read; the store is written."""


@dataclass(frozen=True, slots=True)
class Order:
    """What to import into which store, and how. `scram_rounds` None: no SCRAM keys are made of what comes in clear."""

    path: str
    format: Format
    scheme: str
    scram_rounds: int | None = None
    on_conflict: OnConflict = OnConflict.FAIL
    dry: bool = False


class Complaints:
    """The first ones, by line, and how many there are."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept: list[Complaint] = []
        self.count = self.lost = 0

    def add(self, complaint: Complaint) -> None:
        """Count it, and keep it if it is among the first."""
        self.count += 1
        self.lost += complaint.lost
        self._kept.append(complaint)
        if len(self._kept) > 2 * self._most + 1000:
            self._kept = self.first

    @property
    def first(self) -> list[Complaint]:
        """Those of the first lines, by line."""
        return sorted(self._kept)[: self._most]


@dataclass(frozen=True, slots=True)
class Imported:
    """What came of it. `nothing`: no account was to be found, or a name was there already and that was to be a failure."""

    written: Written
    complaints: Complaints
    passed: Counter[str] = field(default_factory=Counter)
    made: bool = False

    @property
    def nothing(self) -> bool:
        """Whether the store is as it was."""
        return not (self.written.added or self.written.replaced)


class _NothingToWrite(Exception):
    """Ends the making of a store: an empty one would tell everybody that the password is wrong, none at all that it is an outage."""


def run(order: Order, source: Source, progress: Progress, most: int) -> Imported:
    """Import all of the source; `most` complaints are kept. Raises StoreError, BadFile, passwords.UnknownScheme."""
    complaints, passed = Complaints(most), Counter[str]()
    made = not os.path.lexists(order.path)
    written = Written(0, 0, 0)
    try:
        with ExitStack() as stack:
            path = stack.enter_context(_place(order, made=made))
            salts = _salts(order, path, source)
            converter = Converter(order.format, order.scheme, salts, order.dry)
            converters = stack.enter_context(processes.started(converter))
            opened = staging.rehearsed(path) if order.dry or path is None else staging.opened(path, fresh=made)
            staged = stack.enter_context(opened)
            for found in converters.convert(source.blocks):
                staged.put(found.rows)
                passed += found.passed
                for complaint in found.complaints:
                    complaints.add(complaint)
                progress.read(found.size)
            progress.writing()
            written = _write(staged, order, source, complaints)
            if made and not order.dry and not written.added:
                raise _NothingToWrite
    except _NothingToWrite:
        made = False
    return Imported(written, complaints, passed, made and not order.dry)


def _write(staged: Staging, order: Order, source: Source, complaints: Complaints) -> Written:
    failure = order.on_conflict is OnConflict.FAIL

    def tell(name: Name, there: Identity) -> None:
        spelt = "" if there == name.identity else f", as {there}"
        if failure or spelt:
            complaints.add(Complaint(name.line, f"{name.identity}: exists already{spelt}", lost=failure))

    for later, first in staged.repeated():
        same = "" if later.identity == first.identity else f" ({first.identity}: one name, once case is folded)"
        complaints.add(Complaint(later.line, f"{later.identity}: repeats line {first.line}{same}, and the first counts"))
    return staged.write(Wanted(order.on_conflict, order.format.whole, source.decoy_key), tell, dry=order.dry)


@contextmanager
def _place(order: Order, *, made: bool) -> Iterator[str | None]:
    """Where to write: the store, or a new one that gets its name when all is in it; None: there is none, and nothing is to be made."""
    if not made:
        yield order.path
    elif order.dry:
        yield None
    else:
        with migrations.created(order.path) as fresh:
            yield fresh


def _salts(order: Order, path: str | None, source: Source) -> Salts | None:
    """Those that the store will have (rule F3): its own, or with its first accounts that of the store where they come from."""
    if order.scram_rounds is None or order.dry:
        return None
    key: Secret | None = source.decoy_key
    if path is not None:
        with Store.open(path) as store:
            if key is None or next(store.accounts(), None) is not None:
                key = store.decoy_key()
    return Salts(key or Secret(bytes(32)), order.scram_rounds)
