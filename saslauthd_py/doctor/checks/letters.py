"""15: passwords that are long, or hold more than ASCII: which hop would cut or refuse them."""

from __future__ import annotations

from collections.abc import Iterator

from saslauthd_py import passwords
from saslauthd_py.config.settings import Settings, StoreSettings
from saslauthd_py.doctor import postfix_lines
from saslauthd_py.doctor.case import Case
from saslauthd_py.doctor.said import Said, passed, skipped, warned

LONG = 256
"""Bytes that a passphrase or a token may well have."""

_LEAST_RESPONSE = 12288
"""RFC 4954 section 4: what a server has to take of a line of AUTH; Postfix's default."""


def find(case: Case) -> Iterator[Said]:
    """A line for each limit below what people may use. Nobody is logged in to find out."""
    if case.settings is None:
        yield skipped("the configuration cannot be used", case.command("config check"))
        return
    faults = (*_settings(case, case.settings), *_postfix(case))
    yield from faults
    if not faults:
        yield passed(f"passwords of {LONG} bytes in any letters pass every hop whole")


def _settings(case: Case, settings: Settings) -> Iterator[Said]:
    if settings.server.compat_limits:
        cause = f"compat_limits = true: a password of over {LONG} bytes is refused, as by the original"
        yield warned(cause, f"in {case.path}: [server] compat_limits = false")
    for name, backend in settings.backend.items():
        if isinstance(backend, StoreSettings) and (longest := passwords.SCHEMES[backend.scheme].longest) < LONG:
            cause = f"backend {name}: scheme {backend.scheme} takes passwords of {longest} bytes at most"
            yield warned(cause, f'in {case.path}: [backend.{name}] scheme = "argon2id"')


def _postfix(case: Case) -> Iterator[Said]:
    postfix = case.machine.postfix
    if postfix is None:
        return
    limit = postfix.value("smtpd_sasl_response_limit")
    if limit.isdecimal() and int(limit) < _LEAST_RESPONSE:
        mend = postfix_lines.setting(postfix, "smtpd_sasl_response_limit", str(_LEAST_RESPONSE))
        yield warned(f"smtpd_sasl_response_limit = {limit} refuses long passwords and tokens", mend)
