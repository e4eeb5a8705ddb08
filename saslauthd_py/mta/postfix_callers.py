"""Postfix's smtpd processes as they ask the daemon: by Cyrus SASL's word, or by Dovecot's protocol."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace

from saslauthd_py.mta import processes
from saslauthd_py.mta.caller import Caller, Source
from saslauthd_py.mta.distribution import Distribution
from saslauthd_py.mta.master_cf import Service
from saslauthd_py.mta.postfix import Postfix
from saslauthd_py.mta.processes import Who
from saslauthd_py.mta.smtpd_conf import SaslConf

_KEY = "saslauthd_path"


def callers(postfix: Postfix, conf: SaslConf | None, distribution: Distribution) -> tuple[Caller, ...]:
    """One for each smtpd that takes logins. `conf` None: none asks by way of Cyrus SASL, or its file cannot be read."""
    return tuple(_callers(postfix, conf, distribution))


def who(postfix: Postfix) -> Who | None:
    """As whom they ask; None: the user of mail_owner is not there."""
    try:
        return processes.of_user(postfix.value("mail_owner") or "postfix")
    except KeyError:
        return None


def _callers(postfix: Postfix, conf: SaslConf | None, distribution: Distribution) -> Iterator[Caller]:
    ids = who(postfix)
    if ids is None:
        return
    for service in postfix.logins():
        kind = postfix.value("smtpd_sasl_type", service)
        if kind == "dovecot":
            yield _dovecot(postfix, service, ids)
        elif kind == "cyrus" and conf is not None and "saslauthd" in conf.methods and conf.path is not None:
            path = conf.options.get(_KEY, distribution.saslauthd_path)
            realm = postfix.value("smtpd_sasl_local_domain", service)
            yield replace(_caller(postfix, service, ids, Source(conf.path, _KEY, path), path), realm=realm)


def _dovecot(postfix: Postfix, service: Service, ids: Who) -> Caller:
    """A path is below the queue directory where it is relative, be it a chroot or not (it is smtpd's working directory)."""
    written = postfix.value("smtpd_sasl_path", service)
    path = written.removeprefix("unix:")
    if not written.startswith("inet:") and not os.path.isabs(path):
        path = f"/{path}" if postfix.chrooted(service) else os.path.join(postfix.queue_directory, path)
    source = Source(os.path.join(postfix.config_directory, "main.cf"), "smtpd_sasl_path", written, "{key} = {value}")
    return replace(_caller(postfix, service, ids, source, path), protocol="dovecot", name_whole=True)


def _caller(postfix: Postfix, service: Service, ids: Who, source: Source, path: str) -> Caller:
    """One that asks by the protocol of saslauthd."""
    root = postfix.queue_directory if postfix.chrooted(service) else "/"
    asks_as = postfix.value("smtpd_sasl_service", service) or "smtp"
    return Caller(f"smtpd of {service.name}", "saslauthd", asks_as, path, source, ids, root, programs=("smtpd",))
