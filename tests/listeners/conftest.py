"""Directories for sockets: a socket's path is short, which tmp_path need not be, and other users cannot enter that one."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator

import pytest

from tests.listeners.sockets import ENTERABLE, SOMEBODY


@pytest.fixture
def place() -> Iterator[str]:
    """A directory of our own that others can enter."""
    path = tempfile.mkdtemp(prefix="sl", dir="/tmp")
    os.chmod(path, ENTERABLE)
    yield path
    shutil.rmtree(path)


@pytest.fixture
def theirs(place: str) -> str:
    """A directory that belongs to somebody else, as Postfix's private/ does. Needs root."""
    path = f"{place}/private"
    os.mkdir(path, 0o700)
    os.chown(path, SOMEBODY, SOMEBODY)
    return path
