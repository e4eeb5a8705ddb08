"""A Cyrus IMAP server as it is set up, read from imapd.conf: its sasl_ options are libsasl's own."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from saslauthd_py.mta import processes, smtpd_conf
from saslauthd_py.mta.caller import Caller, Source
from saslauthd_py.mta.distribution import Distribution
from saslauthd_py.mta.smtpd_conf import SaslConf

DEFAULT_FILE = "/etc/imapd.conf"
SERVICES = ("imap", "pop", "sieve")
"""What its programs call themselves to libsasl."""

_USERS = ("cyrus", "cyrus-imap")
_PROGRAMS = ("imapd", "pop3d", "timsieved", "lmtpd")
_PREFIX = "sasl_"
_MASTERS = tuple(
    f"/usr/{one}" for one in ("sbin/cyrmaster", "lib/cyrus/bin/master", "lib/cyrus-imapd/cyrus-master", "libexec/cyrus-imapd/master")
)
"""Where distributions keep it."""


@dataclass(frozen=True, slots=True)
class CyrusImap:
    """`options` are those of imapd.conf, with keys in lower case."""

    file: str
    options: Mapping[str, str]

    @property
    def sasl(self) -> SaslConf:
        """Its options for libsasl, as a file of libsasl's would have them."""
        own = {key.removeprefix(_PREFIX): value for key, value in self.options.items() if key.startswith(_PREFIX)}
        return SaslConf((self.file,), self.file, own)


def is_here(file: str | None = None) -> bool:
    """Is there an imapd.conf, and the server? A package that was removed leaves the former behind."""
    return os.path.isfile(file or DEFAULT_FILE) and (file is not None or any(map(os.path.exists, _MASTERS)))


def read(file: str | None = None) -> CyrusImap:
    """The server of that imapd.conf. Raises programs.Unreadable."""
    return CyrusImap(file or DEFAULT_FILE, smtpd_conf.read(file or DEFAULT_FILE))


def callers(imap: CyrusImap, distribution: Distribution) -> tuple[Caller, ...]:
    """Its programs as one: they are one user, in no chroot. None where it does not ask saslauthd, or its user is not there."""
    if "saslauthd" not in imap.sasl.methods:
        return ()
    path = imap.sasl.options.get("saslauthd_path", distribution.saslauthd_path)
    for user in (imap.options.get("cyrus_user", ""), *_USERS):
        try:
            who = processes.of_user(user)
        except KeyError:
            continue
        source = Source(imap.file, f"{_PREFIX}saslauthd_path", path)
        own = imap.options.get("defaultdomain", "") if imap.options.get("virtdomains", "off") not in ("off", "no", "0") else ""
        return (Caller("imapd", "saslauthd", SERVICES[0], path, source, who, programs=_PROGRAMS, realm_taken_off=own),)
    return ()
