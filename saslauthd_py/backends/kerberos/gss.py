"""The calls, by the machine's Kerberos library through python-gssapi: GSS-API (RFC 2743, RFC 4121) with MIT's extensions of it.

Every call that may wait releases the interpreter lock: beside a KDC that took the connection and never answered, for 25 s, another thread
went on at its full speed, its longest pause 29 ms (two cores in use by others; python-gssapi 1.8.2, MIT 1.20). A login takes 8 ms, 3 of
them for the key that is made of the password. Imported only where there is such a backend.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager

import gssapi
from gssapi import raw

from saslauthd_py.backends.kerberos.proving import NotProved, Step
from saslauthd_py.config.settings import KerberosSettings
from saslauthd_py.secret import Secret

_KERBEROS = gssapi.MechType.kerberos
_NO_LIBRARY = 0
_SIGN = 1 << 31


class Gss:
    """Implements `Proving`. It makes no file: tickets are kept in memory, until the end of the call (ccache MEMORY of the library's own).

    No replay cache either: what it accepts, it has made itself a moment ago.
    """

    def __init__(self, settings: KerberosSettings) -> None:
        self._principal = settings.verify_principal.encode()
        self._store = {b"keytab": b"FILE:" + settings.keytab.encode(), b"rcache": b"none:"}

    def prove(self, principal: str, secret: Secret) -> None:
        """As `Proving.prove`."""
        with _step(Step.KEYTAB):  # first: the KDC is not asked for what could not be proved (rule D9)
            ours = self._target()
            acceptor = self._acceptor(ours)
        with _step(Step.PASSWORD):
            name = _imported(principal.encode(), raw.NameType.kerberos_principal)
            credentials = raw.acquire_cred_with_password(name, secret.reveal(), mechs=[_KERBEROS], usage="initiate").creds
        _prove(ours, acceptor, credentials, name)

    def check_keytab(self) -> None:
        """As `Proving.check_keytab`."""
        with _step(Step.KEYTAB):
            self._acceptor(self._target())

    def check_kdc(self) -> None:
        """As `Proving.check_kdc`."""
        with _step(Step.KEYTAB):
            ours = self._target()
            acceptor = self._acceptor(ours)
        with _step(Step.TICKET):
            store = {b"client_keytab": self._store[b"keytab"], b"ccache": b"MEMORY:" + secrets.token_hex(8).encode()}  # no ticket of before
            credentials = raw.acquire_cred_from(store, ours, usage="initiate", mechs=[_KERBEROS]).creds
        _prove(ours, acceptor, credentials, ours)

    def _target(self) -> raw.Name:
        kind = raw.NameType.kerberos_principal if b"/" in self._principal else raw.NameType.hostbased_service
        return _imported(self._principal, kind)

    def _acceptor(self, ours: raw.Name) -> raw.Creds:
        return raw.acquire_cred_from(self._store, ours, usage="accept", mechs=[_KERBEROS]).creds


def _prove(ours: raw.Name, acceptor: raw.Creds, credentials: raw.Creds, whose: raw.Name) -> None:
    """Get a ticket for us, and open it by our own key: whoever could make it has that key too, and so is the KDC."""
    with _step(Step.TICKET):
        token = raw.init_sec_context(ours, creds=credentials, mech=_KERBEROS).token
    with _step(Step.PROOF):
        proved = raw.accept_sec_context(token, acceptor_creds=acceptor).initiator_name
        same = raw.compare_name(proved, whose)
    if not same:  # rule B1
        raise NotProved(Step.PROOF, _NO_LIBRARY, "the ticket is another principal's")


def _imported(name: bytes, kind: gssapi.OID) -> raw.Name:
    """As Kerberos has it: with its realm."""
    return raw.canonicalize_name(raw.import_name(name, kind), _KERBEROS)


@contextmanager
def _step(step: Step) -> Iterator[None]:
    try:
        yield
    except raw.GSSError as error:
        code = error.min_code - 2 * _SIGN if error.min_code >= _SIGN else error.min_code
        words = error.get_all_statuses(error.min_code, is_maj=False) or error.get_all_statuses(error.maj_code, is_maj=True)
        raise NotProved(step, code, ", ".join(words)) from None
