"""Berkeley DB's hash files: against its own programs, in both byte orders; and whatever bytes there are, records or one SasldbError."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from saslauthd_py.sasldb import SasldbError, berkeley_hash
from tests.sasldb.sasldbs import PAGE, SMALL, Damage, dumped, hash_page, key, loaded, meta, put, remove_user, set_password, small, users


def read(file: bytes) -> list[tuple[bytes, bytes]]:
    assert berkeley_hash.recognises(file)
    return list(berkeley_hash.records(file))


@pytest.mark.peer("saslpasswd2", "berkeleydb")
def test_what_saslpasswd2_wrote_is_read_as_berkeley_db_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "sasldb2"
    long = bytes(range(1, 256)) * 8  # saslpasswd2 takes 2048 bytes; beyond a quarter of a page they go to one of their own
    for number in range(150):
        set_password(path, f"user{number}", b"pw%d" % number)
    for number in range(10):
        set_password(path, f"user{number}", long + b"%d" % number)
    for number in range(5, 20):
        remove_user(path, f"user{number}")
    set_password(path, "user7", b"again", "other.test")
    found = read(path.read_bytes())
    assert found == dumped(path)
    wanted = {(key(f"user{number}"), long + b"%d" % number if number < 5 else b"pw%d" % number) for number in [*range(5), *range(20, 150)]}
    assert set(found) == wanted | {(key("user7", "other.test"), b"again")}


@pytest.mark.peer("berkeleydb")
@pytest.mark.parametrize("order", ["db_lorder=1234", "db_lorder=4321"])
@pytest.mark.parametrize("more", [(), ("db_pagesize=512",), ("db_pagesize=65536",), ("chksum=1",), ("h_ffactor=2",)])
def test_thousands_of_users_in_both_byte_orders(order: str, more: tuple[str, ...], tmp_path: Path) -> None:
    records = [*users(4000), *((key(f"long{number}"), bytes([number]) * 40_000) for number in range(1, 20))]
    records.append((key("n" * 9000), b"a key off the page"))
    path = loaded(tmp_path / "sasldb2", records, order, *more)
    found = read(path.read_bytes())
    assert found == dumped(path)
    assert sorted(found) == sorted(records)


@pytest.mark.peer("berkeleydb")
def test_a_database_without_records_is_one(tmp_path: Path) -> None:
    assert read(loaded(tmp_path / "sasldb2", []).read_bytes()) == []


@pytest.mark.peer("berkeleydb")
def test_duplicates_are_refused_as_libsasl_never_writes_them(tmp_path: Path) -> None:
    path = loaded(tmp_path / "sasldb2", [(b"k", b"1"), (b"k", b"2")], "duplicates=1")
    with pytest.raises(SasldbError, match="of a kind that no sasldb2 has"):
        read(path.read_bytes())


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("version", [7, 8, 9, 10])
def test_by_hand_made_file_is_read(order: str, version: int) -> None:
    assert read(small(order, version=version)) == SMALL


def test_a_page_that_was_never_written_is_an_empty_bucket() -> None:
    assert read(meta("<", 1, 0) + bytes(PAGE)) == []


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (put(16, "<I", 6), "version 6"),
        (put(24, "B", 1), "encrypted"),
        (put(20, "<I", 1000), "makes no sense"),
        (put(25, "B", 9), "makes no sense"),
        (put(48, "<I", 2), "several databases"),
        (put(72, "<I", 5), "6 buckets, and it has 5 pages"),
        (put(72, "<I", 0xFFFFFFFF), "4294967296 buckets"),
        (put(88, "<I", 3), "2 records are there, and its first page counts 3"),
        (put(96, "<I", 9), "points to page 9, and has 5"),
        (put(PAGE + 8, "<I", 7), "page 1 is not what points to it"),
        (put(PAGE + 25, "B", 5), "page 1 is not what points to it"),
        (put(PAGE + 16, "<I", 1), "points to page 1 twice"),
        (put(PAGE + 16, "<I", 2), "page 2 is not what points to it"),
        (put(PAGE + 20, "<H", 3), "counts 3 items"),
        (put(PAGE + 20, "<H", 500), "counts 500 items"),
        (put(PAGE + 26, "<H", PAGE), "stands where none can"),
        (put(PAGE + 28, "<H", 29), "stands where none can"),
        (put(4 * PAGE + 28, "<H", 30), "of a kind that no sasldb2 has"),
        (put(2 * PAGE - len(key("alice")) - 5, "B", 3), "of a kind that no sasldb2 has"),
        (put(2 * PAGE + 16, "<I", 2), "points to page 2 twice"),
        (put(2 * PAGE + 16, "<I", 0), "an item of 700 bytes has 480"),
        (put(2 * PAGE + 22, "<H", 487), "more than a page can"),
        (put(2 * PAGE + 25, "B", 13), "page 2 is not what points to it"),
    ],
)
def test_damage_is_told_and_nothing_is_made_of_it(damage: Damage, says: str) -> None:
    file = bytearray(small())
    damage(file)
    with pytest.raises(SasldbError, match=says):
        read(bytes(file))


@pytest.mark.parametrize("size", range(16, len(small()), 100))
def test_d8_a_file_cut_short_is_never_a_smaller_database(size: int) -> None:
    with pytest.raises(SasldbError):
        read(small()[:size])


def test_d8_a_record_that_has_not_been_written_yet_is_missed() -> None:
    """The first page is out, and the page with the new record is not."""
    with pytest.raises(SasldbError, match="half written"):
        read(meta("<", 1, 2) + hash_page("<", 1, [key("alice"), b"pw1"]))


def tried(file: bytes) -> None:
    """What comes is records of bytes that stand in the file, or SasldbError; and it ends."""
    try:
        found = list(berkeley_hash.records(file))
    except SasldbError:
        return
    assert sum(len(name) + len(value) for name, value in found) <= len(file)


@given(st.binary(max_size=4 * PAGE))
@example(b"")
def test_any_bytes_are_records_or_an_error(file: bytes) -> None:
    tried(file)
    for order in "<>":
        tried(file[:12] + struct.pack(f"{order}III", 0x61561, 9, PAGE) + b"\0\x08\0" + file)


@given(
    st.sampled_from([small("<"), small(">")]),
    st.lists(st.tuples(st.integers(0, 5 * PAGE - 1), st.integers(0, 255)), min_size=1, max_size=8),
    st.integers(0, 5 * PAGE),
)
def test_any_damage_is_records_or_an_error(file: bytes, damages: list[tuple[int, int]], size: int) -> None:
    broken = bytearray(file)
    for at, value in damages:
        broken[at] = value
    tried(bytes(broken))
    tried(bytes(broken[:size]))


@given(st.lists(st.tuples(st.integers(8, 27), st.integers(0, 5)), min_size=1, max_size=6), st.integers(1, 4))
def test_any_header_of_a_page_is_records_or_an_error(damages: list[tuple[int, int]], page: int) -> None:
    """Small numbers where pages are named: chains that meet, cross and go round."""
    broken = bytearray(small())
    for at, value in damages:
        broken[page * PAGE + at] = value
    tried(bytes(broken))
