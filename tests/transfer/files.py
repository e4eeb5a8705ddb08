"""Files of accounts as tests write them, and what a format finds in them."""

from __future__ import annotations

import io
from contextlib import closing
from pathlib import Path

from saslauthd_py.transfer.formats import Format, Found, Passed

ARGON2ID = "$argon2id$v=19$m=8,t=1,p=1$YmVuY2hpbmdiZW5jaGluZw$E+qBBX3+DI0e+N48K55cfw"
"""`correct horse battery`."""

SSHA, APR1, SHA512 = "{SSHA}H/zrDv8FXUu1JmwvVYijfrYEF34jVZcO", "$apr1$RGpBFz2q$WAhYKLRHdEnmTBNNCdzNK0", "$6$benching$" + "x" * 86
SCRAM = "{SCRAM-SHA-256}4096,c2FsdHNhbHQ=," + "QUFB" * 10 + "QUE=," + "QUFB" * 10 + "QUE="


def found(form: Format, path: Path, text: bytes | str | None = None) -> dict[int, Found | Passed | str]:
    """What each account of a file is, by its line; a text: what is wrong with it."""
    if text is not None:
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    result: dict[int, Found | Passed | str] = {}
    with closing(form.open(str(path), io.BytesIO())) as source:
        for block in source.blocks:
            for piece in form.pieces(block):
                try:
                    read = form.read(piece) if piece.text is not None else "too long"
                except ValueError as fault:
                    read = str(fault)
                except Exception as fault:  # BrokenRecord
                    read = str(fault)
                if read is not None:
                    assert piece.line not in result
                    result[piece.line] = read
    return result
