"""5: what is offered to mail programs can be done by who is asked, and is offered at all: mechanisms, their plugins, TLS."""

from __future__ import annotations

import glob
import os
import shlex
from collections.abc import Iterator

from saslauthd_py.control import client
from saslauthd_py.control.client import ControlError
from saslauthd_py.doctor import postfix_lines
from saslauthd_py.doctor.case import Case
from saslauthd_py.doctor.said import Said, failed, passed, warned
from saslauthd_py.mta import smtpd_conf
from saslauthd_py.mta.exim import Exim
from saslauthd_py.mta.machine import Machine
from saslauthd_py.mta.master_cf import Service
from saslauthd_py.mta.postfix import Postfix
from saslauthd_py.mta.smtpd_conf import SaslConf

BY_PASSWORD = ("PLAIN", "LOGIN")
"""What a daemon that is given a password can serve, and no other."""

_WITHOUT = ("GSSAPI", "GSS-SPNEGO", "EXTERNAL", "ANONYMOUS")
"""What needs no password of an account, so that it goes well beside a daemon."""

_SECRET_PLUGINS = ("crammd5", "digestmd5", "ntlm", "otp", "passdss", "scram", "srp")
"""Plugins of Cyrus SASL that read a stored password by themselves (auxprop)."""

_NO_TLS = ("", "none")
_SECONDS = 2.0


def find(case: Case) -> Iterator[Said]:
    """One line for each thing that keeps mail programs from a mechanism that works."""
    faults = tuple(_faults(case))
    yield from faults
    if case.machine.empty:
        yield passed("no mail server offers any")
    elif not faults:
        yield passed("mail programs are offered what the daemon can do, over TLS")


def _faults(case: Case) -> Iterator[Said]:
    machine = case.machine
    if machine.postfix is not None:
        if machine.sasl is not None and machine.sasl.path is not None:
            plugins = smtpd_conf.plugin_directories(machine.postfix, machine.distribution)
            yield from _libsasl(machine.sasl, machine, plugins)
            yield from _unread(machine.sasl)
        for service in machine.postfix.logins():
            yield from _of_service(machine.postfix, service)
    if machine.cyrus_imap is not None:
        yield from _libsasl(machine.cyrus_imap.sasl, machine, machine.distribution.plugin_directories(), "sasl_")
    if machine.exim is not None:
        yield from _of_exim(case, machine.exim)


def _libsasl(sasl: SaslConf, machine: Machine, plugins: tuple[str, ...], prefix: str = "") -> Iterator[Said]:
    if sasl.methods != ("saslauthd",):
        return
    wanted = f"in {sasl.path}: {prefix}mech_list: {' '.join(BY_PASSWORD)}"
    if sasl.mechanisms is None:
        if more := _more(plugins):
            cause = f"{sasl.path} has no {prefix}mech_list: whatever plugin is installed is offered ({', '.join(more)} too), and fails"
            yield failed(cause, wanted)
        return
    if beyond := [name for name in sasl.mechanisms if name not in (*BY_PASSWORD, *_WITHOUT)]:
        names = ", ".join(beyond)
        yield failed(
            f"{sasl.path}: {prefix}mech_list offers {names}: saslauthd is given passwords, and can do PLAIN and LOGIN only", wanted
        )
    for name in BY_PASSWORD:
        if name in sasl.mechanisms and not _plugin(name, plugins):
            here = machine.distribution
            where = ", ".join(plugins) or ", ".join(here.plugins)
            yield failed(
                f"the plugin of {name} is not installed (no lib{name.lower()}.so in {where})", f"{here.install} {here.plain_package}"
            )


def _plugin(mechanism: str, directories: tuple[str, ...]) -> bool:
    return any(glob.glob(f"{glob.escape(directory)}/lib{mechanism.lower()}.so*") for directory in directories)


def _more(directories: tuple[str, ...]) -> list[str]:
    return [name for name in _SECRET_PLUGINS if any(glob.glob(f"{glob.escape(directory)}/lib{name}.so*") for directory in directories)]


def _unread(sasl: SaslConf) -> Iterator[Said]:
    """Another file of that name that an admin may take for the one that counts."""
    for path in sasl.elsewhere:
        if smtpd_conf.read(path) != sasl.options:
            yield warned(
                f"{path} says otherwise, and is not read: {sasl.path} is", f"rm {shlex.quote(path)}, or make it a link to {sasl.path}"
            )


def _of_service(postfix: Postfix, service: Service) -> Iterator[Said]:
    wrapped = postfix.is_on("smtpd_tls_wrappermode", service)
    level = postfix.value("smtpd_tls_security_level", service).lower()
    older = postfix.is_on("smtpd_use_tls", service) or postfix.is_on("smtpd_enforce_tls", service)
    has_tls = wrapped or level not in _NO_TLS or (not level and older)
    name = f"smtpd of {service.name}"
    if postfix.is_on("smtpd_tls_auth_only", service) and not has_tls:
        mend = postfix_lines.setting(postfix, "smtpd_tls_security_level", "may", service)
        yield failed(f"{name}: smtpd_tls_auth_only is yes, and there is no TLS: AUTH is never offered", mend)
    elif has_tls and (fault := _certificate(postfix, service)):
        mend = postfix_lines.setting(postfix, "smtpd_tls_chain_files", "/PATH/key.pem, /PATH/chain.pem", service)
        yield failed(f"{name}: {fault}: TLS cannot begin, and AUTH is not offered without", mend)
    elif not wrapped and level != "encrypt" and not postfix.is_on("smtpd_tls_auth_only", service):
        mend = postfix_lines.setting(postfix, "smtpd_tls_auth_only", "yes", service)
        yield warned(f"{name}: passwords are taken without TLS, for everybody on the way to read", mend)
    options = "smtpd_sasl_tls_security_options" if has_tls else "smtpd_sasl_security_options"
    if "noplaintext" in postfix.value(options, service).replace(",", " ").lower().split():
        mend = postfix_lines.setting(postfix, options, "noanonymous", service)
        yield failed(f"{name}: {options} has noplaintext, so PLAIN and LOGIN are not offered", mend)


def _certificate(postfix: Postfix, service: Service) -> str:
    """What is wrong with smtpd's certificate; empty: nothing that can be seen from its files' names."""
    chain = [word for word in postfix.value("smtpd_tls_chain_files", service).replace(",", " ").split() if word]
    kinds = ("smtpd_tls_cert_file", "smtpd_tls_eccert_file", "smtpd_tls_dcert_file")
    single = [value for kind in kinds if (value := postfix.value(kind, service)) not in ("", "none")]
    if not chain and not single:
        return "no certificate is set"
    missing = next((path for path in chain or single if os.path.isabs(path) and not os.path.exists(path)), None)
    return f"its certificate {missing} is not there" if missing else ""


def _of_exim(case: Case, exim: Exim) -> Iterator[Said]:
    """Exim offers what its authenticators are called, whatever the daemon can do."""
    for one in exim.authenticators:
        if one.asks_saslauthd and one.mechanism not in BY_PASSWORD:
            yield failed(
                f"exim: {one.name} offers {one.mechanism} and asks saslauthd, which needs the password", f"remove authenticator {one.name}"
            )
        elif one.is_dovecot and one.mechanism not in BY_PASSWORD:
            offered = _offered(case, one.options.get("server_socket", ""))
            if offered is not None and one.mechanism not in offered:
                cause = f"exim: {one.name} offers {one.mechanism}, and the daemon does {', '.join(offered)} there"
                yield failed(cause, f"remove authenticator {one.name}, or see `saslauthd-py status` for what {one.mechanism} lacks")


def _offered(case: Case, path: str) -> tuple[str, ...] | None:
    """What the running daemon offers at a path; None: it cannot be asked, or does not listen there."""
    if case.settings is None:
        return None
    try:
        listeners = client.status(case.settings.control.path, _SECONDS).get("listeners")
    except ControlError:
        return None
    for one in listeners if isinstance(listeners, list) else ():
        if isinstance(one, dict) and one.get("name") == path and isinstance(names := one.get("mechanisms"), list):
            return tuple(map(str, names))
    return None
