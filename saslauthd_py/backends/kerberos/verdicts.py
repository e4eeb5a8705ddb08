"""Every code of the Kerberos library that decides a login, and what it says: the one table.

Codes: RFC 4120 section 7.5.9, in MIT's and Heimdal's numbers (krb5_err.et), and one of MIT's GSS-API. What is not
plainly a no is an outage.
"""

from __future__ import annotations

import errno
from enum import IntEnum

from saslauthd_py.backends.kerberos.proving import NotProved, Step
from saslauthd_py.config.settings import KerberosSettings
from saslauthd_py.verdict import Reason, Rejected, Unavailable, UnknownUser, Verdict

_BASE = -1765328384
"""ERROR_TABLE_BASE_krb5: the number before which those of a KDC's messages count."""


class Code(IntEnum):
    """Of the library's errors, those that are told apart here."""

    KDC_ERR_NAME_EXP = _BASE + 1
    KDC_ERR_C_PRINCIPAL_UNKNOWN = _BASE + 6
    KDC_ERR_S_PRINCIPAL_UNKNOWN = _BASE + 7
    KDC_ERR_NULL_KEY = _BASE + 9
    KDC_ERR_POLICY = _BASE + 12
    KDC_ERR_ETYPE_NOSUPP = _BASE + 14
    KDC_ERR_CLIENT_REVOKED = _BASE + 18
    KDC_ERR_CLIENT_NOTYET = _BASE + 21
    KDC_ERR_KEY_EXPIRED = _BASE + 23
    KDC_ERR_PREAUTH_FAILED = _BASE + 24
    KDC_ERR_SVC_UNAVAILABLE = _BASE + 29
    KRB_AP_ERR_BAD_INTEGRITY = _BASE + 31
    KRB_AP_ERR_TKT_EXPIRED = _BASE + 32
    KRB_AP_ERR_TKT_NYV = _BASE + 33
    KRB_AP_ERR_SKEW = _BASE + 37
    KRB_AP_ERR_BADKEYVER = _BASE + 44
    KDC_ERR_WRONG_REALM = _BASE + 68
    KRB5_KDCREP_SKEW = _BASE + 147
    KRB5_REALM_UNKNOWN = _BASE + 154
    KRB5_KDC_UNREACH = _BASE + 156
    KRB5_KT_NOTFOUND = _BASE + 181
    KG_KEYTAB_NOMATCH = 39756033
    KRB5_PREAUTH_FAILED = _BASE + 210
    KRB5_KEYTAB_BADVNO = _BASE + 213


_OF_PASSWORD: dict[int, Verdict] = {
    Code.KDC_ERR_C_PRINCIPAL_UNKNOWN: UnknownUser(),
    Code.KDC_ERR_PREAUTH_FAILED: Rejected(Reason.WRONG_SECRET),
    Code.KRB_AP_ERR_BAD_INTEGRITY: Rejected(Reason.WRONG_SECRET),  # of an account without preauthentication: the reply cannot be read
    Code.KDC_ERR_NULL_KEY: Rejected(Reason.NO_CREDENTIAL),
    Code.KDC_ERR_CLIENT_REVOKED: Rejected(Reason.LOCKED),  # disabled, or locked after too many wrong passwords: one word for both
    Code.KDC_ERR_CLIENT_NOTYET: Rejected(Reason.DISABLED),
    Code.KDC_ERR_POLICY: Rejected(Reason.DISABLED),  # not at this hour, not from here
    Code.KDC_ERR_NAME_EXP: Rejected(Reason.EXPIRED),
    Code.KDC_ERR_KEY_EXPIRED: Rejected(Reason.EXPIRED),
}

_NOT_JUDGED = frozenset(
    {
        Code.KDC_ERR_S_PRINCIPAL_UNKNOWN,
        Code.KDC_ERR_ETYPE_NOSUPP,
        Code.KDC_ERR_SVC_UNAVAILABLE,
        Code.KDC_ERR_WRONG_REALM,
        Code.KRB5_REALM_UNKNOWN,
        Code.KRB5_KDC_UNREACH,
        Code.KRB5_PREAUTH_FAILED,
    }
)
"""What may be said before anybody looks at the password. Any other outage may hang on whether it was right (rule D9)."""

_NO_KEY = "it has no such key: write it with `ktadd`, or name another verify_principal"

_CLOCKS = "the clocks of KDC and machine differ: set them by NTP"

_ADVICE: dict[int, str] = {
    Code.KDC_ERR_ETYPE_NOSUPP: "KDC and this machine have no encryption in common for it: a new password gives the account newer keys",
    Code.KDC_ERR_WRONG_REALM: "another realm has it: name that in realm",
    Code.KRB_AP_ERR_TKT_EXPIRED: _CLOCKS,
    Code.KRB_AP_ERR_TKT_NYV: _CLOCKS,
    Code.KRB_AP_ERR_SKEW: _CLOCKS,
    Code.KRB5_KDCREP_SKEW: _CLOCKS,
    Code.KRB5_REALM_UNKNOWN: "name its KDC in /etc/krb5.conf, or correct realm",
    Code.KRB5_KDC_UNREACH: "does it run, and does a firewall let it through?",
    Code.KRB5_PREAUTH_FAILED: "the KDC wants another proof of it than a password",
    Code.KDC_ERR_S_PRINCIPAL_UNKNOWN: "the KDC does not know verify_principal: correct it, or make the principal and its keytab",
    Code.KRB_AP_ERR_BADKEYVER: "the key in keytab is not the KDC's of today: write it anew (ktadd)",
    Code.KRB_AP_ERR_BAD_INTEGRITY: "the key in keytab is not the KDC's: write it anew (ktadd); if it is the KDC's, that was not your KDC",
    Code.KRB5_KT_NOTFOUND: _NO_KEY,
    Code.KG_KEYTAB_NOMATCH: _NO_KEY,
    errno.ENOENT: "write it with `ktadd`, or name the one there is in keytab",
    errno.EACCES: "chown it to the daemon's user, mode 0400, or write it one of its own",
    Code.KRB5_KEYTAB_BADVNO: "the file is no keytab",
}

_MAX_TEXT = 200


def of(failure: NotProved) -> Verdict:
    """What it says of the login."""
    if failure.step is Step.PASSWORD and (verdict := _OF_PASSWORD.get(failure.code)):
        return verdict
    judged = failure.step in {Step.TICKET, Step.PROOF} or (failure.step is Step.PASSWORD and failure.code not in _NOT_JUDGED)
    return Unavailable(told(failure), judged=judged)


def unproved(settings: KerberosSettings, failure: NotProved) -> str:
    """What a keytab that cannot be used means for all logins."""
    return f"{settings.keytab}, {settings.verify_principal}: {told(failure)}; until that is mended every login is unavailable"


def told(failure: NotProved) -> str:
    """One line: the step, the library's words, and what it means for an admin."""
    return "; ".join(filter(None, (f"{failure.step.value}: {str(failure)[:_MAX_TEXT]}", _ADVICE.get(failure.code))))
