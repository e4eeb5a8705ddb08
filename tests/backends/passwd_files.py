"""What the tests of password files share: cheap hashes, a backend on a file, and questions to it."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import trio

from saslauthd_py.backend import Attempt
from saslauthd_py.backends.passwd_file import PasswdFileBackend
from saslauthd_py.config.settings import PasswdFileSettings
from saslauthd_py.hashing import Hashing
from saslauthd_py.identity import Identity
from saslauthd_py.secret import Secret
from saslauthd_py.verdict import Verdict

ALICE = Identity("alice", "example.test")
BOB = Identity("bob", "example.test")
RIGHT = "pw1"


def sha(secret: str) -> str:
    """As `htpasswd -s` writes it."""
    return "{SHA}" + base64.b64encode(hashlib.sha1(secret.encode()).digest()).decode()  # noqa: S324 - a form that is verified


def line(name: str, secret: str, rest: str = "") -> str:
    return f"{name}:{sha(secret)}{rest}\n"


def written(path: Path, *lines: str) -> Path:
    """The file with these lines, written in place, closed to others."""
    path.touch(mode=0o640)
    path.write_text("".join(lines))
    return path


@asynccontextmanager
async def backend(path: Path | str, **keys: Any) -> AsyncIterator[PasswdFileBackend]:
    async with trio.open_nursery() as nursery:
        yield PasswdFileBackend(PasswdFileSettings(type="passwd_file", path=str(path), **keys), Hashing(), nursery)
        nursery.cancel_scope.cancel()


async def ask(it: PasswdFileBackend, secret: str = RIGHT, name: Identity = ALICE) -> Verdict:
    return await it.verify_password(Attempt(name, Secret(secret.encode()), "smtp"))
