"""GDBM and LMDB files, and what tells the formats apart: files of the real libraries, and whatever bytes there are."""

from __future__ import annotations

import struct
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from saslauthd_py import sasldb
from saslauthd_py.sasldb import PASSWORD, Entry, SasldbError, gdbm, lmdb
from tests.sasldb.sasldbs import Record, key, small, users

RECORDS = [*users(2000), *((key(f"long{number}"), bytes([number]) * 9000) for number in range(1, 5))]
PAGE = 4096


def by_gdbm(path: Path, records: list[Record]) -> Path:
    import dbm.gnu

    with dbm.gnu.open(str(path), "n", 0o600) as database:
        for name, value in records:
            database[name] = value
    return path


def by_lmdb(path: Path, records: list[Record]) -> Path:
    from lmdb import open as opened

    with opened(str(path), subdir=False, map_size=1 << 24, lock=False) as environment:
        for start in range(0, len(records), 50):  # several states of the file, of which the last counts
            with environment.begin(write=True) as transaction:
                for name, value in records[start : start + 50]:
                    transaction.put(name, value)
    return path


@pytest.fixture(scope="module")
def lmdb_file(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return by_lmdb(tmp_path_factory.mktemp("lmdb") / "sasldb2", RECORDS).read_bytes()


@pytest.mark.peer("gdbm")
def test_gdbm_is_read(tmp_path: Path) -> None:
    file = by_gdbm(tmp_path / "sasldb2", RECORDS).read_bytes()
    assert sasldb.kind(file[:64]) == "GDBM"
    assert sorted(gdbm.records(file)) == sorted(RECORDS)


@pytest.mark.peer("gdbm")
@pytest.mark.parametrize("size", [64, 4096, 20_000, 60_000])
def test_d8_gdbm_cut_short_is_an_error(size: int, tmp_path: Path) -> None:
    file = by_gdbm(tmp_path / "sasldb2", RECORDS).read_bytes()
    with pytest.raises(SasldbError, match=r"GDBM (cannot read it|finds [0-9]+ of its)"):
        list(gdbm.records(file[:size]))


class Counting:
    """A GDBM file as its library shows it: so many records by its count, these by walking."""

    error = OSError

    def __init__(self, count: int, *names: bytes) -> None:
        self.count = count
        self.names = [*names, None]

    def open(self, *_: str) -> AbstractContextManager[Counting]:
        return nullcontext(self)

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, name: bytes) -> bytes:
        return b"pw of " + name

    def firstkey(self) -> bytes | None:
        return self.names[0]

    def nextkey(self, name: bytes) -> bytes | None:
        return self.names[self.names.index(name) + 1]


@pytest.mark.parametrize(("count", "says"), [(3, "GDBM finds 2 of its 3 records"), (5, "more records than it has room for")])
def test_d8_gdbm_whose_walk_ends_early_or_never_is_an_error(count: int, says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python takes an error of GDBM for the end of its records."""
    monkeypatch.setattr(gdbm, "_library", lambda: Counting(2, b"a", b"b"))
    assert list(gdbm.records(bytes(100))) == [(b"a", b"pw of a"), (b"b", b"pw of b")]
    monkeypatch.setattr(gdbm, "_library", lambda: Counting(count, b"a", b"b"))
    with pytest.raises(SasldbError, match=says):
        list(gdbm.records(bytes(100)))


def test_gdbm_without_its_library_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gdbm, "_library", lambda: None)
    with pytest.raises(SasldbError, match="install python3-gdbm"):
        sasldb.parse(struct.pack("<I", 0x13579ACF).ljust(100, b"\0"))


def test_lmdb_is_read(lmdb_file: bytes) -> None:
    assert sasldb.kind(lmdb_file[:64]) == "LMDB"
    assert list(lmdb.records(lmdb_file)) == sorted(RECORDS)


def test_lmdb_without_records_is_one(tmp_path: Path) -> None:
    assert list(lmdb.records(by_lmdb(tmp_path / "sasldb2", []).read_bytes())) == []


def test_lmdb_after_removals_and_changes(tmp_path: Path) -> None:
    from lmdb import open as opened

    path = by_lmdb(tmp_path / "sasldb2", RECORDS)
    with opened(str(path), subdir=False, map_size=1 << 24, lock=False) as environment, environment.begin(write=True) as transaction:
        for name, _ in RECORDS[:900]:
            transaction.delete(name)
        transaction.put(RECORDS[950][0], b"another")
    wanted = dict(RECORDS[900:]) | {RECORDS[950][0]: b"another"}
    assert list(lmdb.records(path.read_bytes())) == sorted(wanted.items())


def changed(file: bytes, at: int, form: str, value: int) -> bytes:
    broken = bytearray(file)
    struct.pack_into(form, broken, at, value)
    return bytes(broken)


@pytest.mark.parametrize(
    ("at", "form", "value", "says"),
    [
        (20, "<I", 2, "version 2"),
        (40, "<I", 1000, "its first two pages make no sense"),
        (120, "<Q", 7, "its meta page counts 7"),
        (128, "<Q", 1, "it points to page 1,"),
        (128, "<Q", 1 << 40, "it points to page 1099511627776,"),
    ],
)
def test_lmdb_damage_of_its_meta_pages_is_told(at: int, form: str, value: int, says: str, lmdb_file: bytes) -> None:
    both = changed(changed(lmdb_file, at, form, value), PAGE + at, form, value)
    with pytest.raises(SasldbError, match=says):
        list(lmdb.records(both))


def number(file: bytes, at: int, form: str) -> int:
    found: int = struct.unpack_from(form, file, at)[0]
    return found


def newest_root(file: bytes) -> int:
    """The page at which the tree of the newer meta page begins."""
    newer = max(0, PAGE, key=lambda start: number(file, start + 144, "<Q"))
    return number(file, newer + 128, "<Q")


@pytest.mark.parametrize(
    ("at", "form", "value", "says"),
    [
        (0, "<Q", 1, "is not what points to it"),
        (10, "<H", 4, "is not what points to it"),
        (12, "<H", 17, "tells of room that it has not"),
        (12, "<H", 2, "tells of room that it has not"),
        (14, "<H", PAGE + 2, "tells of room that it has not"),
        (16, "<H", PAGE - 4, "stands where none can"),
        (16, "<H", 16, "stands where none can"),
    ],
)
def test_lmdb_damage_of_a_page_is_told(at: int, form: str, value: int, says: str, lmdb_file: bytes) -> None:
    root = newest_root(lmdb_file)
    below = number(lmdb_file, root * PAGE + number(lmdb_file, root * PAGE + 16, "<H"), "<H")  # in the root's first record
    for page in (root, below):
        with pytest.raises(SasldbError, match=says):
            list(lmdb.records(changed(lmdb_file, page * PAGE + at, form, value)))


@pytest.mark.parametrize(
    ("at", "form", "value", "says"),
    [
        (0, "<H", PAGE, "a value of 4096 bytes has"),
        (4, "<H", 2, "of a kind that no sasldb2 has"),
        (6, "<H", PAGE, "a key of page [0-9]+ does not end in it"),
    ],
)
def test_lmdb_damage_of_a_record_is_told(at: int, form: str, value: int, says: str, tmp_path: Path) -> None:
    file = by_lmdb(tmp_path / "sasldb2", [(key("alice"), b"pw1")]).read_bytes()
    page = newest_root(file) * PAGE
    with pytest.raises(SasldbError, match=says):
        list(lmdb.records(changed(file, page + number(file, page + 16, "<H") + at, form, value)))


def test_lmdb_damage_of_values_on_pages_of_their_own_is_told(tmp_path: Path) -> None:
    far = [(key("alice"), b"v" * 9000), (key("bob"), b"w" * 9000)]
    file = by_lmdb(tmp_path / "sasldb2", far).read_bytes()
    assert list(lmdb.records(file)) == far
    page = newest_root(file) * PAGE
    nodes = [page + number(file, page + 16 + 2 * place, "<H") for place in range(2)]
    points = [node + 8 + len(name) for node, (name, _) in zip(nodes, far, strict=True)]
    first, second = (number(file, point, "<Q") for point in points)
    assert second == first + 3
    crossed = changed(changed(file, points[0], "<Q", second), points[1], "<Q", first)
    for broken, says in (
        (changed(file, points[1], "<Q", first), "twice"),
        (changed(crossed, nodes[1], "<I", 9000 + PAGE), "belong to two values"),
        (changed(file, nodes[0], "<I", 9000 + PAGE), "twice"),
        (changed(file, first * PAGE + 10, "<H", 2), "is not what points to it"),
        (changed(changed(file, 128, "<Q", first), PAGE + 128, "<Q", first), "is not what points to it"),
    ):
        with pytest.raises(SasldbError, match=says):
            list(lmdb.records(broken))


def test_lmdb_tree_that_leads_on_and_on_is_told(tmp_path: Path) -> None:
    file = by_lmdb(tmp_path / "sasldb2", [(key("alice"), b"pw1")]).read_bytes()[: 2 * PAGE]
    for page in range(2, 50):
        node = struct.pack("<HHHH", page + 1, 0, 0, 0)
        file += struct.pack("<QHHHHH", page, 0, 1, 18, PAGE - len(node), PAGE - len(node)).ljust(PAGE - len(node), b"\0") + node
    with pytest.raises(SasldbError, match="too deep"):
        list(lmdb.records(changed(changed(file, 128, "<Q", 2), PAGE + 128, "<Q", 2)))


def test_lmdb_of_a_32_bit_machine_is_told(lmdb_file: bytes) -> None:
    with pytest.raises(SasldbError, match="32-bit machine"):
        list(lmdb.records(bytes(12) + struct.pack("<I", 0xBEEFC0DE) + bytes(PAGE)))


@pytest.mark.parametrize("pages", [1, 2, 3, 10, 30])
def test_d8_lmdb_cut_short_is_never_a_smaller_database(pages: int, lmdb_file: bytes) -> None:
    with pytest.raises(SasldbError):
        list(lmdb.records(lmdb_file[: pages * PAGE]))


@pytest.mark.parametrize("at", [16, 40])
def test_d8_lmdb_with_one_good_meta_page_is_never_its_state_of_before(at: int, tmp_path: Path) -> None:
    """LMDB writes the two in turn; here the second is the newer."""
    file = by_lmdb(tmp_path / "sasldb2", RECORDS[:50]).read_bytes()
    with pytest.raises(SasldbError, match="its first two pages make no sense"):
        list(lmdb.records(changed(file, PAGE + at, "<I", 7)))


@pytest.mark.parametrize("size", [16 + 4, 152, 153, PAGE, PAGE + 151])
def test_d8_lmdb_cut_short_before_its_newest_state_is_never_empty(size: int, lmdb_file: bytes) -> None:
    with pytest.raises(SasldbError):
        list(lmdb.records(lmdb_file[:size]))


def tried(file: bytes) -> None:
    try:
        found = list(lmdb.records(file))
    except SasldbError:
        return
    assert sum(len(value) for _, value in found) <= 100 * len(file)


@given(data=st.data())
def test_any_damage_of_lmdb_is_records_or_an_error(lmdb_file: bytes, data: st.DataObject) -> None:
    broken = bytearray(lmdb_file)
    places = st.one_of(
        st.integers(0, 200),
        st.integers(PAGE, PAGE + 200),
        st.builds(lambda page, at: page * PAGE + at, st.integers(2, len(lmdb_file) // PAGE - 1), st.integers(0, 40)),
        st.integers(0, len(lmdb_file) - 1),
    )
    for at, value in data.draw(st.lists(st.tuples(places, st.integers(0, 255)), min_size=1, max_size=6)):
        broken[at] = value
    tried(bytes(broken[: data.draw(st.one_of(st.just(len(broken)), st.integers(0, len(broken))))]))


@given(st.binary(max_size=300))
def test_any_bytes_are_no_lmdb(file: bytes) -> None:
    tried(file)
    tried(bytes(16) + struct.pack("<IIQQIHH", 0xBEEFC0DE, 1, 0, 0, 512, 0, 0) + file * 10)


@pytest.mark.parametrize(
    ("file", "says"),
    [
        (b"", "it is empty"),
        (b"SQLite format 3\0" + bytes(100), "SQLite"),
        (bytes(12) + struct.pack("<I", 0x53162), "a Berkeley DB btree"),
        (bytes(12) + struct.pack(">I", 0x53162), "a Berkeley DB btree"),
        (b"alice:{SHA}x\n" * 20, "it is no sasldb2"),
        (bytes(12) + struct.pack("<I", 0x61561), "no database"),
    ],
)
def test_other_files_are_told_by_name(file: bytes, says: str) -> None:
    with pytest.raises(SasldbError, match=says):
        sasldb.parse(file)


def test_entries_have_what_cyrus_stored_and_strange_keys_are_counted() -> None:
    file = small().replace(b"bob\0example.test\0userPassword", b"bob\0example.test_userPassword")
    found = sasldb.parse(file)
    assert found.entries == (Entry(b"alice", b"example.test", PASSWORD, b"pw1"),)
    assert found.strange == 1
    assert "pw1" not in repr(found)
