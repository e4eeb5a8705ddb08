"""Backends whose changes are seen, waited for."""

from __future__ import annotations

import trio

from saslauthd_py.backend import BackendBusy, Watched


async def settled(it: Watched) -> list[str] | None:
    """What `changes` says as soon as no file is being read."""
    while True:
        try:
            changed = it.changes()
        except BackendBusy:
            await trio.sleep(0.01)
        else:
            return None if changed is None else sorted(changed)
