"""RFC 4013: SASLprep."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scramp.utils import ScramException, saslprep  # type: ignore[import-untyped]  # scramp has no type hints

from saslauthd_py.mechanisms.saslprep import Unprepared, prepare


@pytest.mark.parametrize(
    ("text", "prepared"),
    [
        ("I\u00adX", "IX"),  # RFC 4013 section 3, all of its examples
        ("user", "user"),
        ("USER", "USER"),
        ("\u00aa", "a"),
        ("\u2168", "IX"),
        ("foo\u1680bar", "foo bar"),
        ("\u00a0", " "),
        ("\u00ad", ""),
        ("", ""),
        ("u\u0308", "ü"),
        ("\u0627\u0661\u0628", "\u0627\u0661\u0628"),  # digits between Arabic letters
    ],
)
@pytest.mark.parametrize("stored", [True, False])
def test_a_string_is_prepared(text: str, prepared: str, *, stored: bool) -> None:
    assert prepare(text, stored=stored) == prepared


@pytest.mark.parametrize(
    "text",
    [
        "\u0007",  # RFC 4013 section 3
        "\u0627\u0031",  # the same
        "a\0b",
        "\u0085",
        "\ue000",
        "\ufdd0",
        chr(0xD800),
        "\ufffd",
        "\u2ff0",
        "\u200e",
        "\U000e0041",
        "\u0627a\u0628",
        "1\u0627",
    ],
)
@pytest.mark.parametrize("stored", [True, False])
def test_what_sasl_prohibits_is_refused_and_not_repeated(text: str, *, stored: bool) -> None:
    with pytest.raises(Unprepared) as refused:
        prepare(text, stored=stored)
    assert text not in str(refused.value)


def test_what_is_newer_than_unicode_3_2_is_refused_in_what_is_stored_alone() -> None:
    assert prepare("pass\U0001f511", stored=False) == "pass\U0001f511"
    with pytest.raises(Unprepared, match="newer"):
        prepare("pass\U0001f511", stored=True)


@given(st.text())
def test_what_is_prepared_is_prepared_for_good(text: str) -> None:
    try:
        prepared = prepare(text, stored=True)
    except Unprepared:
        return
    assert prepare(prepared, stored=True) == prepared


@given(st.text(st.characters(exclude_categories=["Cs"])) | st.text("aA1 \u00ad\u00a0\u0627\u0628\u0661\u2168\u200e\t\U0001f511"))
def test_another_implementation_prepares_as_this_one(text: str) -> None:
    try:
        theirs: str | None = saslprep(text)
    except ScramException:
        theirs = None
    try:
        ours: str | None = prepare(text, stored=True)
    except Unprepared:
        ours = None
    assert ours == theirs
