"""What was seen of late, remembered by MAC: no secret can be got back from it, or even compared with, without the key."""

from __future__ import annotations

from collections import OrderedDict


class Macs:
    """At most `most`, the oldest go first, none for longer than `seconds`. Times are whole nanoseconds."""

    def __init__(self, seconds: int, most: int) -> None:
        self._life = seconds * 1_000_000_000
        self._most = most
        self._since: OrderedDict[bytes, int] = OrderedDict()

    def __len__(self) -> int:
        return len(self._since)

    def holds(self, mac: bytes, now: int) -> bool:
        """Whether it was added less than `seconds` ago."""
        since = self._since.get(mac)
        return since is not None and now - since < self._life

    def add(self, mac: bytes, now: int) -> None:
        """Remember it from now on."""
        since = self._since
        since[mac] = now
        since.move_to_end(mac)
        while len(since) > self._most or now - next(iter(since.values())) >= self._life:
            since.popitem(last=False)

    def discard(self, mac: bytes) -> None:
        """Forget it, if it is there."""
        self._since.pop(mac, None)
