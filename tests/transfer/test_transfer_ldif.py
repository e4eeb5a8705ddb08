from __future__ import annotations

import base64
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from saslauthd_py.credential import Encoding, Restrictions
from saslauthd_py.identity import Identity
from saslauthd_py.passwords import BrokenRecord
from saslauthd_py.secret import Secret
from saslauthd_py.transfer import ldif
from saslauthd_py.transfer.formats import Found, Passed
from saslauthd_py.transfer.ldif import Ldif
from tests.transfer.files import ARGON2ID, SCRAM, SSHA, found

NO_PASSWORD = Passed("without userPassword")
HASHED = Encoding("ssha", SSHA)


def encoded(text: str | bytes) -> str:
    return base64.b64encode(text if isinstance(text, bytes) else text.encode()).decode()


def entry(*lines: str) -> str:
    return "\n".join(("dn: uid=alice,dc=example", *lines))


def the(form: Ldif, path: Path, text: str) -> Found:
    (read,) = found(form, path, text).values()
    assert isinstance(read, Found), read
    return read


def test_entries_are_read_folded_in_base64_and_with_comments(tmp_path: Path) -> None:
    whole = f"userPassword:: {encoded(SSHA)}"
    text = f"""version: 1

# people
# and a comment that
  goes on
dn: ou=people,dc=example
ou: people

dn:: {encoded("uid=älice,dc=example")}
cn: Alice
UID;lang-de:: {encoded("älice")}
{whole[:20]}
 {whole[20:30]}
 {whole[30:]}


dn: uid=bob,dc=example
uid: bob
mail: Bob@Example.org
userPassword: {SSHA}

# search result
search: 2
result: 0 Success
"""
    read = found(Ldif("example.net"), tmp_path / "ldif", text)
    names = {line: one.account.identity for line, one in read.items() if isinstance(one, Found)}
    assert names == {9: Identity("älice", "example.net"), 17: Identity("bob", "example.net")}
    assert read[3] == NO_PASSWORD
    assert all(one.account.secrets[0].encodings == (HASHED,) for one in read.values() if isinstance(one, Found))
    by_mail = found(Ldif("example.net", "MAIL"), tmp_path / "ldif")
    assert by_mail[9] == "an entry with userPassword and without mail; see --name-attribute"
    bob = by_mail[17]
    assert isinstance(bob, Found)
    assert bob.account.identity == Identity("Bob", "Example.org")


def test_line_ends_of_another_system_make_no_difference(tmp_path: Path) -> None:
    text = entry("uid: alice", f"userPassword: {SSHA}") + "\n\n" + entry("uid: bob", f"userPassword: {SSHA}") + "\n"
    read = found(Ldif(""), tmp_path / "ldif", text.replace("\n", "\r\n"))
    assert [one.account.identity for one in read.values() if isinstance(one, Found)] == [Identity("alice"), Identity("bob")]
    assert list(read) == [1, 5]


def test_password_in_clear_is_told_from_a_hash_and_a_hash_is_never_taken_for_one(tmp_path: Path) -> None:
    form, path = Ldif(""), tmp_path / "ldif"
    assert the(form, path, entry("uid: alice", "userPassword: ge heim")).clear == {0: Secret(b"ge heim")}
    assert the(form, path, entry("uid: alice", f"userPassword:: {encoded(bytes([255, 1]))}")).clear == {0: Secret(b"\xff\x01")}
    assert the(form, path, entry("uid: alice", "userPassword: {CLEARTEXT}geheim")).clear == {0: Secret(b"geheim")}
    bare = the(form, path, entry("uid: alice", f"userPassword: {ARGON2ID}"))
    assert bare.clear == {}
    assert bare.account.secrets[0].encodings == (Encoding("argon2id", ARGON2ID),)
    for broken in ("{SASL}alice@EXAMPLE", "{FOO}x", "$6$malformed", ""):
        assert isinstance(found(form, path, entry("uid: alice", f"userPassword: {broken}"))[1], str)


def test_of_several_passwords_the_strongest_hash_and_the_keys_are_taken_and_the_rest_is_told(tmp_path: Path) -> None:
    values = ("geheim", SSHA, "{FOO}x", f"{{ARGON2}}{ARGON2ID}", SCRAM, "{MD5}XUFAKrxLKna5cZ2REBfFkg==")
    read = the(Ldif(""), tmp_path / "ldif", entry("uid: alice", *(f"userPassword: {value}" for value in values)))
    assert read.account.secrets[0].encodings == (Encoding("argon2id", ARGON2ID), Encoding("scram-sha-256", SCRAM))
    assert read.clear == {}
    assert read.notes == ("4 of its values of userPassword left out: an account has one password (unknown scheme 'FOO')",)
    read = the(Ldif(""), tmp_path / "ldif", entry("uid: alice", "userPassword: geheim", f"userPassword: {SCRAM}"))
    assert (read.account.secrets[0].encodings, read.clear) == ((), {0: Secret(b"geheim")})
    assert read.notes == ("1 of its values of userPassword left out: an account has one password",)


def test_of_several_names_the_first_is_taken_and_that_is_told(tmp_path: Path) -> None:
    read = the(Ldif(""), tmp_path / "ldif", entry("uid: alice", "uid: alias", f"userPassword: {SSHA}"))
    assert read.account.identity == Identity("alice")
    assert read.notes == ("2 values of uid: the first is the name, and the others are none",)


@pytest.mark.parametrize(
    ("lines", "locked", "expires"),
    [
        (("pwdAccountLockedTime: 000001010000Z",), "locked in the directory it was imported from (pwdAccountLockedTime)", None),
        (("nsAccountLock: TRUE",), "locked in the directory it was imported from (nsAccountLock)", None),
        (("nsAccountLock: false",), None, None),
        (("shadowExpire: 20000",), None, 20000.0),
        (("shadowLastChange: 19000", "shadowMax: 90", "shadowExpire: -1"), None, 19091.0),
        (("shadowLastChange: 19000", "shadowMax: 99999"), None, None),
    ],
)
def test_locks_and_ends_of_directories_are_taken_over(
    lines: tuple[str, ...], locked: str | None, expires: float | None, tmp_path: Path
) -> None:
    read = the(Ldif(""), tmp_path / "ldif", entry("uid: alice", f"userPassword: {SSHA}", *lines)).account
    assert read.locked == locked
    assert read.secrets[0].restrictions == Restrictions(expires=None if expires is None else expires * 86400)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("uid: alice\nuserPassword: x", "no LDIF: an entry that does not begin with its dn"),
        (f"dn: uid=a\nuid: alice\ndn: uid=b\nuserPassword: {SSHA}", "no LDIF: two entries without an empty line between them"),
        (entry("no colon"), "no LDIF: a line without a colon"),
        (entry("changetype: modify", "replace: userPassword", "userPassword: x", "-"), "a change to an entry, not an entry"),
        (entry("uid: alice", "userPassword:: %%%"), "userpassword is not base64"),
        (entry("uid: alice", "userPassword:< file:///etc/passwd"), "userPassword is in another file"),
        (entry(f"uid:: {encoded(bytes([255]))}", f"userPassword: {SSHA}"), "name is not UTF-8"),
        (entry("uid: alice", f"userPassword: {SSHA}", "shadowExpire: soon"), "shadowexpire is no number of days"),
        (entry("uid: alice", "jpegPhoto: " + "x" * (2 << 20), f"userPassword: {SSHA}"), "too long"),
        (entry("uid: alice", *(["x: " + "y" * 1000] * 3000), f"userPassword: {SSHA}"), "too long"),
    ],
)
def test_what_is_no_account_is_told_with_its_line_and_the_next_one_is_read(text: str, fault: str, tmp_path: Path) -> None:
    after = entry("uid: bob", f"userPassword: {SSHA}")
    read = found(Ldif(""), tmp_path / "ldif", f"# before\n\n{text}\n\n{after}\n")
    told = read[3]
    assert isinstance(told, str)
    assert told.startswith(fault)
    (last,) = [one for one in read.values() if isinstance(one, Found)]
    assert last.account.identity == Identity("bob")
    assert list(read) == [3, 3 + text.count("\n") + 2]


def test_password_in_a_text_that_is_no_ldif_is_in_no_complaint(tmp_path: Path) -> None:
    read = found(Ldif(""), tmp_path / "ldif", entry("uid: alice", "userPassword:: geheim!", "geheim"))
    assert "geheim" not in str(read)


VALUES = st.dictionaries(
    st.sampled_from(["cn", "uid", "mail", "description"]), st.lists(st.binary(max_size=200), min_size=1, max_size=3), max_size=4
)


@given(VALUES, st.integers(2, 76), st.randoms(use_true_random=False))
def test_entry_that_is_written_in_any_of_the_standard_s_ways_is_read_the_same(
    values: Mapping[str, list[bytes]], width: int, chance: object
) -> None:
    lines = [b"dn: uid=x"]
    for attribute, some in values.items():
        lines += [b"%s:: %s" % (attribute.encode(), base64.b64encode(value)) for value in some]
    folded = b"\n".join(b"\n ".join([line[:width], *(line[at : at + width] for at in range(width, len(line), width))]) for line in lines)
    assert ldif.attributes(folded) == {"dn": [b"uid=x"], **values}


@given(st.binary(max_size=300))
def test_no_text_makes_the_reader_fail_in_another_way(text: bytes) -> None:
    for whole in (text, b"dn: x\n" + text, b"dn: x\nuid: alice\nuserPassword: " + text.replace(b"\n", b"")):
        with suppress(BrokenRecord):
            assert all(ldif.attributes(whole).values())


@given(st.lists(st.binary(max_size=60) | st.sampled_from([SSHA.encode(), SCRAM.encode(), b"{PLAIN}x", b"clear"]), min_size=1, max_size=5))
def test_no_set_of_passwords_loses_a_value_untold(values: list[bytes]) -> None:
    try:
        encodings, clear, notes = ldif.passwords_of(values)
    except BrokenRecord:
        return
    taken = len(encodings) + (clear is not None)
    assert taken >= 1
    assert (taken == len(values)) == (notes == ())
