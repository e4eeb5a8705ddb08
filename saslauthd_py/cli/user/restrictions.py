"""--service, --network and --expires as restrictions of a secret."""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from datetime import datetime
from ipaddress import IPv4Network, IPv6Network, ip_network

from saslauthd_py.cli.exits import CommandFailed, Exit
from saslauthd_py.cli.user import account
from saslauthd_py.config.settings.values import parse_duration
from saslauthd_py.credential import UNRESTRICTED, Restrictions, service_word


def given(arguments: argparse.Namespace, present: Restrictions = UNRESTRICTED) -> Restrictions:
    """`present` with what the flags replace. Raises CommandFailed for a flag that cannot be."""
    limits = present
    if arguments.service is not None:
        limits = replace(limits, services=tuple(dict.fromkeys(map(_service, arguments.service))))
    if arguments.network is not None:
        limits = replace(limits, networks=tuple(dict.fromkeys(map(_network, arguments.network))))
    if arguments.expires is not None:
        limits = replace(limits, expires=_moment(arguments.expires, time.time()))
    return limits


def _service(text: str) -> str:
    if not text or not text.isprintable() or "*" in text:
        raise CommandFailed(Exit.USAGE, f'--service: the name of a service, such as "smtp", not {text!r}')
    return service_word(text)


def _network(text: str) -> IPv4Network | IPv6Network:
    try:
        return ip_network(text)
    except ValueError as error:
        raise CommandFailed(Exit.USAGE, f"--network: {error}{_meant(text)}") from None


def _meant(text: str) -> str:
    """The network that an address with a length is in."""
    try:
        return f": say {ip_network(text, strict=False)}"
    except ValueError:
        return ""


def _moment(text: str, now: float) -> float:
    moment = _date(text) or now + _duration(text)
    if moment <= now:
        raise CommandFailed(Exit.USAGE, f"--expires {text}: that is over; to keep a user out: saslauthd-py user lock")
    if moment > account.LATEST:
        raise CommandFailed(Exit.USAGE, f"--expires {text}: after the year 9998, which no calendar shows; leave it out")
    return moment


def _date(text: str) -> float | None:
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        return None


def _duration(text: str) -> float:
    try:
        return parse_duration(text)
    except ValueError:
        raise CommandFailed(Exit.USAGE, f"--expires {text}: a date such as 2027-01-31, or a time such as 90d or 8h") from None
