"""Which mechanisms there are, what decides them, and how they are asked for."""

from __future__ import annotations

import pytest

from saslauthd_py.keys import Hash
from saslauthd_py.mechanisms.exchange import Challenge
from saslauthd_py.mechanisms.table import MECHANISMS, Need, named


def test_the_strongest_stands_first_and_each_says_what_it_needs() -> None:
    assert [(mechanism.name, mechanism.need, mechanism.function) for mechanism in MECHANISMS.values()] == [
        ("SCRAM-SHA-256", Need.KEYS, Hash.SHA256),
        ("SCRAM-SHA-1", Need.KEYS, Hash.SHA1),
        ("EXTERNAL", Need.CERTIFICATE, None),
        ("PLAIN", Need.PASSWORD, None),
        ("LOGIN", Need.PASSWORD, None),
    ]


@pytest.mark.parametrize("name", ["PLAIN", "plain", "Plain", "scram-sha-256"])
def test_a_name_is_found_however_it_is_spelled(name: str) -> None:
    found = named(name)
    assert found is not None
    assert found.name == name.upper()


@pytest.mark.parametrize("name", ["", "PLAIN ", "CRAM-MD5", "SCRAM-SHA-256-PLUS", "PLA\u0131N"])
def test_what_is_not_offered_is_not_found(name: str) -> None:
    assert named(name) is None


@pytest.mark.parametrize(("name", "first"), [(name, b"Username:" if name == "LOGIN" else b"") for name in MECHANISMS])
def test_each_begins_with_a_challenge_where_there_is_no_initial_response(name: str, first: bytes) -> None:
    step = MECHANISMS[name].begin(None)
    assert isinstance(step, Challenge)
    assert step.message == first
