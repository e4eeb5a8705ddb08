"""The login that `test` makes, in the words of each protocol."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address

from saslauthd_py.cli import dovecot_client, pwcheck_client, saslauthd_client
from saslauthd_py.cli.exits import CommandFailed, Exit
from saslauthd_py.cli.socket_client import Reply, Where, name_bytes
from saslauthd_py.control.protocol import PLAIN, Sasl
from saslauthd_py.mechanisms.client import Credentials
from saslauthd_py.secret import Secret
from saslauthd_py.wire.dovecot.events import MailClient
from saslauthd_py.wire.pwcheck import SERVICE
from saslauthd_py.wire.saslauthd import Request

EXTERNAL = "EXTERNAL"
"""The mechanism without a secret: the mail server vouches for a certificate in USER's name."""

_DEFAULT_SERVICE = "smtp"
_DEFAULT_MECHANISM = "PLAIN"

_OF_DOVECOT = ("mechanism", "authzid", "no_tls", "address")
_UNSAID = {
    "saslauthd": (_OF_DOVECOT, "only --protocol dovecot has that"),
    "pwcheck": (
        ("realm", "service", "client_ip", *_OF_DOVECOT),
        "a pwcheck request is a name and a password and says no more; a realm is part of the name, USER@REALM",
    ),
    "dovecot": (("realm",), "a realm is part of the name here, USER@REALM"),
}
"""By protocol: the flags for which it has no words, and why."""


@dataclass(frozen=True, slots=True)
class Login:
    """One login and its protocol. `request` has it in the words of the saslauthd protocol, as the control socket takes it.

    `sasl`: what of it these words cannot say, as the control socket takes that; `more`: the same by name, where there is any.
    """

    protocol: str
    request: Request
    ask: Callable[[Where], Reply]
    sasl: Sasl = PLAIN
    more: Mapping[str, str] = field(default_factory=dict)


def check(arguments: argparse.Namespace, protocol: str) -> None:
    """Raises CommandFailed for what cannot be asked so: before anybody is asked for a password."""
    unsaid, why = _UNSAID[protocol]
    if flags := [name for name in unsaid if getattr(arguments, name)]:
        raise CommandFailed(Exit.USAGE, f"--{flags[0].replace('_', '-')}: {why}")
    _address(arguments.client_ip)
    if arguments.mechanism == EXTERNAL and (arguments.password_stdin or arguments.password_file):
        raise CommandFailed(Exit.USAGE, f"{EXTERNAL} has no password: leave --password-stdin and --password-file out")


def login(arguments: argparse.Namespace, protocol: str, secret: Secret) -> Login:
    """The login that the command line describes, which `check` has passed."""
    return {"saslauthd": _saslauthd, "pwcheck": _pwcheck, "dovecot": _dovecot}[protocol](arguments, secret)


def _saslauthd(arguments: argparse.Namespace, secret: Secret) -> Login:
    client = _address(arguments.client_ip)
    request = saslauthd_client.as_libsasl(arguments.user, secret, _service(arguments), arguments.realm, client)
    return Login("saslauthd", request, lambda where: saslauthd_client.ask(where, request))


def _pwcheck(arguments: argparse.Namespace, secret: Secret) -> Login:
    request = pwcheck_client.as_libsasl(arguments.user, secret)
    return Login("pwcheck", Request(request.userid, secret, SERVICE.encode(), b""), lambda where: pwcheck_client.ask(where, request))


def _dovecot(arguments: argparse.Namespace, secret: Secret) -> Login:
    mechanism, authzid, client = arguments.mechanism or _DEFAULT_MECHANISM, arguments.authzid or "", _address(arguments.client_ip)
    user, service = name_bytes(arguments.user), name_bytes(_service(arguments))
    certified = mechanism == EXTERNAL
    asked = dovecot_client.Login(
        mechanism,
        Credentials(arguments.user, secret, authzid),
        service,
        MailClient(ip_address(client) if client else None, not arguments.no_tls, certified, user if certified else b""),
    )
    request = Request(user, secret, service, b"", name_bytes(f"{client};0" if client else ""))
    sasl = Sasl(mechanism, name_bytes(authzid), not arguments.no_tls)
    more = {"mechanism": mechanism, "authzid": authzid}
    return Login("dovecot", request, lambda where: dovecot_client.ask(where, asked), sasl, more)


def _service(arguments: argparse.Namespace) -> str:
    return _DEFAULT_SERVICE if arguments.service is None else arguments.service


def _address(text: str | None) -> str:
    try:
        return str(ip_address(text)) if text else ""
    except ValueError:
        raise CommandFailed(Exit.USAGE, f"--client-ip {text}: not an IP address") from None
