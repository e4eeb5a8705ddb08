"""Every code that PAM knows, and what it says of a login: the one table.

Names and numbers: Linux-PAM 1.5, `<security/_pam_types.h>`. Meanings: pam_authenticate(3), pam_acct_mgmt(3), and what the modules'
sources do where those leave it open. What is not plainly a no is an outage: "wrong" makes clients throw a saved password away.
"""

from __future__ import annotations

from enum import IntEnum

from saslauthd_py.verdict import Reason, Rejected, Unavailable, UnknownUser
from saslauthd_py.wire.monitor import Stage


class Code(IntEnum):
    """What a function of libpam returns."""

    PAM_SUCCESS = 0
    PAM_OPEN_ERR = 1
    PAM_SYMBOL_ERR = 2
    PAM_SERVICE_ERR = 3
    PAM_SYSTEM_ERR = 4
    PAM_BUF_ERR = 5
    PAM_PERM_DENIED = 6
    PAM_AUTH_ERR = 7
    PAM_CRED_INSUFFICIENT = 8
    PAM_AUTHINFO_UNAVAIL = 9
    PAM_USER_UNKNOWN = 10
    PAM_MAXTRIES = 11
    PAM_NEW_AUTHTOK_REQD = 12
    PAM_ACCT_EXPIRED = 13
    PAM_SESSION_ERR = 14
    PAM_CRED_UNAVAIL = 15
    PAM_CRED_EXPIRED = 16
    PAM_CRED_ERR = 17
    PAM_NO_MODULE_DATA = 18
    PAM_CONV_ERR = 19
    PAM_AUTHTOK_ERR = 20
    PAM_AUTHTOK_RECOVERY_ERR = 21
    PAM_AUTHTOK_LOCK_BUSY = 22
    PAM_AUTHTOK_DISABLE_AGING = 23
    PAM_TRY_AGAIN = 24
    PAM_IGNORE = 25
    PAM_ABORT = 26
    PAM_AUTHTOK_EXPIRED = 27
    PAM_MODULE_UNKNOWN = 28
    PAM_BAD_ITEM = 29
    PAM_CONV_AGAIN = 30
    PAM_INCOMPLETE = 31


_WRONG = Rejected(Reason.WRONG_SECRET)
_LOCKED = Rejected(Reason.LOCKED)
_DISABLED = Rejected(Reason.DISABLED)
_EXPIRED = Rejected(Reason.EXPIRED)
_UNKNOWN = UnknownUser()

_No = Rejected | UnknownUser

_MEANINGS: dict[Code, tuple[_No | str, _No | str]] = {
    # code: (from pam_authenticate, from pam_acct_mgmt after an accepted secret); a text: nobody can tell, and what to do
    Code.PAM_SUCCESS: ("the account modules were not asked; is python-pam older than 2.1, or newer than 2?",) * 2,
    Code.PAM_OPEN_ERR: ("a module cannot be loaded: look for its file and at the syslog",) * 2,
    Code.PAM_SYMBOL_ERR: ("a module lacks a function: look at the syslog",) * 2,
    Code.PAM_SERVICE_ERR: ("a module failed: look at the syslog",) * 2,
    Code.PAM_SYSTEM_ERR: ("a module failed: look at the syslog",) * 2,
    Code.PAM_BUF_ERR: ("out of memory",) * 2,
    # pam_authenticate: also libpam's own word for a stack that ends by an ignored module (pam_dispatch.c, PAM_MUST_FAIL_CODE), and so
    # for a wrong password before pam_faillock's usual `[default=die] authfail`. pam_acct_mgmt: pam_access, pam_time, sssd's rules
    Code.PAM_PERM_DENIED: (_WRONG, _DISABLED),
    # pam_authenticate: so does pam_faillock for an account that it has locked (check_tally), with the right secret too.
    # pam_acct_mgmt: pam_nologin, pam_succeed_if, pam_deny
    Code.PAM_AUTH_ERR: (_WRONG, _DISABLED),
    Code.PAM_CRED_INSUFFICIENT: ("a module may not read what it needs: look at the syslog",) * 2,  # pam_authenticate(3)
    Code.PAM_AUTHINFO_UNAVAIL: ("what a module asks does not answer: look at the syslog",) * 2,
    # pam_acct_mgmt: the secret was right, so some module has this account, and another has not: no backend is to be asked further
    Code.PAM_USER_UNKNOWN: (_UNKNOWN, _DISABLED),
    Code.PAM_MAXTRIES: (_LOCKED, _LOCKED),  # pam_winbind: NT_STATUS_ACCOUNT_LOCKED_OUT
    Code.PAM_NEW_AUTHTOK_REQD: (_EXPIRED, _EXPIRED),  # no mail client can set a new one; the original refuses as well
    Code.PAM_ACCT_EXPIRED: (_EXPIRED, _EXPIRED),
    Code.PAM_SESSION_ERR: ("a module failed: look at the syslog",) * 2,
    Code.PAM_CRED_UNAVAIL: ("a module failed: look at the syslog",) * 2,
    Code.PAM_CRED_EXPIRED: (_EXPIRED, _EXPIRED),
    Code.PAM_CRED_ERR: ("a module failed: look at the syslog",) * 2,
    Code.PAM_NO_MODULE_DATA: ("a module failed: look at the syslog",) * 2,
    Code.PAM_CONV_ERR: ("a module asks for more than a password",) * 2,
    Code.PAM_AUTHTOK_ERR: ("a module failed: look at the syslog",) * 2,
    Code.PAM_AUTHTOK_RECOVERY_ERR: ("a module got no password: is `use_first_pass` on the first one of the stack?",) * 2,
    Code.PAM_AUTHTOK_LOCK_BUSY: ("the password file is locked by another program",) * 2,
    Code.PAM_AUTHTOK_DISABLE_AGING: ("a module failed: look at the syslog",) * 2,
    Code.PAM_TRY_AGAIN: ("a module wants to be asked again",) * 2,
    Code.PAM_IGNORE: ("no module decides: look at the stack",) * 2,
    Code.PAM_ABORT: ("the stack cannot be read, or a module gave up: look at the syslog",) * 2,
    Code.PAM_AUTHTOK_EXPIRED: (_EXPIRED, _EXPIRED),
    Code.PAM_MODULE_UNKNOWN: ("a module cannot be loaded: look for its file and at the syslog",) * 2,
    Code.PAM_BAD_ITEM: ("libpam refuses what it is told: is it Linux-PAM?",) * 2,
    Code.PAM_CONV_AGAIN: ("a module asks for more than a password",) * 2,
    Code.PAM_INCOMPLETE: ("a module wants to be asked again",) * 2,
}

_FUNCTIONS = {Stage.AUTHENTICATE: "pam_authenticate", Stage.ACCOUNT: "pam_acct_mgmt"}


def meaning(stage: Stage, number: int) -> _No | Unavailable:
    """What it says when the function of this stage returns this number. A success is no question to this table: it has an account."""
    function, judged = _FUNCTIONS[stage], stage is Stage.ACCOUNT
    try:
        code = Code(number)
    except ValueError:
        return Unavailable(f"{function}: {number} is no code that PAM knows: look for the module that returns it", judged=judged)
    said = _MEANINGS[code][judged]
    return Unavailable(f"{function}: {code.name}: {said}", judged=judged) if isinstance(said, str) else said
