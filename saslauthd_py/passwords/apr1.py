"""apr1, `$apr1$`: Apache's md5crypt, of htpasswd. Verified only."""

from __future__ import annotations

import re
from typing import Any

from saslauthd_py.passwords.libcrypt import CryptScheme, salt
from saslauthd_py.passwords.md5crypt import FULL_SALT, openldaps
from saslauthd_py.passwords.scheme import BrokenRecord, Parameters
from saslauthd_py.passwords.written import Written


class Apr1(CryptScheme):
    """As md5crypt, but by libpass: libcrypt has no such form.

    The rounds run in Python, with the interpreter lock held: 0.35 ms, 1.6 ms with the longest secret.
    """

    name = "apr1"
    labels = ("APR1",)
    sigils = ("$apr1$",)
    form = re.compile(r"\$apr1\$(?P<salt>[./0-9A-Za-z]{0,8})\$[./0-9A-Za-z]{22}")
    impossible = "z" * 22

    def adopt(self, written: Written) -> str | None:
        return super().adopt(openldaps(written, self.sigils[0]) if written.label else written)

    def read(self, found: re.Match[str]) -> Parameters:
        size = len(found["salt"])
        return {} if size == FULL_SALT else {"salt": size}

    def setting(self, parameters: Parameters) -> str:
        return f"{self.sigils[0]}{salt(min(parameters.get('salt', FULL_SALT), FULL_SALT))}$"

    def matches(self, text: str, secret: bytes) -> bool:
        try:
            return bool(_libpass().verify(secret, text))
        except ValueError as error:
            raise BrokenRecord(f"libpass refuses the record: {type(error).__name__}") from None

    def preload(self) -> None:
        _libpass()


def _libpass() -> Any:  # noqa: ANN401 - a class without types
    from passlib.hash import apr_md5_crypt  # type: ignore[import-untyped]  # libpass has no types

    return apr_md5_crypt


SCHEME = Apr1()
