"""One PAM call as a worker makes it: python-pam, with the items and flags that it has no words for.

A module's texts stay here (rule A3); its failure delay is taken down, not slept. PAM_TTY is never set, as with the original: so
pam_faillock and pam_access, where nobody knows the client's address, take the service in its place.
"""

from __future__ import annotations

import ctypes
import functools
import ipaddress
import os
import secrets
import syslog
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Protocol

import pam  # type: ignore[import-untyped]  # it has no types

from saslauthd_py.config.settings import PamSettings
from saslauthd_py.credential import service_word
from saslauthd_py.monitor import accounts
from saslauthd_py.monitor.errors import PamUnusable
from saslauthd_py.wire.monitor import Answer, Call, Refusal, Stage

DIRECTORIES = ("/etc/pam.d", "/usr/lib/pam.d")
"""Where libpam looks for a service's file before it takes `other`."""

LONGEST_SECRET = 512
"""PAM_MAX_RESP_SIZE: pam_unix cuts what is longer (rule D7)."""

_STAND_IN = 12
"""Random bytes of what is presented in place of a secret that PAM does not take: as long in letters as a usual password."""

_SUCCESS, _AUTHINFO_UNAVAIL = 0, 9
_USER, _RHOST, _FAIL_DELAY = 2, 4, 10
_FLAGS = 0x8000 | 0x0001  # PAM_SILENT, PAM_DISALLOW_NULL_AUTHTOK
_DELAY_CALLBACK = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_uint, ctypes.c_void_p)


class _Handle(Protocol):
    """python-pam's structure around the pointer that libpam gave out."""

    handle: int


def prepare() -> None:
    """Find and load libpam: once, before any fork, for python-pam runs ldconfig to find it. Raises PamUnusable.

    From then on the modules' lines in the syslog have the daemon's name, and not that of the interpreter.
    """
    try:
        pam.PamAuthenticator()
        _get_item()
    except (OSError, AttributeError, TypeError):
        raise PamUnusable(
            "PAM cannot be used: no libpam.so.0 and libpam_misc.so.0 found; install them (Debian: libpam0g), "
            "and let the daemon run /sbin/ldconfig, which knows where they are"
        ) from None
    syslog.openlog("saslauthd-py", syslog.LOG_PID, syslog.LOG_AUTHPRIV)


def answer(settings: PamSettings, call: Call) -> Answer:
    """Make the call. `account` in the answer is who the stack says it was, after its account modules accepted too.

    A secret that PAM does not take whole is never right; the stack is asked all the same, with one that nobody has, so that it
    does its work, counts the failure, and can say that it does not know the user (rule D7).
    """
    started = time.monotonic_ns()
    said = _ask(settings, call)
    return replace(said, took=(time.monotonic_ns() - started) // 1000)


def _ask(settings: PamSettings, call: Call) -> Answer:
    try:
        file = _judge(settings, call)
    except OSError:
        return Answer(call.id, Stage.AUTHENTICATE, _AUTHINFO_UNAVAIL)
    if isinstance(file, Refusal):
        return Answer(call.id, Stage.REFUSED, file)
    secret = call.secret.reveal()
    whole = 0 < len(secret) <= LONGEST_SECRET and b"\0" not in secret
    transaction = _Transaction(_address(call.address))
    code = transaction.run(file, call.login, secret if whole else secrets.token_urlsafe(_STAND_IN).encode())
    if code == _SUCCESS and (refusal := _judge_account(settings, call.login, transaction.account, whole=whole)):
        return Answer(call.id, Stage.REFUSED, refusal)
    return Answer(call.id, transaction.stage, code, transaction.delay, account=transaction.account)


def _judge(settings: PamSettings, call: Call) -> bytes | Refusal:
    """The service to ask, or why it is not. Names that the system does not know go on: a stack may have accounts of its own.

    Raises OSError where nobody can tell whether `min_uid` excludes the user.
    """
    service = service_word(call.service.decode("utf-8", "backslashreplace"))
    names = settings.file_names(service)
    if not names or (settings.services and service not in settings.services):
        return Refusal.SERVICE
    there = [name for name in names if any(os.path.isfile(f"{directory}/{name}") for directory in DIRECTORIES)]
    if not there:
        return Refusal.NO_SERVICE_FILE
    if not accounts.is_login(call.login):
        return Refusal.NAME
    if accounts.is_denied(settings, call.login, accounts.find_account(call.login)):
        return Refusal.DENIED
    return there[0].encode()


def _judge_account(settings: PamSettings, login: bytes, confirmed: bytes, *, whole: bool) -> Refusal | None:
    """What can still be wrong after the stack has accepted: it need not have looked at the secret, and may have changed the user."""
    if not whole:
        return Refusal.SECRET
    try:
        denied = confirmed != login and accounts.is_denied(settings, confirmed, accounts.find_account(confirmed))
    except OSError:
        denied = True
    return Refusal.DENIED if denied else None


def _address(given: bytes) -> bytes:
    """An IP address without a zone, or nothing: the front is not trusted to send one (rules A3, D10)."""
    try:
        ipaddress.ip_address(given.decode("ascii"))
    except ValueError:
        return b""
    return given if b"%" not in given else b""


class _Transaction:
    """One handle of libpam, from start to end.

    python-pam calls the functions of C that it finds in its instance's attributes. Three are replaced there: it passes no flags,
    knows neither PAM_RHOST nor PAM_FAIL_DELAY, and would tell the modules of a display or terminal that the daemon was started from.
    """

    def __init__(self, address: bytes) -> None:
        self.stage = Stage.AUTHENTICATE
        self.delay = 0
        self.account = b""
        self._pam: Any = pam.PamAuthenticator()
        self._on_delay = _DELAY_CALLBACK(self._note_delay)  # for libpam; it must live as long as the handle
        self._items: list[tuple[int, Any]] = [(_FAIL_DELAY, ctypes.cast(self._on_delay, ctypes.c_void_p))]
        if address:
            self._items.append((_RHOST, ctypes.c_char_p(address)))
        self._set_item, self._c_authenticate, self._c_acct_mgmt = (
            self._pam.pam_set_item,
            self._pam.pam_authenticate,
            self._pam.pam_acct_mgmt,
        )
        self._pam.pam_set_item = _set_nothing
        self._pam.pam_authenticate, self._pam.pam_acct_mgmt = self._authenticate, self._acct_mgmt

    def run(self, service: bytes, login: bytes, secret: bytes) -> int:
        """The code of the last function that was called; `stage` tells which. Account modules are always asked after an accepted secret."""
        self._pam.authenticate(login, secret, service, encoding="latin-1", resetcreds=False)  # modules may say anything: Latin-1 has it all
        return int(self._pam.code)

    def _authenticate(self, handle: _Handle, _flags: int) -> int:
        for item, value in self._items:
            if code := int(self._set_item(handle, item, value)):
                return code
        return int(self._c_authenticate(handle, _FLAGS))

    def _acct_mgmt(self, handle: _Handle, _flags: int) -> int:
        self.stage = Stage.ACCOUNT
        code = int(self._c_acct_mgmt(handle, _FLAGS))
        self.account = _item(handle, _USER)
        return code

    def _note_delay(self, status: int, microseconds: int, _data: int) -> None:
        if status != _SUCCESS:  # libpam calls it after a success too
            self.delay = microseconds


def _set_nothing(*_: object) -> int:
    return _SUCCESS


def _item(handle: _Handle, item: int) -> bytes:
    value = ctypes.c_void_p()
    code = _get_item()(handle.handle, item, ctypes.byref(value))
    return ctypes.string_at(value.value) if code == _SUCCESS and value.value else b""


@functools.cache
def _get_item() -> Callable[..., int]:
    """The one function of libpam that we need and python-pam does not have."""
    function: Any = ctypes.CDLL("libpam.so.0").pam_get_item
    function.argtypes = (ctypes.c_void_p, ctypes.c_int, ctypes.POINTER(ctypes.c_void_p))
    function.restype = ctypes.c_int
    return function  # type: ignore[no-any-return]  # a function of C
