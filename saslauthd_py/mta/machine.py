"""All mail servers of a machine that ask for passwords, as one value."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from saslauthd_py.mta import cyrus_imap, distribution, exim, postfix, postfix_callers, smtpd_conf
from saslauthd_py.mta.caller import Caller
from saslauthd_py.mta.cyrus_imap import CyrusImap
from saslauthd_py.mta.distribution import Distribution
from saslauthd_py.mta.exim import Exim
from saslauthd_py.mta.postfix import Postfix
from saslauthd_py.mta.programs import Unreadable
from saslauthd_py.mta.smtpd_conf import SaslConf

MAIL_SERVERS = ("postfix", "exim", "cyrus-imap")

_Read = TypeVar("_Read")


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which mail servers are looked at, None: all that are here; and where their configuration lies, None: where it always does.

    `exim_program` is for an Exim that lies elsewhere than the system's.
    """

    mail_server: str | None = None
    postfix_config: str | None = None
    exim_config: str | None = None
    exim_program: str | None = None
    imapd_conf: str | None = None


@dataclass(frozen=True, slots=True)
class Machine:
    """What was found. `faults` say of a mail server that is wanted why it cannot be looked at.

    `sasl` is libsasl's file of Postfix, None: its type is not cyrus, or the file is in `faults`.
    """

    distribution: Distribution
    postfix: Postfix | None = None
    sasl: SaslConf | None = None
    exim: Exim | None = None
    cyrus_imap: CyrusImap | None = None
    callers: tuple[Caller, ...] = ()
    faults: Mapping[str, str] = field(default_factory=dict)

    @property
    def empty(self) -> bool:
        """There is no mail server at all."""
        return not (self.postfix or self.exim or self.cyrus_imap or self.callers or self.faults)


def read(wanted: Wanted) -> Machine:
    """The machine as it is now. Runs postconf and exim, a few seconds at most each; raises nothing of theirs."""
    return _Reading(wanted).machine()


class _Reading:
    """One reading, with the faults that it meets."""

    def __init__(self, wanted: Wanted) -> None:
        self._wanted = wanted
        self._here = distribution.here()
        self._faults: dict[str, str] = {}

    def machine(self) -> Machine:
        wanted, here = self._wanted, self._here
        mail = self._found("postfix", wanted.postfix_config, postfix.is_here, postfix.read)
        sasl = self._sasl(mail) if mail is not None else None
        exchange = self._found(
            "exim",
            wanted.exim_config or wanted.exim_program,
            lambda _: exim.is_here(wanted.exim_config, wanted.exim_program),
            lambda _: exim.read(wanted.exim_config, wanted.exim_program),
        )
        imap = self._found("cyrus-imap", wanted.imapd_conf, cyrus_imap.is_here, cyrus_imap.read)
        callers = (
            *(postfix_callers.callers(mail, sasl, here) if mail is not None else ()),
            *(exim.callers(exchange, here) if exchange is not None else ()),
            *(cyrus_imap.callers(imap, here) if imap is not None else ()),
        )
        return Machine(here, mail, sasl, exchange, imap, callers, self._faults)

    def _found(
        self, name: str, where: str | None, is_here: Callable[[str | None], bool], read: Callable[[str | None], _Read]
    ) -> _Read | None:
        named = self._wanted.mail_server == name or where is not None
        if self._wanted.mail_server not in (None, name) or not (named or is_here(where)):
            return None
        return self._tried(name, lambda: read(where))

    def _sasl(self, mail: Postfix) -> SaslConf | None:
        services = [one for one in mail.logins() if mail.value("smtpd_sasl_type", one) == "cyrus"]
        if not services:
            return None
        return self._tried("postfix", lambda: smtpd_conf.find(mail, self._here, services[0]))

    def _tried(self, name: str, reading: Callable[[], _Read]) -> _Read | None:
        try:
            return reading()
        except Unreadable as error:
            self._faults[name] = str(error)
            return None
