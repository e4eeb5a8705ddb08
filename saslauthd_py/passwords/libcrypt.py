"""crypt(3) of libxcrypt, by `crypt_rn`: thread-safe, and ctypes releases the interpreter lock while it works."""

from __future__ import annotations

import ctypes
import functools
import hmac
import os
import re
import threading
from collections.abc import Callable
from contextlib import suppress

from saslauthd_py.passwords.scheme import BrokenRecord, Parameters
from saslauthd_py.passwords.written import Written

ALPHABET = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
"""The 64 digits of every crypt(3) form, by value (bcrypt has the same ones in another order)."""

SALT = r'["#%-)+-9<-\[\]-~]'
"""A letter of a salt where the form allows any: crypt(5) keeps `$` as separator and leaves out what shadow(5) needs."""

LONGEST = 511
"""CRYPT_MAX_PASSPHRASE_SIZE is 512 and counts the NUL at the end; a longer secret is ERANGE."""

_BUFFER = 32768
"""sizeof (struct crypt_data), the same in every libxcrypt."""

_BLANK = bytes(_BUFFER)

_SONAMES = ("libcrypt.so.1", "libcrypt.so.2")
"""The second is libxcrypt built without glibc's old names, as some distributions have it. Not `find_library`: it runs programs."""

_thread = threading.local()


@functools.cache
def load() -> Callable[[bytes, bytes, ctypes.Array[ctypes.c_char], int], bytes | None]:
    """`crypt_rn`, opened at the first call. Raises BrokenRecord where this system has none."""
    for soname in _SONAMES:
        with suppress(OSError, AttributeError):
            function = ctypes.CDLL(soname, use_errno=True).crypt_rn
            function.argtypes = (ctypes.c_char_p, ctypes.c_char_p, ctypes.c_void_p, ctypes.c_int)
            function.restype = ctypes.c_char_p
            return function
    raise BrokenRecord("crypt(3) records need libxcrypt (libcrypt.so.1 with crypt_rn), and this system has none: install it")


def crypt(secret: bytes, setting: str) -> str:
    """The text of `secret` (at most LONGEST bytes, no NUL) by `setting` (ASCII, no NUL). Holds no interpreter lock meanwhile.

    Raises BrokenRecord where libcrypt refuses the setting or lacks its form. The thread's buffer is left wiped: it may hold keys.
    """
    function = load()
    buffer = _buffer()
    ctypes.set_errno(0)
    try:
        result = function(secret, setting.encode("ascii"), buffer, _BUFFER)
    finally:
        memoryview(buffer).cast("B")[:] = _BLANK
    if result is None or result.startswith(b"*"):
        raise BrokenRecord(f"libcrypt refuses the record: {os.strerror(ctypes.get_errno())}")
    return result.decode("ascii")


def salt(letters: int) -> str:
    """That many random digits, of six bits each."""
    return "".join(ALPHABET[byte & 63] for byte in os.urandom(letters))


class CryptScheme:
    """A form of crypt(3), as `scheme.Scheme` describes one. A subclass or its instance gives the names, the form and `setting`."""

    name: str
    labels: tuple[str, ...] = ("CRYPT",)
    sigils: tuple[str, ...]
    longest: int = LONGEST
    ends_at_nul: bool = True
    usual: Parameters | None = None
    elsewhere: bool = False
    most_work: int = 1
    form: re.Pattern[str]
    """A whole text; what it costs is in named groups."""
    impossible: str
    """A digest that cannot come out: its last letter has bits that the coding of a digest leaves at zero."""

    def adopt(self, written: Written) -> str | None:
        text = written.text()
        return None if text is None or self.parameters(text) is None else text

    def parameters(self, text: str) -> Parameters | None:
        found = self.form.fullmatch(text)
        return None if found is None else self.read(found)

    def read(self, found: re.Match[str]) -> Parameters | None:  # noqa: ARG002 - for the forms that have parameters
        """The parameters in a text of the right form; None where they make no sense."""
        return {}

    def setting(self, parameters: Parameters) -> str:
        """A text up to its digest, with a random salt."""
        raise NotImplementedError

    def price(self, parameters: Parameters) -> tuple[int, int]:  # noqa: ARG002 - as `read`
        return 1, _BUFFER

    def matches(self, text: str, secret: bytes) -> bool:
        return hmac.compare_digest(crypt(secret, text), text)

    def make(self, secret: bytes) -> str:
        return crypt(secret, self.setting(self.usual or {}))

    def decoy(self, parameters: Parameters) -> str:
        return self.setting(parameters) + self.impossible

    def preload(self) -> None:
        with suppress(BrokenRecord):  # a system without libcrypt still verifies the rest
            load()


def _buffer() -> ctypes.Array[ctypes.c_char]:
    if not hasattr(_thread, "buffer"):
        _thread.buffer = ctypes.create_string_buffer(_BUFFER)
    buffer: ctypes.Array[ctypes.c_char] = _thread.buffer
    return buffer
