"""RFC 8265 section 4.3: what OpaqueString makes of a password."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from saslauthd_py.mechanisms.opaque_string import prepare
from saslauthd_py.mechanisms.saslprep import Unprepared


@pytest.mark.parametrize(
    ("text", "prepared"),
    [
        ("correct horse battery staple", "correct horse battery staple"),
        ("Correct Horse Battery Staple", "Correct Horse Battery Staple"),
        ("πßå", "πßå"),
        ("Jack of ♦s", "Jack of ♦s"),
        ("foo\u1680bar", "foo bar"),
        ("e\u0301", "é"),
        ("\u2168", "\u2168"),
        ("می\u200cخواهم", "می\u200cخواهم"),
    ],
)
def test_examples_of_the_rfc_and_what_nfc_alone_does(text: str, prepared: str) -> None:
    assert prepare(text) == prepared


@pytest.mark.parametrize("text", ["", "my cat is a \tby", "a\0", "\u00adé", "\ue000", "\ufdd0", "é\u202e"])
def test_what_is_not_of_the_class_is_refused_without_showing_it(text: str) -> None:
    with pytest.raises(Unprepared) as refused:
        prepare(text)
    assert "cat" not in str(refused.value)


@given(st.text())
def test_any_text_is_refused_or_prepared_once_for_all(text: str) -> None:
    try:
        prepared = prepare(text)
    except Unprepared:
        return
    assert prepare(prepared) == prepared
    assert unicodedata.is_normalized("NFC", prepared)
