"""What the name service says of an account: getpwnam_r(3) and getspnam_r(3), with "there is none" told apart from "nobody can tell".

Not `pwd`, which makes an outage a KeyError, and not `spwd`, which Python has no more since 3.13.
"""

from __future__ import annotations

import ctypes
import errno
import functools
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from saslauthd_py.config.settings import WorkerSettings

MAX_LOGIN = 511
"""Bytes of a login: a local part, an `@` and a realm."""

_Found = TypeVar("_Found")

_UNSAID = errno.EIO
"""What errno is set to: a name service that is down need not set it, and glibc gives back what stands there."""

_SMALLEST_BUFFER, _LARGEST_BUFFER = 4096, 1 << 20


@dataclass(frozen=True, slots=True)
class Account:
    """The fields of passwd(5) that bear on a login."""

    name: bytes
    uid: int
    password: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Shadow:
    """The fields of shadow(5) that bear on a login. Days since 1970 (UTC), -1 where a field is empty.

    `changed`: when the password was; `maximum`: days that it is good for; `expires`: the day from which the account is not.
    """

    password: bytes = field(repr=False)
    changed: int = -1
    maximum: int = -1
    expires: int = -1


class _Passwd(ctypes.Structure):
    """`struct passwd` of glibc and musl."""

    _fields_ = (
        ("name", ctypes.c_char_p),
        ("password", ctypes.c_char_p),
        ("uid", ctypes.c_uint32),
        ("gid", ctypes.c_uint32),
        ("gecos", ctypes.c_char_p),
        ("directory", ctypes.c_char_p),
        ("shell", ctypes.c_char_p),
    )


class _Spwd(ctypes.Structure):
    """`struct spwd` of glibc and musl."""

    _fields_ = (
        ("name", ctypes.c_char_p),
        ("password", ctypes.c_char_p),
        ("changed", ctypes.c_long),
        ("minimum", ctypes.c_long),
        ("maximum", ctypes.c_long),
        ("warn", ctypes.c_long),
        ("inactive", ctypes.c_long),
        ("expires", ctypes.c_long),
        ("flag", ctypes.c_ulong),
    )


def find_account(login: bytes) -> Account | None:
    """The account of this name; None: the system has none. Raises OSError where nobody can tell."""
    entry = _Passwd()
    return _look_up("getpwnam_r", login, entry, lambda: Account(entry.name, entry.uid, entry.password or b""))


def find_shadow(login: bytes) -> Shadow | None:
    """Its shadow entry; None: there is none. Raises OSError where nobody can tell, as for whoever is not root."""
    entry = _Spwd()
    return _look_up("getspnam_r", login, entry, lambda: Shadow(entry.password or b"", entry.changed, entry.maximum, entry.expires))


def is_login(login: bytes) -> bool:
    """May this be an account's name at all? Modules build paths and log lines from it, so it has no slash and no control character."""
    return 0 < len(login) <= MAX_LOGIN and login not in (b".", b"..") and not any(byte < 0x20 or byte in b"/\x7f" for byte in login)


def is_denied(settings: WorkerSettings, login: bytes, account: Account | None) -> bool:
    """Do `deny` or `min_uid` exclude it, under the name that was asked or the one that the system has for it?"""
    names = {login} if account is None else {login, account.name}
    return any(name.encode() in names for name in settings.deny) or (account is not None and account.uid < settings.min_uid)


def _look_up(function: str, login: bytes, entry: ctypes.Structure, read: Callable[[], _Found]) -> _Found | None:
    """`read` copies what it wants from `entry`: its strings live in a buffer that is gone afterwards.

    There is none where the code is 0. POSIX lets ENOENT say so too; glibc gives that for a missing file, or a sssd or nslcd that is down.
    """
    size = _SMALLEST_BUFFER
    found = ctypes.c_void_p()
    while True:
        buffer = ctypes.create_string_buffer(size)
        ctypes.set_errno(_UNSAID)
        code = _libc(function)(login, ctypes.byref(entry), buffer, size, ctypes.byref(found))
        if code == errno.ERANGE and size < _LARGEST_BUFFER:
            size *= 4
        elif code != errno.EINTR:
            break
    if found.value:
        return read()
    if code == 0:
        return None
    raise OSError(code, os.strerror(code), function)


@functools.cache
def _libc(name: str) -> Callable[..., int]:
    function: Any = getattr(ctypes.CDLL(None, use_errno=True), name)
    function.argtypes = (ctypes.c_char_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p)
    function.restype = ctypes.c_int
    return function  # type: ignore[no-any-return]  # a function of C
