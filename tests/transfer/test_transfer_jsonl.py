from __future__ import annotations

import io
import json
import math
from contextlib import closing, suppress
from ipaddress import ip_network
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from saslauthd_py.credential import Encoding, Kind, Restrictions
from saslauthd_py.identity import Identity, InvalidIdentity
from saslauthd_py.passwords import BrokenRecord
from saslauthd_py.secret import Secret
from saslauthd_py.store.incoming import Incoming, IncomingSecret
from saslauthd_py.transfer import formats, jsonl
from saslauthd_py.transfer.converting import Converter, Task
from saslauthd_py.transfer.formats import BadFile, Block, Found, Piece
from saslauthd_py.transfer.jsonl import Jsonl
from tests.transfer.files import APR1, ARGON2ID, SCRAM, SSHA, found

KEY = Secret(bytes(range(32)))


def read(**fields: Any) -> Found | str:
    try:
        account = Jsonl("example.net").read(Piece(1, json.dumps(fields).encode()))
    except (BrokenRecord, InvalidIdentity) as fault:
        return str(fault)
    assert isinstance(account, Found)
    return account


def test_everything_that_the_readme_names_is_read() -> None:
    main = {
        "kind": "main",
        "encodings": {"argon2id": ARGON2ID, "scram-sha-256": SCRAM},
        "services": ["SMTP", "pop3"],
        "networks": ["192.0.2.0/24", "2001:db8::/32"],
        "expires": 4000000000,
        "disabled": True,
        "created": 1.5,
        "changed": 2.5,
        "last_use": 3.5,
    }
    app = {"kind": "app", "label": "phone", "hash": "{SSHA}H/zrDv8FXUu1JmwvVYijfrYEF34jVZcO"}
    limits = Restrictions(("smtp", "pop"), (ip_network("192.0.2.0/24"), ip_network("2001:db8::/32")), 4e9)
    encodings = (Encoding("argon2id", ARGON2ID), Encoding("scram-sha-256", SCRAM))
    secrets = (
        IncomingSecret(encodings, Kind.MAIN, "", limits, True, 1.5, 2.5, 3.5),
        IncomingSecret((Encoding("ssha", SSHA),), Kind.APP, "phone"),
    )
    account = Incoming(Identity("Alice", "Example.org"), secrets, "why", 5.5, 6.5)
    whole = {"name": "Alice", "realm": "Example.org", "locked": "why", "created": 5.5, "changed": 6.5, "passwords": [main, app]}
    assert read(**whole) == Found(account)


def test_what_is_written_by_hand_may_leave_out_all_but_the_name() -> None:
    assert read(name="alice") == Found(Incoming(Identity("alice", "example.net"), ()))
    assert read(name="alice@example.org") == Found(Incoming(Identity("alice", "example.org"), ()))
    assert read(name="alice@host", realm="") == Found(Incoming(Identity("alice@host"), ()))
    assert read(name="alice", locked="") == Found(Incoming(Identity("alice", "example.net"), (), ""))


def test_password_in_clear_is_told_apart_but_what_the_store_kept_so_stays() -> None:
    one = Incoming(Identity("alice", "example.net"), (IncomingSecret(()),))
    assert read(name="alice", passwords=[{"password": "gehéim"}]) == Found(one, {0: Secret("gehéim".encode())})
    assert read(name="alice", passwords=[{"hash": "{PLAIN}geheim"}]) == Found(one, {0: Secret(b"geheim")})
    kept = Encoding("plain", "{PLAIN.b64}Z2VoZWlt")
    account = Incoming(Identity("alice", "example.net"), (IncomingSecret((kept,)),))
    assert read(name="alice", passwords=[{"encodings": {"plain": kept.text}}]) == Found(account)


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ({}, "empty name"),
        ({"name": 7}, "name is no text"),
        ({"name": "a\ud800"}, "a text that is not UTF-8"),
        ({"name": "a", "relm": "x"}, "unknown key 'relm': it is one of changed, created, locked, name, passwords, realm"),
        ({"name": "a", "passwords": {}}, "passwords is no list"),
        ({"name": "a", "passwords": ["x"]}, "a password that is no JSON object"),
        ({"name": "a", "passwords": [{"pasword": "x"}]}, "unknown key 'pasword'"),
        ({"name": "a", "passwords": [{"password": "x", "hash": APR1}]}, "a password is said by one of"),
        ({"name": "a", "passwords": [{"hash": "geheim"}]}, "no password record of a scheme we know"),
        ({"name": "a", "passwords": [{"encodings": "x"}]}, "encodings are a JSON object"),
        ({"name": "a", "passwords": [{"encodings": {"argon2id": 7}}]}, "argon2id is no text"),
        ({"name": "a", "passwords": [{"kind": "other"}]}, "kind is main or app"),
        ({"name": "a", "passwords": [{"services": "smtp"}]}, "services is no list"),
        ({"name": "a", "passwords": [{"services": [7]}]}, "services holds what is no text"),
        ({"name": "a", "passwords": [{"networks": ["192.0.2.1/24"]}]}, "networks holds what is no network"),
        ({"name": "a", "passwords": [{"expires": "soon"}]}, "expires is a number of seconds"),
        ({"name": "a", "passwords": [{"expires": True}]}, "expires is a number of seconds"),
        ({"name": "a", "created": -1e300}, "created is a number of seconds since 1970"),
        ({"name": "a", "passwords": [{"expires": math.inf}]}, "expires is a number of seconds"),
        ({"name": "a", "passwords": [{"expires": 10**400}]}, "expires is a number of seconds"),
        ({"name": "a", "passwords": [{"disabled": 1}]}, "disabled is true or false"),
    ],
)
def test_what_is_no_account_is_told_in_one_line(fields: dict[str, Any], fault: str) -> None:
    told = read(**fields)
    assert isinstance(told, str)
    assert told.startswith(fault)
    assert "geheim" not in told


def test_lines_that_are_no_json_are_told_and_comments_are_none(tmp_path: Path) -> None:
    text = '{"name": "alice"}\n# comment\n\n{"name": \n[]\n"x"\n' + "[" * 100000 + '\n{"name": "bob"}'
    told = found(Jsonl(""), tmp_path / "users.jsonl", text)
    assert {line: one for line, one in told.items() if isinstance(one, str)} == {
        4: "no JSON",
        5: "no JSON object",
        6: "no JSON object",
        7: "no JSON",
    }
    assert [line for line, one in told.items() if isinstance(one, Found)] == [1, 8]


def test_header_gives_the_decoy_key_and_is_no_account(tmp_path: Path) -> None:
    path = tmp_path / "users.jsonl"
    path.write_text(f'{jsonl.header(KEY)}\n{{"name": "alice"}}\n')
    with closing(Jsonl("").open(str(path), io.BytesIO())) as source:
        assert source.decoy_key == KEY
        assert [piece.line for block in source.blocks for piece in formats.pieces(block)] == [2]
        assert source.size == path.stat().st_size
    assert list(found(Jsonl(""), path)) == [2]
    for key in ('"x"', '"QUFB"', "7", "null"):
        path.write_text(f'{{"saslauthd-py accounts": 1, "decoy_key": {key}}}\n')
        with closing(Jsonl("").open(str(path), io.BytesIO())) as source:
            assert source.decoy_key is None


@pytest.mark.parametrize("version", ["2", "0", '"1"', "null"])
def test_header_of_another_version_is_refused(version: str, tmp_path: Path) -> None:
    path = tmp_path / "users.jsonl"
    path.write_text(f'{{"saslauthd-py accounts": {version}}}\n')
    with pytest.raises(BadFile, match=r"users\.jsonl: an export of format .*, and this program knows 1: upgrade it$"):
        Jsonl("").open(str(path), io.BytesIO())


def test_standard_input_is_read_as_a_file_is() -> None:
    source = Jsonl("").open("-", io.BytesIO(b'{"name": "alice"}\n{"name": "bob"}'))
    assert [piece for block in source.blocks for piece in formats.pieces(block)] == [
        Piece(1, b'{"name": "alice"}'),
        Piece(2, b'{"name": "bob"}'),
    ]
    assert source.size == 0
    empty = Jsonl("").open("-", io.BytesIO())
    assert list(empty.blocks) == []


@given(st.binary(max_size=300) | st.text(max_size=100).map(str.encode))
def test_no_line_makes_the_reader_fail_in_another_way(text: bytes) -> None:
    with suppress(BrokenRecord, InvalidIdentity):
        Jsonl("").read(Piece(1, text))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(
    st.dictionaries(st.sampled_from(sorted(jsonl._ACCOUNT)), JSON),
    st.lists(st.dictionaries(st.sampled_from(sorted(jsonl._PASSWORD)), JSON), max_size=2),
)
def test_no_value_of_a_key_makes_the_reader_fail_in_another_way(fields: dict[str, Any], passwords: list[dict[str, Any]]) -> None:
    for whole in (fields, {**fields, "name": "a", "passwords": passwords}):
        with suppress(BrokenRecord, InvalidIdentity):
            Jsonl("").read(Piece(1, json.dumps(whole).encode()))


@given(st.lists(st.binary(max_size=12).map(lambda line: line.replace(b"\n", b"")), max_size=40), st.integers(1, 30))
def test_blocks_hold_every_line_once_whatever_their_size(lines: list[bytes], size: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(formats, "_BLOCK", size)
        blocks = list(formats.blocks(io.BytesIO(b"\n".join(lines)), number=2))
        entries = list(formats.blocks(io.BytesIO(b"\n".join(lines)), number=2, entries=True))
    for found_blocks in (blocks, entries):
        assert b"".join(block.text for block in found_blocks) == b"\n".join(lines)
        pieces = [piece for block in found_blocks for piece in formats.pieces(block)]
        assert [piece.text for piece in pieces if piece.text] == [one for line in lines if (one := line.rstrip(b"\r"))]
        numbered = {number: line.rstrip(b"\r") for number, line in enumerate(lines, 2)}
        assert all(numbered[piece.line] == piece.text for piece in pieces if piece.text)
    for block, following in pairwise(entries):
        assert not block.text.removesuffix(b"\n").rpartition(b"\n")[2].strip(), "an entry reaches out of its block"
        assert following.line == block.line + block.text.count(b"\n")


def test_block_is_told_by_its_first_line() -> None:
    assert list(formats.pieces(Block(7, b"a\r\nb\n"))) == [Piece(7, b"a"), Piece(8, b"b")]


@pytest.mark.parametrize(
    ("password", "fault"), [("", "empty password"), ("a\0b", "a NUL in the password"), ("x" * 16385, "over 16384 bytes")]
)
def test_password_in_clear_that_no_login_could_send_makes_no_account(password: str, fault: str) -> None:
    text = json.dumps({"name": "alice", "passwords": [{"password": password}]}).encode()
    converted = Converter(Jsonl(""), "argon2id").convert(Task(Block(1, text + b"\n")))
    assert converted.rows == []
    (complaint,) = converted.complaints
    assert complaint.lost
    assert fault in complaint.text
