"""argon2id: the scheme of new records."""

from __future__ import annotations

from saslauthd_py.passwords.libargon2 import Argon2

_NEW = {"m": 19456, "t": 2, "p": 1}
"""20-30 ms and 19 MiB, the least that OWASP asks for. One lane: more would start threads of their own for every login."""

SCHEME = Argon2("id", usual=_NEW)
