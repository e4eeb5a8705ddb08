"""What was seen of late: bounded by number and age, and young again when it is seen again (rule D3)."""

from __future__ import annotations

from saslauthd_py.admission.macs import Macs

SECOND = 1_000_000_000


def test_d3_what_is_seen_again_outlives_what_was_seen_after_it() -> None:
    macs = Macs(10, 2)
    for now, mac in enumerate([b"daily", b"once", b"daily", b"new"]):
        macs.add(mac, now * SECOND)
    assert [mac for mac in (b"daily", b"once", b"new") if macs.holds(mac, 4 * SECOND)] == [b"daily", b"new"]


def test_d3_nothing_is_kept_or_held_for_longer_than_its_time() -> None:
    macs = Macs(10, 100)
    for now, mac in enumerate([b"first", b"second", b"first"]):
        macs.add(mac, now * SECOND)
    assert macs.holds(b"second", 11 * SECOND - 1)
    assert not macs.holds(b"second", 11 * SECOND)
    macs.add(b"third", 11 * SECOND)
    assert len(macs) == 2
    macs.add(b"third", 1000 * SECOND)
    assert len(macs) == 1
