"""Which lines of a password file have no keys for SCRAM. Pure; for the thread that reads the file."""

from __future__ import annotations

import re
from collections.abc import Iterator

from saslauthd_py import keying, password_lines, passwords
from saslauthd_py.backends.passwd_file.index import Index
from saslauthd_py.credential import Encoding
from saslauthd_py.identity import InvalidIdentity
from saslauthd_py.keying import Keyless
from saslauthd_py.keys import Hash
from saslauthd_py.passwords import BrokenRecord

_BODY = rb"[0-9]+,[^:,]+,[^:,]+,[^:,]+"
_CLEAR = rb"(?:PLAIN|CLEAR|CLEARTEXT)\}[ -9;-~]+"
_KEYED = {
    function: re.compile(rb"[^:]+:\{(?:" + function.mechanism.encode() + rb"\}" + _BODY + rb"|" + _CLEAR + rb")(?::.*)?", re.IGNORECASE)
    for function in Hash
}
"""Lines that have keys at a glance: of a hundred thousand the others alone are read as a login would read them."""


def count(index: Index, form: str) -> dict[Hash, Keyless]:
    """For each hash the accounts without keys; `form` as `password_lines.read` has it. A broken line lacks nothing (D8)."""
    if not any(_passwords(index, form)):
        return dict.fromkeys(Hash, Keyless(nobody=True))
    return {function: Keyless.of(_without(index, form, function)) for function in Hash}


def _passwords(index: Index, form: str) -> Iterator[bool]:
    return (_read(line, form) is not None for line in index.lines())


def _without(index: Index, form: str, function: Hash) -> Iterator[str]:
    for line in index.lines():
        record = None if _KEYED[function].fullmatch(line) else _read(line, form)
        if record is not None and not _has_keys(record[1], function):
            yield record[0]


def _read(line: bytes, form: str) -> tuple[str, Encoding] | None:
    try:
        record = password_lines.read(line.decode("utf-8", "surrogateescape"), form)
    except (BrokenRecord, InvalidIdentity):
        return None
    return (str(record.identity), record.stored) if isinstance(record.stored, Encoding) else None


def _has_keys(stored: Encoding, function: Hash) -> bool:
    return stored.scheme == keying.scheme(function) or keying.usable(passwords.clear_text((stored,)))
