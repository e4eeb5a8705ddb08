"""Files of Cyrus SASL's user database as tests make them: by the real programs, and by hand, page by page."""

from __future__ import annotations

import struct
import subprocess
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

Record = tuple[bytes, bytes]

PAGE = 512
HASH_PAGE, OVERFLOW_PAGE = 13, 7


def key(name: str, realm: str = "example.test", prop: str = "userPassword") -> bytes:
    return "\0".join((name, realm, prop)).encode()


def users(count: int) -> list[Record]:
    return [(key(f"user{number}"), b"pw%d" % number) for number in range(count)]


def set_password(path: Path, name: str, password: bytes, realm: str = "example.test") -> None:
    """By the original's saslpasswd2."""
    subprocess.run(["saslpasswd2", "-p", "-c", "-f", path, "-u", realm, name], input=password, check=True, capture_output=True)


def remove_user(path: Path, name: str, realm: str = "example.test") -> None:
    subprocess.run(["saslpasswd2", "-d", "-f", path, "-u", realm, name], check=True, capture_output=True)


def loaded(path: Path, records: Iterable[Record], *settings: str) -> Path:
    """By Berkeley DB's db_load, with `-c` settings such as db_lorder=4321."""
    head = b"VERSION=3\nformat=bytevalue\ntype=hash\n" + b"".join(b"%s\n" % one.encode() for one in settings) + b"HEADER=END\n"
    lines = b"".join(b" %s\n %s\n" % (name.hex().encode(), value.hex().encode()) for name, value in records)
    subprocess.run(["db5.3_load", path], input=head + lines + b"DATA=END\n", check=True)
    return path


def dumped(path: Path) -> list[Record]:
    """By Berkeley DB's db_dump."""
    printed = subprocess.run(["db5.3_dump", path], check=True, capture_output=True).stdout
    body = printed[printed.index(b"HEADER=END\n") + len(b"HEADER=END\n") : printed.index(b"DATA=END")]
    items = [bytes.fromhex(line.strip().decode()) for line in body.splitlines()]
    return list(zip(items[::2], items[1::2], strict=True))


Item = bytes | tuple[int, int]
"""Bytes on the page, or the number of an overflow page and a length."""


def meta(order: str, pages: int, records: int, **fields: int) -> bytes:
    """A first page for one bucket, that begins at page 1."""
    values = {
        "magic": 0x61561,
        "version": 9,
        "size": PAGE,
        "encryption": 0,
        "type": 8,
        "checksum": 0,
        "flags": 0,
        "last_bucket": 0,
    } | fields
    page = bytearray(PAGE)
    struct.pack_into(f"{order}III", page, 12, values["magic"], values["version"], values["size"])
    page[24:27] = bytes((values["encryption"], values["type"], values["checksum"]))
    struct.pack_into(f"{order}I", page, 32, pages)
    struct.pack_into(f"{order}I", page, 48, values["flags"])
    struct.pack_into(f"{order}IIIIII", page, 72, values["last_bucket"], 1, 0, 0, records, 0)
    struct.pack_into(f"{order}32I", page, 96, *([1] * 32))
    return bytes(page)


def hash_page(order: str, number: int, items: Sequence[Item], following: int = 0) -> bytes:
    page = bytearray(PAGE)
    end = PAGE
    for place, item in enumerate(items):
        body = b"\1" + item if isinstance(item, bytes) else struct.pack(f"{order}B3xII", 3, *item)
        end -= len(body)
        page[end : end + len(body)] = body
        struct.pack_into(f"{order}H", page, 26 + 2 * place, end)
    struct.pack_into(f"{order}IIIHHBB", page, 8, number, 0, following, len(items), end, 0, HASH_PAGE)
    return bytes(page)


def overflow_page(order: str, number: int, content: bytes, following: int = 0) -> bytes:
    page = struct.pack(f"{order}8xIIIHHBB", number, 0, following, 1, len(content), 0, OVERFLOW_PAGE) + content
    return page.ljust(PAGE, b"\0")


def small(order: str = "<", **fields: int) -> bytes:
    """Two pairs, one of which has its value off the page, in two pieces."""
    value = b"v" * 700
    return b"".join(
        (
            meta(order, 4, 2, **fields),
            hash_page(order, 1, [key("alice"), b"pw1"], 4),
            overflow_page(order, 2, value[:480], 3),
            overflow_page(order, 3, value[480:]),
            hash_page(order, 4, [key("bob"), (2, 700)]),
        )
    )


SMALL = [(key("alice"), b"pw1"), (key("bob"), b"v" * 700)]

Damage = Callable[[bytearray], None]


def put(at: int, form: str, value: int) -> Damage:
    """A damage: a number written over what is there."""

    def damage(file: bytearray) -> None:
        struct.pack_into(form, file, at, value)

    return damage
