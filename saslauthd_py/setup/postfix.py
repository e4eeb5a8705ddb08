"""Postfix: by Dovecot's protocol, which it speaks itself, or by way of Cyrus SASL. What `postconf` would write is tried on a copy."""

from __future__ import annotations

import fnmatch
import os
import shlex
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

from saslauthd_py.mta import postfix as reader
from saslauthd_py.mta import postfix_callers, programs, smtp, smtp_ports, smtpd_conf
from saslauthd_py.mta.caller import inside
from saslauthd_py.mta.distribution import Distribution
from saslauthd_py.mta.machine import Machine
from saslauthd_py.mta.master_cf import Service
from saslauthd_py.mta.postfix import DEFAULT_DIRECTORY, Postfix
from saslauthd_py.setup import files, sasl_lines
from saslauthd_py.setup.asking import Asker, Socket, choose
from saslauthd_py.setup.plan import Plan
from saslauthd_py.setup.proving import Door
from saslauthd_py.setup.reloading import Master, Reload
from saslauthd_py.setup.site import Refused, Site
from saslauthd_py.setup.steps import MadeDirectory, Step, Written, written

TYPES = {"dovecot": "dovecot", "cyrus": "saslauthd"}
"""Values of smtpd_sasl_type, and the protocol that each asks by."""

_MAIL_PROGRAMS = ("submission", "submissions", "smtps", "587", "465")
_FILES = ("main.cf", "master.cf")
_SECONDS = 7.0
_AGE = 60
_APPLICATION = "smtpd"
_PLAIN = "libplain.so*"


def plan(site: Site, machine: Machine, kind: str) -> Plan:
    """How this Postfix comes to ask the daemon, its smtpd_sasl_type being `kind`. Raises Refused, Unreadable, OSError."""
    postfix = machine.postfix
    if postfix is None:
        raise Refused(machine.faults.get("postfix", "there is no Postfix here: name its configuration directory with --postfix-config"))
    planning = _Planning(postfix, machine.distribution, kind)
    planning.refuse()
    asker = planning.asker(machine)
    socket = choose(site, asker, planning.fresh())
    value = planning.value_of(socket)
    conf = tuple(planning.conf(value)) if kind == "cyrus" else ()
    settings = planning.settings(planning.application() if kind == "cyrus" else value)
    with _copy(postfix) as copy:
        originals = _contents(copy)
        for setting in settings:
            programs.output(setting.words(copy))
            _make_old(copy)
        then = reader.read(copy)
        cf = tuple(_changed(postfix, copy, originals))
    by_patch = (f"the lines above, in {one}" if isinstance(one, Written) else one.shown().strip() for one in conf)
    commands = (*by_patch, *(shlex.join(one.words(postfix.config_directory)) for one in settings))
    return Plan(
        f"Postfix in {postfix.config_directory}, smtpd_sasl_type = {kind}",
        asker,
        socket,
        (*conf, *cf),
        Reload((_reload(postfix),), Master(os.path.join(postfix.queue_directory, "pid", "master.pid"))),
        commands,
        _doors(then),
        _service(then),
        _realm(then) if kind == "cyrus" else "",
        tuple(_notes(then)),
    )


@dataclass(frozen=True, slots=True)
class _Setting:
    """A parameter in main.cf, or of one service in master.cf."""

    name: str
    value: str
    service: str = ""

    def words(self, directory: str) -> tuple[str, ...]:
        """Of postconf."""
        at = () if directory == DEFAULT_DIRECTORY else ("-c", directory)
        if self.service:
            return ("postconf", *at, "-P", f"{self.service}/{self.name}={self.value}")
        return ("postconf", *at, "-e", f"{self.name} = {self.value}".rstrip())


class _Planning:
    """One Postfix, to be of one type. `services` are those that will take logins."""

    def __init__(self, postfix: Postfix, distribution: Distribution, kind: str) -> None:
        self._postfix = postfix
        self._distribution = distribution
        self._kind = kind
        self._on = postfix.logins()
        self._services = self._on or _to_switch_on(postfix) or postfix.smtpd()

    def refuse(self) -> None:
        """Raises Refused where no change of ours makes it work, or only one that nobody should make."""
        postfix = self._postfix
        if self._kind not in postfix.sasl_types:
            raise Refused(f"this Postfix cannot do smtpd_sasl_type = {self._kind} (postconf -a: {', '.join(sorted(postfix.sasl_types))})")
        plugins = smtpd_conf.plugin_directories(postfix, self._distribution)
        if self._kind == "cyrus" and not any(fnmatch.filter(os.listdir(one), _PLAIN) for one in plugins if os.path.isdir(one)):
            mend = f"{self._distribution.install} {self._distribution.plain_package}"
            raise Refused(f"libsasl has no plugin for PLAIN, so nobody could log in: {mend}, or --type dovecot, which needs none")
        if not any(postfix.address(one) for one in self._services):
            raise Refused(f"{postfix.config_directory}/master.cf has no smtpd service with a port: nobody could log in")
        for service in self._services:
            _refuse_no_passwords(postfix, service)
        open_ones = [one.name for one in self._services if not self._on and not _has_tls(postfix, one)]
        if open_ones:
            text = f"smtpd of {', '.join(open_ones)} has no TLS, so passwords would cross the network in clear"
            raise Refused(f"{text}: set smtpd_tls_chain_files = /PATH/key.pem, /PATH/chain.pem and smtpd_tls_security_level = may first")

    def asker(self, machine: Machine) -> Asker:
        """Its smtpd."""
        who = postfix_callers.who(self._postfix)
        if who is None:
            raise Refused(f"{self._postfix.config_directory}/main.cf: mail_owner = {self._postfix.value('mail_owner')}: no such user")
        protocol = TYPES[self._kind]
        now = next((one.outside for one in machine.callers if one.protocol == protocol and not one.is_tcp), "")
        return Asker(protocol, who, self._roots(), f"Postfix in {self._postfix.config_directory} asks here.", now)

    def fresh(self) -> tuple[str, ...]:
        """In its own directory, which nobody else can enter, and which it sees from its chroot and from outside."""
        names = ("auth", "saslauthd-py") if self._kind == "dovecot" else ("saslauthd", "saslauthd-py-mux")
        return tuple(os.path.join(self._postfix.queue_directory, "private", name) for name in names)

    def value_of(self, socket: Socket) -> str:
        """How its file has to call the socket: by one word for all services. Raises Refused."""
        below = inside(self._postfix.queue_directory, socket.path)
        if self._kind == "dovecot" and below is not None:
            return below.lstrip("/")
        roots = self._roots()
        if len(roots) == 1:
            return inside(next(iter(roots)), socket.path) or socket.path
        both = "some smtpd services are in the chroot and some are not, and smtpd.conf has one path for all of them"
        raise Refused(f"{both}: choose --type dovecot, or make them alike: postconf -F '*/inet/chroot=n'")

    def application(self) -> str:
        """What its smtpd calls itself to libsasl, which is also how libsasl's file is called."""
        service = self._services[0]
        named = self._postfix.value("smtpd_sasl_path", service) if self._postfix.value("smtpd_sasl_type", service) == "cyrus" else ""
        return named or _APPLICATION

    def conf(self, path: str) -> Iterator[Step]:
        """The file of libsasl, where libsasl really looks for it."""
        directories = smtpd_conf.directories(self._postfix, self._distribution)
        found = smtpd_conf.first(tuple(os.path.join(one, f"{self.application()}.conf") for one in directories))
        file = found.path or next((one for one in found.searched if os.path.isdir(os.path.dirname(one))), found.searched[0])
        if not os.path.isdir(os.path.dirname(file)):
            yield MadeDirectory(os.path.dirname(file))
        text = (files.read(os.path.realpath(file)) or b"").decode(errors="surrogateescape")
        lines = sasl_lines.edited(text, sasl_lines.differing(found.options, "saslauthd", path))
        step = written(file, lines.encode(errors="surrogateescape"))
        if step is not None:
            yield step

    def settings(self, path: str) -> list[_Setting]:
        """What main.cf and master.cf have to say, and do not."""
        found = list(self._differing({"smtpd_sasl_type": self._kind, "smtpd_sasl_path": path}))
        if not self._on:
            found += self._switched_on()
        return found

    def _switched_on(self) -> Iterator[_Setting]:
        """On the ports of mail programs where there are such, else everywhere; and never without TLS."""
        ports = _to_switch_on(self._postfix)
        on = {"smtpd_sasl_auth_enable": "yes", "smtpd_tls_auth_only": "yes"}
        for service in ports:
            for name, value in on.items():
                if self._postfix.value(name, service) != value:
                    yield _Setting(name, value, service.key)
        if not ports:
            yield from self._differing(on)

    def _differing(self, wanted: Mapping[str, str]) -> Iterator[_Setting]:
        """In main.cf, and wherever a service that takes logins has its own word."""
        for name, value in wanted.items():
            if self._postfix.value(name) != value:
                yield _Setting(name, value)
            for service in self._services:
                if name in service.overrides and self._postfix.value(name, service) != value:
                    yield _Setting(name, value, service.key)

    def _roots(self) -> frozenset[str]:
        return frozenset(self._postfix.queue_directory if self._postfix.chrooted(one) else "/" for one in self._services)


def _to_switch_on(postfix: Postfix) -> tuple[Service, ...]:
    return tuple(one for one in postfix.smtpd() if one.type == "inet" and one.name.rpartition(":")[2] in _MAIL_PROGRAMS)


def _has_tls(postfix: Postfix, service: Service) -> bool:
    level = postfix.value("smtpd_tls_security_level", service)
    keys = ("smtpd_tls_chain_files", "smtpd_tls_cert_file", "smtpd_tls_eccert_file")
    asked = level in ("may", "encrypt") or postfix.is_on("smtpd_tls_wrappermode", service)
    return asked and any(postfix.value(name, service) not in ("", "none") for name in keys)


def _refuse_no_passwords(postfix: Postfix, service: Service) -> None:
    """An smtpd without any mechanism left ends at its start, and master then lets a minute pass before the next one."""
    clear, tls = "smtpd_sasl_security_options", "smtpd_sasl_tls_security_options"
    for name in (tls,) if postfix.is_on("smtpd_tls_auth_only", service) else (tls, clear):
        if "noplaintext" in postfix.value(name, service):
            mend = f"set {name} = noanonymous" + (", or smtpd_tls_auth_only = yes" if name == clear else "")
            raise Refused(f"smtpd of {service.name}: noplaintext in {name} leaves out PLAIN and LOGIN, and all else may be missing: {mend}")


def _doors(postfix: Postfix) -> tuple[Door, ...]:
    servers = smtp_ports.of_postfix(postfix)
    return tuple(Door(f"{server} ({name})", partial(smtp.login, server, seconds=_SECONDS)) for name, server in servers)


def _service(postfix: Postfix) -> str:
    return next((postfix.value("smtpd_sasl_service", one) for one in postfix.logins()), "") or "smtp"


def _realm(postfix: Postfix) -> str:
    return next((postfix.value("smtpd_sasl_local_domain", one) for one in postfix.logins()), "")


def _notes(postfix: Postfix) -> Iterator[str]:
    for service in postfix.logins():
        allowed = " ".join(postfix.value(f"smtpd_{name}_restrictions", service) for name in ("relay", "recipient", "client"))
        if "permit_sasl_authenticated" not in allowed:
            yield f"smtpd of {service.name}: who logs in may still not send to anywhere: permit_sasl_authenticated is in no restriction"
        encrypted = postfix.is_on("smtpd_tls_wrappermode", service) or postfix.value("smtpd_tls_security_level", service) == "encrypt"
        if not (encrypted or postfix.is_on("smtpd_tls_auth_only", service)):
            yield f"smtpd of {service.name}: passwords are taken without TLS too: smtpd_tls_auth_only = yes ends that"


def _changed(postfix: Postfix, copy: str, originals: Mapping[str, bytes]) -> Iterator[Written]:
    """Against what was copied: whoever edits a file in the meantime is not overruled."""
    for name, content in _contents(copy).items():
        step = written(_at(postfix, name), content, originals[name])
        if step is not None:
            yield step


def _contents(copy: str) -> dict[str, bytes]:
    return {name: files.read(_at_copy(copy, name)) or b"" for name in _FILES}


def _reload(postfix: Postfix) -> tuple[str, ...]:
    at = () if postfix.config_directory == DEFAULT_DIRECTORY else ("-c", postfix.config_directory)
    return ("postfix", *at, "reload")


@contextmanager
def _copy(postfix: Postfix) -> Iterator[str]:
    """A configuration directory for postconf to write in, and no other program to see."""
    with tempfile.TemporaryDirectory(prefix="saslauthd-py-setup-") as directory:
        for name in _FILES:
            shutil.copyfile(_at(postfix, name), _at_copy(directory, name))
        _make_old(directory)
        yield directory


def _make_old(directory: str) -> None:
    """Postfix's programs wait where main.cf is younger than 2 s."""
    for name in _FILES:
        os.utime(_at_copy(directory, name), (0, time.time() - _AGE))


def _at(postfix: Postfix, name: str) -> str:
    return os.path.realpath(os.path.join(postfix.config_directory, name))


def _at_copy(directory: str, name: str) -> str:
    return os.path.join(directory, name)
