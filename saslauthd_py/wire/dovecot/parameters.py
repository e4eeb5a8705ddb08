"""The parameters of AUTH. What is not listed here is ignored, and so is every hint that would relax a limit (rule D10)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address

from saslauthd_py.secret import Secret
from saslauthd_py.wire.dovecot.events import MailClient, Violation


@dataclass(frozen=True, slots=True)
class Parameters:
    """What an AUTH line says behind its mechanism. `resp` is still base64; None: the line has none."""

    service: bytes
    client: MailClient
    final_resp_ok: bool
    resp: Secret | None


def parse(fields: Iterable[bytes]) -> Parameters | Violation:
    """The parameters in these fields, unescaped. One that comes twice counts as it came last, as in Dovecot."""
    named: dict[bytes, bytes] = {}
    for field in fields:
        if b"resp" in named:
            return Violation.AFTER_RESP
        name, equals, value = field.partition(b"=")
        if name == b"resp" and not equals:  # a bare word, not an initial response
            continue
        named[b"service" if name == b"protocol" else name] = value
    service = named.get(b"service", b"")
    if not service:
        return Violation.NO_SERVICE
    if b"\0" in service:
        return Violation.NUL
    client = MailClient(
        address=_address(named.get(b"rip", b"")),
        secured=b"secured" in named,
        certified=b"valid-client-cert" in named,
        certificate_user=named.get(b"cert_username", b""),
        session=named.get(b"session", b""),
    )
    resp = named.get(b"resp")
    return Parameters(service, client, b"final-resp-ok" in named, None if resp is None else Secret(resp))


def _address(value: bytes) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(value.decode("ascii"))
    except ValueError:
        return None  # Postfix sends an empty one where it knows none; a bad one is no address (rule D10)
    return None if isinstance(address, IPv6Address) and address.scope_id is not None else address
