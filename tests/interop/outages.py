"""A store that cannot be read for a while, and is as before at the end of the block, whatever happens in it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from saslauthd_py.cache import OLDEST_LOOK
from tests.interop.daemon import Site


@contextmanager
def store_moved_away(site: Site) -> Iterator[None]:
    away = site.directory / "users.db.away"
    site.store.rename(away)
    try:
        _past_the_last_look()
        yield
    finally:
        away.rename(site.store)


@contextmanager
def store_overwritten(site: Site) -> Iterator[None]:
    """With garbage of the same size, in the file itself."""
    content = site.store.read_bytes()
    _write_into(site, b"\xa5" * len(content))
    try:
        _past_the_last_look()
        yield
    finally:
        _write_into(site, content)


def _write_into(site: Site, content: bytes) -> None:
    with site.store.open("r+b", buffering=0) as file:
        file.write(content)


def _past_the_last_look() -> None:
    """Rule C6: what the daemon saw is good for so long, and a request on an open connection comes sooner than that."""
    time.sleep(OLDEST_LOOK)
