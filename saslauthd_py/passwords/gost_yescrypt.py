"""gost-yescrypt, `$gy$`: yescrypt whose digest goes through HMAC with GOST R 34.11-2012 (RFC 6986) once more."""

from __future__ import annotations

from saslauthd_py.passwords.yescrypt import Yescrypt

SCHEME = Yescrypt("gost-yescrypt", "gy")
