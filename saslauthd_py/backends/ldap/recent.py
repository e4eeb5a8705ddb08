"""What was found lately: bounded, by its age alone."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

import trio

_Key = TypeVar("_Key", bound=Hashable)
_Found = TypeVar("_Found")


class Recent(Generic[_Key, _Found]):
    """What belongs to a key, for `seconds` from the time at which it was asked for. Looking does not make it younger. 0: nothing is kept.

    Over `most`, the oldest goes.
    """

    def __init__(self, seconds: float, most: int) -> None:
        self._seconds = seconds
        self._most = most
        self._found: OrderedDict[_Key, tuple[_Found, float]] = OrderedDict()
        self._cleared = float("-inf")

    def __len__(self) -> int:
        return len(self._found)

    def find(self, key: _Key) -> _Found | None:
        """What was asked for at most `seconds` ago."""
        found = self._found.get(key)
        if found is None or trio.current_time() - found[1] > self._seconds:
            return None
        return found[0]

    def keep(self, key: _Key, found: _Found, asked: float) -> None:
        """`asked`: the time before the question. An answer to a later question is not replaced by this one, however late it comes."""
        before = self._found.get(key)
        if not self._seconds or asked <= self._cleared or (before is not None and before[1] > asked):
            return
        self._found[key] = found, asked
        self._found.move_to_end(key)
        if len(self._found) > self._most:
            self._found.popitem(last=False)

    def drop(self, key: _Key) -> None:
        """Nothing belongs to it any more."""
        self._found.pop(key, None)

    def clear(self) -> None:
        """Nothing belongs to any key, nor will what has been asked for by now and is not answered yet."""
        self._cleared = trio.current_time()
        self._found.clear()
