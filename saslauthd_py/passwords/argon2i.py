"""argon2i: what argon2id replaced. Verified only."""

from __future__ import annotations

from saslauthd_py.passwords.libargon2 import Argon2

SCHEME = Argon2("i", usual=None)
