"""Names: split once, checked, folded into keys (rules B1, B5)."""

from __future__ import annotations

import unicodedata
from typing import Literal

import idna
import pytest
from hypothesis import given
from hypothesis import strategies as st

from saslauthd_py import identity
from saslauthd_py.identity import Identity, InvalidIdentity, Key

names = st.text(min_size=1, max_size=30).filter(
    lambda text: all(unicodedata.category(c) not in {"Cc", "Cf", "Zl", "Zp", "Cs"} for c in text)
)


@pytest.mark.parametrize(
    ("name", "realm", "expected"),
    [
        (b"alice", b"", Identity("alice")),
        (b"alice@example.test", b"", Identity("alice", "example.test")),
        (b"a@b@c", b"", Identity("a@b", "c")),
        (b"a@b", b"c", Identity("a@b", "c")),
        (b"alice", b"example.test", Identity("alice", "example.test")),
        (b"alice@", b"", Identity("alice")),
    ],
)
def test_b5_name_is_split_at_its_last_at_and_only_without_a_realm(name: bytes, realm: bytes, expected: Identity) -> None:
    assert identity.parse(name, realm) == expected


def test_b5_default_realm_is_taken_only_where_there_is_none() -> None:
    assert identity.parse(b"alice", b"", "example.test") == Identity("alice", "example.test")
    assert identity.parse(b"alice@other.test", b"", "example.test") == Identity("alice", "other.test")
    assert identity.parse(b"alice", b"other.test", "example.test") == Identity("alice", "other.test")


@pytest.mark.parametrize(
    "name",
    [
        b"", b"@example.test", b"al\xffice", b"al\nice", b"al\x00ice", b"al\x7fice", "al\u200dice".encode(), "al\u2028ice".encode(),
        "al\u00adice".encode(), b"\xed\xa0\x80", b"x" * 256, b"x@" + b"y" * 256, "ä".encode() * 128,
    ],
)  # fmt: skip
def test_b5_names_that_no_account_may_have_are_refused(name: bytes) -> None:
    with pytest.raises(InvalidIdentity) as caught:
        identity.parse(name)
    assert name.decode("utf-8", "replace")[:8] not in str(caught.value) or not name


def test_b5_longest_name_passes() -> None:
    assert identity.parse(b"x" * 255, b"y" * 255).local == "x" * 255


@given(st.binary(max_size=64), st.binary(max_size=64))
def test_b5_no_bytes_do_more_than_refuse(name: bytes, realm: bytes) -> None:
    try:
        parsed = identity.parse(name, realm)
        identity.key(parsed)
        identity.account(parsed)
    except InvalidIdentity:
        return
    assert parsed.local


@given(names)
def test_b5_name_reaches_backends_as_it_was_sent(name: str) -> None:
    assert identity.parse(name.encode(), b"example.test").local == name


def test_b5_key_folds_case_and_composition_and_keeps_case_where_told() -> None:
    composed, decomposed = Identity("Zoë", "Example.Test"), Identity("zoe\u0308", "example.test")
    assert identity.key(composed) == identity.key(decomposed) == Key("zoë", "example.test")
    assert identity.key(composed, fold_case=False) == Key("Zoë", "example.test")


@given(names)
def test_b5_folding_twice_changes_nothing(name: str) -> None:
    once = identity.key(Identity(name)).local
    assert identity.key(Identity(once)).local == once


def test_b5_realm_is_lower_cased_as_it_is_or_a_domain_name_of_uts_46() -> None:
    assert identity.fold_realm("MAIL_Host.Example") == "mail_host.example"
    assert identity.fold_realm("Bücher.example") == "xn--bcher-kva.example"
    assert identity.fold_realm("faß.example") == "xn--fa-hia.example"  # non-transitional: not fass.example
    with pytest.raises(InvalidIdentity):
        identity.fold_realm("bü cher.example")


def test_b1_account_counts_spellings_of_one_name_as_one() -> None:
    spellings = [Identity("alice", "example.test"), Identity("ALICE", "Example.TEST"), Identity("ａｌｉｃｅ", "example.test")]
    assert {identity.account(one) for one in spellings} == {"alice@example.test"}
    assert identity.account(Identity("alice")) != identity.account(Identity("alice", "example.test"))


@pytest.mark.parametrize(("one", "other"), [("a\u0345\uff9e", "a\u03b9\uff9e"), ("Straße", "STRASSE"), ("\u1e9e", "ss")])
def test_b1_names_with_one_key_are_one_account(one: str, other: str) -> None:
    assert identity.key(Identity(one)) == identity.key(Identity(other))
    assert identity.account(Identity(one)) == identity.account(Identity(other))


def test_names_that_fold_slowly_are_folded_once_for_all_who_ask_within_a_login(monkeypatch: pytest.MonkeyPatch) -> None:
    name, folded = Identity("\ufdfa" * 85, "example.test"), []
    normalize = unicodedata.normalize

    def counting(form: Literal["NFC", "NFD", "NFKC", "NFKD"], text: str) -> str:
        folded.append(form)
        return normalize(form, text)

    monkeypatch.setattr(unicodedata, "normalize", counting)
    first = identity.account(name)
    times = len(folded)
    assert identity.account(name) == first
    assert len(folded) == times > 0


def test_realm_that_is_no_domain_name_is_refused_each_time_and_looked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    looked_at, encode = [], idna.encode

    def counting(realm: str, **how: bool) -> bytes:
        looked_at.append(realm)
        return encode(realm, **how)

    monkeypatch.setattr(idna, "encode", counting)
    for _ in range(3):
        with pytest.raises(InvalidIdentity):
            identity.fold_realm("\u4e00." * 63)
    assert len(looked_at) == 1


@given(names, names)
def test_b1_account_follows_the_key(one: str, other: str) -> None:
    if identity.key(Identity(one)) == identity.key(Identity(other)):
        assert identity.account(Identity(one)) == identity.account(Identity(other))


@pytest.mark.parametrize(
    ("template", "asked", "expected"),
    [
        ("{local}@{realm}", Identity("alice", "example.test"), Identity("alice", "example.test")),
        ("{local}@{realm}", Identity("alice"), Identity("alice")),
        ("{local}", Identity("alice", "example.test"), Identity("alice")),
        ("{local}@mail.test", Identity("alice", "example.test"), Identity("alice", "mail.test")),
        ("{realm}-{local}", Identity("alice", "example.test"), Identity("example.test-alice")),
        ("{local}", Identity("a@b", "example.test"), Identity("a@b")),
        ("{local}@{realm}", Identity("{realm}", "example.test"), Identity("{realm}", "example.test")),
        ("{local}+{realm}", Identity("{realm}", "example.test"), Identity("{realm}+example.test")),
        ("%s{local}%%@100%", Identity("%(realm)s", "example.test"), Identity("%s%(realm)s%%", "100%")),
    ],
)
def test_login_template_fills_each_part_and_lets_no_name_move_into_the_other(template: str, asked: Identity, expected: Identity) -> None:
    assert identity.render(template, asked) == expected


@given(names, st.one_of(st.just(""), names.filter(lambda text: "@" not in text)))
def test_b1_identity_that_was_written_is_read_with_the_same_text(local: str, realm: str) -> None:
    written = str(Identity(local, realm))
    assert str(identity.written(written)) == written


@pytest.mark.parametrize("identity_", [Identity("@"), Identity("a@"), Identity("@b"), Identity("a@b"), Identity("x" * 255, "y" * 255)])
def test_b1_every_identity_can_be_written_and_read(identity_: Identity) -> None:
    assert str(identity.written(str(identity_))) == str(identity_)
