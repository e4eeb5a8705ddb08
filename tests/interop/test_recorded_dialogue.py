"""The bytes that a real Postfix 3.7 with libsasl 2.1.28 sent to a stock saslauthd, and what it got back: ours must be the same bytes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.interop.daemon import listener, new_site
from tests.interop.mux import exchange

GOOD = "0005616c6963650003707731 0004736d7470 000c6578616d706c652e74657374"
WRONG = "0005616c696365000470773178 0004736d7470 000c6578616d706c652e74657374"
UNKNOWN = "00066e6f737563680003707731 0004736d7470 000c6578616d706c652e74657374"
OK, NO = "00024f4b", "00024e4f"
DIALOGUE = [(GOOD, OK), (GOOD, OK), (WRONG, NO), (WRONG, NO), (UNKNOWN, NO), (GOOD, OK)]


@pytest.fixture(scope="module")
def mux(machine: Path) -> Iterator[Path]:
    with new_site(machine) as site:
        site.configure([listener(site.mux)])
        site.add("alice@example.test", "pw1")
        with site.serving():
            yield site.mux


def test_recorded_postfix_dialogue_gets_the_same_bytes(mux: Path) -> None:
    for sent, received in DIALOGUE:
        assert exchange(mux, bytes.fromhex(sent)).hex() == received


def test_fifth_field_of_unreleased_cyrus_changes_no_byte(mux: Path) -> None:
    client = b"192.0.2.1;4711"
    fifth = len(client).to_bytes(2, "big") + client
    for sent, received in DIALOGUE:
        assert exchange(mux, bytes.fromhex(sent) + fifth).hex() == received
