"""What an AUTH means on one listener: whom it names, and what of its words about the mail client is believed (rule D10)."""

from __future__ import annotations

from dataclasses import dataclass

from saslauthd_py import identity
from saslauthd_py.backend import Address, Attempt
from saslauthd_py.config.settings import Listen, Trust
from saslauthd_py.credential import service_word
from saslauthd_py.identity import Identity
from saslauthd_py.proxy_users import same
from saslauthd_py.wire.dovecot import PLAINTEXT, Auth, Failure

ENCRYPTION_REQUIRED = Failure("plaintext authentication is not allowed without TLS")
"""Shown to whoever tries: it says nothing of any account."""

_SERVICES = {"submission": "smtp", "lmtp": "smtp"}
"""Dovecot's words for what is one service to SASL (its `auth_sasl_translate_protocol_name`)."""


@dataclass(frozen=True, slots=True)
class Reading:
    """One listener's settings, and `default_realm` for names that come without one."""

    listen: Listen
    default_realm: str = ""

    def refusal(self, auth: Auth) -> Failure | None:
        """Why this exchange may not even begin: its secret would come, or has come, in clear."""
        secured = auth.client.secured and self.listen.trusted_up_to >= Trust.TLS
        return ENCRYPTION_REQUIRED if self.listen.require_tls and auth.mechanism in PLAINTEXT and not secured else None

    def service(self, auth: Auth) -> str:
        """As routes and backends know it."""
        word = service_word(auth.service.decode("utf-8", "backslashreplace"))
        return _SERVICES.get(word, word)

    def address(self, auth: Auth) -> Address | None:
        """The mail client's, where the listener is trusted to know it."""
        return auth.client.address if self.listen.trusts_addresses else None

    def certificate(self, auth: Auth) -> str | None:
        """The name in a certificate that the mail server has checked, where the listener is trusted to say so."""
        client = auth.client
        if self.listen.trusted_up_to < Trust.CERTIFICATE or not client.certified:
            return None
        try:
            return client.certificate_user.decode() or None
        except UnicodeDecodeError:
            return None

    def names(self, authzid: str, authcid: str) -> tuple[Identity, Identity | None]:
        """Who proves, and as whom they want to act; None: as themselves. Raises InvalidIdentity."""
        name = self._identity(authcid)
        if not authzid:
            return name, None
        acting = self._identity(authzid)
        return name, None if same(name, acting) else acting

    def _identity(self, name: str) -> Identity:
        return identity.split(name, default_realm=self.default_realm)


def asked(attempt: Attempt) -> bytes:
    """What an attempt asks, in one form for all mechanisms: the bytes that its proof goes by (rule C2). No `span` begins with its NUL."""
    parts = (attempt.identity.local.encode(), attempt.identity.realm.encode(), attempt.service.encode(), attempt.secret.reveal())
    return b"\0" + b"".join(len(part).to_bytes(4, "big") + part for part in parts)
