"""Whatever stands in a record: False or BrokenRecord, never a match, never another exception, never for long."""

from __future__ import annotations

from contextlib import suppress

from hypothesis import given, reject, settings
from hypothesis import strategies as st

from saslauthd_py import passwords
from saslauthd_py.credential import Encoding
from saslauthd_py.passwords import SCHEMES, BrokenRecord
from saslauthd_py.secret import Secret
from tests.passwords.password_vectors import CHEAP, VECTORS, Vector

AFFORDABLE = 50
"""A test does at most this part of the work that a record may ask for; what it may ask for is shown in test_password_limits."""

letters = st.sampled_from("$./09AZaz=,_*!:\\ \n\0ü\ud800") | st.characters()
vectors = st.sampled_from(CHEAP)
schemes = st.sampled_from([*SCHEMES, "foo", ""])


@st.composite
def mutilated(draw: st.DrawFn) -> tuple[Vector, str]:
    """A record with a piece of it cut out, replaced or put in."""
    vector = draw(st.sampled_from(VECTORS))
    start = draw(st.integers(0, len(vector.text)))
    end = draw(st.integers(start, min(start + 4, len(vector.text))))
    piece = draw(st.text(letters, max_size=4))
    return vector, vector.text[:start] + piece + vector.text[end:]


def outcome(encoding: Encoding, secret: bytes) -> bool | None:
    """As `verify`; None for a broken record, whose text is not told. Rejects what would take the test too long."""
    with suppress(BrokenRecord):
        if passwords.cost(encoding).work > max(1000, SCHEMES[encoding.scheme].most_work // AFFORDABLE):
            reject()
    told = ""
    try:
        return passwords.verify(encoding, Secret(secret))
    except BrokenRecord as error:
        told = str(error)
    assert len(encoding.text) < 8 or encoding.text not in told
    return None


@settings(deadline=None)
@given(mutilated(), st.binary(max_size=20))
def test_mutilated_record_matches_no_wrong_secret(case: tuple[Vector, str], secret: bytes) -> None:
    vector, text = case
    if secret == vector.secret.encode():
        reject()
    assert outcome(Encoding(vector.scheme, text), secret) in (False, None)


@settings(deadline=None)
@given(vectors, st.data())
def test_record_cut_anywhere_does_not_even_match_its_own_secret(vector: Vector, data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(vector.text) - 1))
    assert outcome(Encoding(vector.scheme, vector.text[:cut]), vector.secret.encode()) in (False, None)
    assert outcome(Encoding(vector.scheme, vector.text[cut + 1 :]), vector.secret.encode()) in (False, None)


@settings(deadline=None)
@given(schemes, st.text(letters), st.binary(max_size=20))
def test_any_text_matches_no_secret(scheme: str, text: str, secret: bytes) -> None:
    assert outcome(Encoding(scheme, text), secret) in (False, None)
    assert outcome(Encoding(scheme, text), text.encode(errors="replace")) in (False, None)


@settings(deadline=None)
@given(
    st.text(letters) | mutilated().map(lambda case: case[1]),
    st.sampled_from(["", "{CRYPT}", "{ARGON2}", "{foo}", "{", "{PLAIN}", "{MD5}", "{SSHA.b64}", "{CLEAR.HEX}", "{APR1}", "{PBKDF2}"]),
)
def test_any_text_is_recognised_or_broken(text: str, label: str) -> None:
    try:
        encoding = passwords.recognise(label + text)
    except BrokenRecord:
        return
    assert encoding.text.isascii()
    assert SCHEMES[encoding.scheme].parameters(encoding.text) is not None
    assert passwords.recognise(encoding.text) == encoding
    assert passwords.recognise(passwords.labelled(encoding)) == encoding


@given(st.text(letters))
def test_text_without_a_label_is_never_the_password_itself(text: str) -> None:
    try:
        scheme = passwords.recognise(text).scheme
    except BrokenRecord:
        return
    assert scheme != "plain" or text.upper().startswith("{")


@given(st.text() | st.from_regex(r"[a-z0-9-]+( [a-zA-Z]+=[0-9]+(,[a-zA-Z]+=[0-9]+)*)?", fullmatch=True))
def test_any_profile_has_a_decoy_of_it_or_none(profile: str) -> None:
    try:
        encoding = passwords.decoy(profile)
    except BrokenRecord:
        return
    assert passwords.cost(encoding).profile == profile
