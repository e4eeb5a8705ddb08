"""A whole password file as an index: names, duplicates, line ends, what is no such file, and what changed between two."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from saslauthd_py import identity, password_lines
from saslauthd_py.backends.passwd_file import index
from saslauthd_py.backends.passwd_file.index import EmptyFile, Index, NoPasswdFile
from saslauthd_py.identity import Identity, InvalidIdentity
from saslauthd_py.watching.watched import MOST_NAMED
from tests.backends.passwd_files import line, sha


def build(text: str | bytes, form: str = "auto", *, fold_case: bool = True) -> Index:
    return index.build(text.encode() if isinstance(text, str) else text, form, fold_case=fold_case)


def text_of(built: Index, name: str, *, fold_case: bool = True) -> str | None:
    found = built.find(identity.key(identity.split(name), fold_case))
    return None if found is None else found.text


def test_line_is_found_with_its_number_whatever_its_end() -> None:
    built = build("# mail\r\n\r\n:nobody\nalice:1\r\nbob:2\ncarol:3")
    for name, number in (("alice", 4), ("bob", 5), ("carol", 6)):
        found = built.find(identity.key(Identity(name)))
        assert found is not None
        assert (found.text, found.number) == (f"{name}:{number - 3}", number)
    assert len(built) == 3
    assert built.complaints == ()


def test_mark_of_byte_order_is_no_part_of_the_first_name() -> None:
    assert text_of(build("\ufeffalice:x\n"), "alice") == "alice:x"


def test_name_is_found_by_its_key() -> None:
    built = build(f"Alice@Example.TEST:{sha('x')}\nJosé@bücher.example:{sha('x')}\n")
    assert text_of(built, "alice@example.test")
    assert text_of(built, "JOSE\u0301@xn--bcher-kva.example")
    assert text_of(built, "alice") is None
    sharp = build(f"Alice@Example.TEST:{sha('x')}\n", fold_case=False)
    assert text_of(sharp, "alice@example.test", fold_case=False) is None
    assert text_of(sharp, "Alice@example.test", fold_case=False)


def test_local_part_with_an_at_is_not_another_realm() -> None:
    built = build(line("a@b@c", "x"))
    assert built.find(identity.key(Identity("a@b", "c")))
    assert built.find(identity.key(Identity("a", "b@c"))) is None


def test_first_of_two_lines_counts_and_the_second_is_told() -> None:
    built = build(line("alice", "one") + line("bob", "x") + line("ALICE", "two") + line("alice", "three"))
    assert text_of(built, "alice") == line("alice", "one").strip()
    (told,) = built.complaints
    assert told.startswith("line 3 repeats the name of line 1")
    assert "(2 such lines)" in told
    assert "lice" not in told.replace("such", "")


def test_d8_name_that_none_can_have_costs_its_line_alone() -> None:
    built = build(b"al\x1bice:x\n" + b"\xff\xfe:y\n" + line("bob", "x").encode())
    assert text_of(built, "bob")
    (told,) = built.complaints
    assert told == "line 1 has a name that no account can have, and is skipped (2 such lines)"


def test_d8_bytes_that_are_no_utf8_elsewhere_in_a_line_are_no_fault() -> None:
    built = build(f"alice:{sha('x')}:1:1:Andr".encode() + b"\xe9:/home:/bin/sh\n")
    found = text_of(built, "alice")
    assert found is not None
    assert password_lines.read(found, "auto").identity == Identity("alice")


@pytest.mark.parametrize(
    "text",
    [
        b"\x7fELF\x02\x01\x01\0\0\0alice:x\n",
        "alice:x\n".encode("utf-16"),
        b"<!DOCTYPE html>\n<html>\n<a href='http://example.test/'>moved</a>\n</html>\n",
        b"not a password file\n",
        b"\xff\xfe\xfd\n",
    ],
)
def test_d8_something_else_altogether_is_no_password_file(text: bytes) -> None:
    for form in ("auto", "htpasswd", "dovecot"):
        with pytest.raises(NoPasswdFile):
            build(text, form)


@pytest.mark.parametrize("text", ["", "\n", " \r\n\n"])
def test_nothing_at_all_is_told_apart_from_no_accounts(text: str) -> None:
    with pytest.raises(EmptyFile, match="comment"):
        build(text)
    assert len(build("# nobody yet\n")) == 0


def test_d8_bad_hashes_do_not_make_a_file_something_else() -> None:
    assert len(build("alice:{NOSUCH}x\n")) == 1


def test_profiles_count_the_hashes_of_a_sample() -> None:
    profiles = build(line("a", "x") + line("b", "x") + "c:$1$saltsalt$qjXMvbEw8oaL.CzflDtaK/\nd:*\ne:{NOSUCH}x\n").profiles
    assert profiles.most_common(1)[0][1] == 2
    assert sum(profiles.values()) == 3


def test_change_is_named() -> None:
    old = build("# one\n" + line("alice", "1") + line("bob", "1") + line("carol", "1"))
    new = build(line("carol", "1") + "# moved\r\n" + line("alice", "2").replace("\n", "\r\n") + line("dave", "1"))
    assert new.changed(old) == (Identity("alice"), Identity("dave"), Identity("bob"))
    assert new.changed(new) == ()
    assert build(line("carol", "1").replace("\n", "\r\n")).changed(build(line("carol", "1"))) == ()


def test_more_changes_than_can_be_named_are_everybody_s() -> None:
    many = "".join(f"u{number}:{sha('x')}\n" for number in range(MOST_NAMED + 1))
    assert build(many).changed(build("# none\n")) is None
    assert len(build(many.split("\n", 1)[1]).changed(build("# none\n")) or ()) == MOST_NAMED


def test_hundred_thousand_lines_are_found_and_take_little_more_memory_than_the_file() -> None:
    hashed = "$6$saltsaltsaltsalt$" + "a" * 86
    text = "".join(f"user{number}@example.test:{hashed}\n" for number in range(100_000)).encode()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        built = build(text)
        kept = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert len(built) == 100_000
    assert kept < 250 * 100_000
    for number in (0, 49_999, 99_999):
        found = built.find(identity.key(Identity(f"user{number}", "example.test")))
        assert found is not None
        assert found.number == number + 1
        assert found.text == f"user{number}@example.test:{hashed}"
    assert built.find(identity.key(Identity("user100000", "example.test"))) is None


@given(
    st.one_of(
        st.binary(),
        st.lists(st.sampled_from([b"alice", b"ALICE@x", b":", b"\n", b"\r\n", b"#", b" ", sha("x").encode(), b"\xc3\xa9", b"\xff"])).map(
            b"".join
        ),
    )
)
def test_any_file_is_an_index_of_its_lines_or_none(text: bytes) -> None:
    try:
        built = build(text)
    except NoPasswdFile:
        return
    found = 0
    for number, raw in enumerate(text.removeprefix(b"\xef\xbb\xbf").split(b"\n"), 1):
        try:
            key = identity.key(identity.split(password_lines.name(raw.decode("utf-8", "surrogateescape"))))
        except InvalidIdentity:
            continue
        there = built.find(key)
        assert there is not None
        assert there.number <= number
        found += there.number == number
    assert found == len(built)
