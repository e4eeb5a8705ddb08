"""Every result code that decides a login, and what it says: the one table (rule G2).

What is not plainly a no is an outage: "wrong" makes clients throw a saved password away. Codes: RFC 4511 appendix A; what servers mean by
them on a bind: OpenLDAP's slapd and ppolicy, 389-ds's account lock (53) and retry limit (19), Active Directory's sub-codes.
"""

from __future__ import annotations

import re

from saslauthd_py.backends.ldap.directory import Answer
from saslauthd_py.verdict import Reason, Rejected, UnknownUser
from saslauthd_py.wire.ldap import ResultCode, describe

_WRONG = Rejected(Reason.WRONG_SECRET)
_LOCKED = Rejected(Reason.LOCKED)
_DISABLED = Rejected(Reason.DISABLED)
_EXPIRED = Rejected(Reason.EXPIRED)
_NO_SUCH_USER = 0x525

_DOMAIN_FAILS = frozenset({0x51F, 0x547, 0x54B, 0x6BA, 0x6BB, *range(0x6FA, 0x6FF), 0x700, 0x712, 0x80090311})
"""Windows' errors of a controller that reaches no other, or has lost its trust."""

_CONTROLLER_FAILS = frozenset({0x8, 0xE, 0x1F, 0x79, 0x54E, 0x54F, 0x567, 0x5AA, 0x5B4, 0x200E, 0x200F, 0x20EE, 0x80090300, 0x80090304})
"""Windows' errors of one whose memory, time or database gives out: Samba, where it cannot read an account's record, says 54e."""

_REFUSES_NOBODY = _DOMAIN_FAILS | _CONTROLLER_FAILS

_BINDS_NOBODY = re.compile(r"unwilling to perform simple authentication|operation restricted|minimum ssf", re.IGNORECASE)
"""With unwillingToPerform: OpenLDAP's `disallow bind_simple` and `restrict bind`, 389-ds's nsslapd-minssf. It is no account's fault."""


_PASSWORD_EXPIRED = re.compile(r"password expired", re.IGNORECASE)
"""With invalidCredentials: 389-ds, of the right password alone, when it has no grace logins left."""

_REFUSALS: dict[int, Rejected] = {
    ResultCode.INVALID_CREDENTIALS: _WRONG,
    ResultCode.INAPPROPRIATE_AUTHENTICATION: Rejected(Reason.NO_CREDENTIAL),  # the entry has no password
    ResultCode.UNWILLING_TO_PERFORM: _DISABLED,
    ResultCode.CONSTRAINT_VIOLATION: _LOCKED,
    ResultCode.INSUFFICIENT_ACCESS_RIGHTS: _DISABLED,  # it may not bind at all
}

_SUB_CODES: dict[int, Rejected] = {  # Windows' error numbers, in hexadecimal after invalidCredentials
    0x52E: _WRONG,
    0x52F: _DISABLED,  # a restriction of the account
    0x530: _DISABLED,  # not at this hour; this and what follows needs the right password, but for 775
    0x531: _DISABLED,  # not from this machine
    0x532: _EXPIRED,  # the password
    0x533: _DISABLED,
    0x701: _EXPIRED,  # the account
    0x773: _EXPIRED,  # must choose a new password, which no mail client can
    0x775: _LOCKED,
}

_MEANINGS: dict[int, str] = {
    **dict.fromkeys(_DOMAIN_FAILS, "it reaches no other controller of its domain"),
    **dict.fromkeys(_CONTROLLER_FAILS, "the controller itself has failed: see its own log"),
    0x52F: "a rule of the domain keeps this account from logging in so, such as the group Protected Users",
    0x530: "the account may not log in at this hour",
    0x531: "the account may log in from some machines only (userWorkstations)",
    0x532: "the account's password has expired",
    0x533: "the account is disabled",
    0x701: "the account has expired",
    0x773: "the account must be given a new password first",
    0x775: "the account is locked, after too many wrong passwords",
}

_SUB_CODE = re.compile(r"\bdata ([0-9a-f]{1,8})\b", re.IGNORECASE)

_NAMES_NO_ENTRY = frozenset({ResultCode.NO_SUCH_OBJECT, ResultCode.INVALID_DN_SYNTAX})
_COMPARES_NOTHING = _NAMES_NO_ENTRY | {ResultCode.SUCCESS}
"""389-ds does not tell just anybody that there is no such entry: it says success, which is no answer to a compare."""

_NOT_JUDGED = frozenset(
    {
        ResultCode.PROTOCOL_ERROR,
        ResultCode.AUTH_METHOD_NOT_SUPPORTED,
        ResultCode.STRONGER_AUTH_REQUIRED,
        ResultCode.REFERRAL,
        ResultCode.UNAVAILABLE_CRITICAL_EXTENSION,
        ResultCode.CONFIDENTIALITY_REQUIRED,
        ResultCode.INVALID_DN_SYNTAX,
        ResultCode.BUSY,
        ResultCode.UNAVAILABLE,
    }
)
"""What a server says of a bind before it looks at the password. Any other outage may hang on whether it was right (rule D9)."""

_ADVICE: dict[int, str] = {
    ResultCode.SUCCESS: "389-ds says this where there is no such entry, or it is hidden from bind_dn",
    ResultCode.OPERATIONS_ERROR: "Active Directory says this to whoever searches anonymously: is bind_dn set?",
    ResultCode.AUTH_METHOD_NOT_SUPPORTED: "it takes no simple bind",
    ResultCode.STRONGER_AUTH_REQUIRED: "it wants TLS: use ldaps://, or start_tls = true",
    ResultCode.CONFIDENTIALITY_REQUIRED: "it wants TLS: use ldaps://, or start_tls = true",
    ResultCode.REFERRAL: "another server knows more, and is never asked: name that one in servers, or correct the base",
    ResultCode.UNDEFINED_ATTRIBUTE_TYPE: "the server knows no such attribute",
    ResultCode.NO_SUCH_OBJECT: "there is no such entry, or it is hidden from bind_dn",
    ResultCode.INVALID_DN_SYNTAX: "it is no name of an entry",
    ResultCode.INSUFFICIENT_ACCESS_RIGHTS: "bind_dn may not do this",
    ResultCode.SIZE_LIMIT_EXCEEDED: "the server's own limit leaves nothing to see",
}

_UNKNOWN_TO_SERVER = frozenset(
    {
        ResultCode.PROTOCOL_ERROR,
        ResultCode.UNAVAILABLE_CRITICAL_EXTENSION,
        ResultCode.UNDEFINED_ATTRIBUTE_TYPE,
        ResultCode.INAPPROPRIATE_MATCHING,
        ResultCode.UNWILLING_TO_PERFORM,
    }
)

_MAX_DIAGNOSTIC = 200


class CannotTell(Exception):
    """An answer that decides nothing. Its text is one line for the log; `judged` as in `verdict.Unavailable`."""

    def __init__(self, text: str, *, judged: bool = False) -> None:
        super().__init__(text)
        self.judged = judged


def of_bind(answer: Answer, *, found: bool) -> Rejected | UnknownUser | None:
    """What came of a bind as a user; None: the secret is right. `found`: a search found the DN, else it was made of the login.

    Raises CannotTell. A DN of this login's own making that names no entry is nobody's; one that was found was somebody's a moment ago.
    """
    if answer.code == ResultCode.SUCCESS:
        return None
    sub_code = _sub_code(answer.code, answer.diagnostic)
    if sub_code == _NO_SUCH_USER or answer.code == ResultCode.NO_SUCH_OBJECT:
        return _WRONG if found else UnknownUser()
    if answer.code == ResultCode.INVALID_DN_SYNTAX and not found:  # a letter that the attribute cannot hold: `dc=b\C3\BCcher`
        return UnknownUser()
    if sub_code in _REFUSES_NOBODY:  # a read-only controller takes a right password, and asks another of a wrong one
        raise CannotTell(told(answer, "bind"), judged=True)
    if answer.code == ResultCode.UNWILLING_TO_PERFORM and _BINDS_NOBODY.search(answer.diagnostic):
        raise CannotTell(told(answer, "bind"))
    refused = _SUB_CODES.get(sub_code) if sub_code is not None else None
    if answer.code == ResultCode.INVALID_CREDENTIALS and _PASSWORD_EXPIRED.match(answer.diagnostic):
        refused = _EXPIRED
    refused = refused or _REFUSALS.get(answer.code)
    if refused is None:
        raise CannotTell(told(answer, "bind"), judged=answer.code not in _NOT_JUDGED)
    return refused


def of_search(answer: Answer, what: str) -> None:
    """Raises CannotTell where `entries` are not what the search found, or at least its beginning. `what` was searched for."""
    if answer.code == ResultCode.SUCCESS or (answer.code == ResultCode.SIZE_LIMIT_EXCEEDED and answer.entries):
        return
    raise CannotTell(told(answer, what))


def of_compare(answer: Answer, what: str) -> bool:
    """Whether the entry has the value. Raises CannotTell."""
    if answer.code in {ResultCode.COMPARE_TRUE, ResultCode.COMPARE_FALSE}:
        return answer.code == ResultCode.COMPARE_TRUE
    if answer.code == ResultCode.NO_SUCH_ATTRIBUTE:
        return False
    raise CannotTell(told(answer, what))


def names_no_entry(answer: Answer) -> bool:
    """There is no entry of the name that was given, or none could have it."""
    return answer.code in _NAMES_NO_ENTRY


def compares_no_entry(answer: Answer) -> bool:
    """As `names_no_entry`, of a compare."""
    return answer.code in _COMPARES_NOTHING


def not_understood(answer: Answer) -> bool:
    """The server does not know what the filter asks for, and says so."""
    return answer.code in _UNKNOWN_TO_SERVER


def told(answer: Answer, what: str) -> str:
    """One line: who said it, of what, the code, what it means for an admin, and the server's own words."""
    said = f"{answer.server}: {what}: {describe(answer.code)}"
    diagnostic = answer.diagnostic.strip("\0 \r\n")[:_MAX_DIAGNOSTIC]
    return "; ".join(filter(None, (said, _ADVICE.get(answer.code) or meaning(answer.code, diagnostic), diagnostic)))


def meaning(code: int, diagnostic: str) -> str | None:
    """What Active Directory's sub-code, a number in its text, says to an admin."""
    return _MEANINGS.get(_sub_code(code, diagnostic) or 0)


def refuses_nobody(code: int, diagnostic: str) -> bool:
    """It says invalidCredentials, and of no account: of itself or of its domain."""
    return _sub_code(code, diagnostic) in _REFUSES_NOBODY


def _sub_code(code: int, diagnostic: str) -> int | None:
    found = _SUB_CODE.search(diagnostic) if code == ResultCode.INVALID_CREDENTIALS else None
    return int(found[1], 16) if found else None
