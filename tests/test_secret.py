"""A presented secret shows itself nowhere."""

from __future__ import annotations

import copy
import pickle
import traceback

import pytest

from saslauthd_py.secret import Secret

HUSH = b"correct horse"


def test_secret_is_in_no_text() -> None:
    secret = Secret(HUSH)
    texts = [repr(secret), str(secret), f"{secret}", f"{secret!r:>20}", repr([secret]), repr({"secret": secret})]
    assert not any("horse" in text for text in texts)


def test_secret_is_not_in_a_traceback() -> None:
    try:
        raise ValueError(Secret(HUSH))
    except ValueError:
        assert "horse" not in traceback.format_exc()


def test_secret_is_neither_pickled_nor_hashed() -> None:
    with pytest.raises(TypeError):
        pickle.dumps(Secret(HUSH))
    with pytest.raises(TypeError):
        copy.copy(Secret(HUSH))
    with pytest.raises(TypeError):
        hash(Secret(HUSH))


def test_secret_compares_by_value_and_gives_it_out_when_asked() -> None:
    assert Secret(HUSH) == Secret(bytes(HUSH))
    assert Secret(HUSH) != Secret(b"other")
    assert Secret(HUSH) != HUSH
    assert Secret(HUSH).reveal() == HUSH
    assert len(Secret(HUSH)) == len(HUSH)
