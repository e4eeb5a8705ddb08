"""What a server says of a login, and what that means: the one table of response codes (RFC 5530, and what servers make of it).

A plain NO is a wrong password, unless its words say something else: libsasl's own, or those of servers that have no code for an outage.
A NO with any other code than those that speak of the account is an outage: "wrong" makes clients throw a saved password away.
"""

from __future__ import annotations

import base64
import re

from saslauthd_py.secret import Secret
from saslauthd_py.verdict import Reason, Rejected, Unavailable
from saslauthd_py.wire.imap import Response, Status, shown

_REFUSALS: dict[str, Rejected] = {
    "": Rejected(Reason.WRONG_SECRET),
    "ALERT": Rejected(Reason.WRONG_SECRET),  # a text that the user is to see, and nothing else
    "AUTHENTICATIONFAILED": Rejected(Reason.WRONG_SECRET),
    "AUTHORIZATIONFAILED": Rejected(Reason.DISABLED),
    "NOPERM": Rejected(Reason.DISABLED),
    "CONTACTADMIN": Rejected(Reason.DISABLED),  # Dovecot: logins of this user are switched off
    "EXPIRED": Rejected(Reason.EXPIRED),
}

_WORDS_OF_LIBSASL: dict[bytes, Rejected | None] = {
    b"generic failure": None,
    b"no memory available": None,
    b"no mechanism available": None,
    b"transient failure (e.g., weak key)": None,
    b"encryption needed to use mechanism": None,
    b"remote authentication server unavailable": None,
    b"authorization failure": Rejected(Reason.DISABLED),
    b"account disabled": Rejected(Reason.DISABLED),
    b"passphrase expired, has to be reset": Rejected(Reason.EXPIRED),
}
"""Cyrus imapd gives no codes: its NO ends with libsasl's own words, also where saslauthd or sasldb is gone. None: nobody can tell."""

_OUTAGE = re.compile(rb"unavailable|temporar|too many|exceeded|(?:internal|server|system) error", re.IGNORECASE)
"""Exchange: "Server Unavailable. 15"; Gmail, with no code but ALERT: "Too many simultaneous connections. (Failure)"; old Dovecots."""

_WORDED = frozenset({"", "ALERT"})
"""Where there is no more than words to say what a NO means."""

_ADVICE: dict[str, str] = {
    "PRIVACYREQUIRED": "it wants TLS: use imaps://, or start_tls = true",
    "REFERRAL": "another server knows this user, and is never asked: name that one in servers",
    "LIMIT": "too many logins or connections for it: raise its limit for this machine",
}

_NOT_JUDGED = frozenset({"UNAVAILABLE", "PRIVACYREQUIRED", "REFERRAL"})
"""What a server says before it looks at the password. Any other outage may hang on whether it was right (rule D9)."""


def of_login(said: Response, server: str, told: str) -> Rejected | Unavailable | None:
    """What came of a login; None: the secret is right. `told` is what `words` gave."""
    if said.word == Status.OK:
        return None
    refused = _refused(said) if said.word == Status.NO else None
    return refused or Unavailable(_told(said, server, told), judged=judged(said))


def judged(said: Response) -> bool:
    """Whether an outage may hang on what the secret was (rule D9)."""
    return said.code not in _NOT_JUDGED and not _phrase(said)


def elsewhere(said: Response) -> bool:
    """Whether another server may know more: what this one asks is gone, or it does not understand."""
    unsure = said.word == Status.NO and said.code in {*_WORDED, "UNAVAILABLE"} and _refused(said) is None
    return unsure or said.word == Status.BAD


def words(said: Response, name: bytes, secret: Secret) -> str:
    """A server's own words where they are worth a line. None where they repeat what it was sent: the secret, or PLAIN's message."""
    if said.word == Status.NO and (said.code or _OUTAGE.search(said.text)) and not _repeats(said.text, name, secret):
        return shown(said.text)
    return _phrase(said).decode()


def _repeats(text: bytes, name: bytes, secret: Secret) -> bool:
    """A server may cut what it repeats: so the beginning of the message is enough, which every name has."""
    return secret.reveal() in text or base64.b64encode(b"\0" + name + b"\0" + secret.reveal())[:8] in text


def _refused(said: Response) -> Rejected | None:
    """What a NO says of the account; None: nothing."""
    if phrase := _phrase(said):
        return _WORDS_OF_LIBSASL[phrase]
    return None if said.code in _WORDED and _OUTAGE.search(said.text) else _REFUSALS.get(said.code)


def _phrase(said: Response) -> bytes:
    """Those of libsasl's words that a NO without a code ends with, or none."""
    if said.word != Status.NO or said.code:
        return b""
    text = said.text.strip()
    return next((phrase for phrase in _WORDS_OF_LIBSASL if text.endswith(phrase)), b"")


def _told(said: Response, server: str, told: str) -> str:
    answer = f"{said.word} [{said.code}]" if said.code else str(said.word)
    return "; ".join(filter(None, (f"{server}: login: {answer}", _ADVICE.get(said.code), told)))
