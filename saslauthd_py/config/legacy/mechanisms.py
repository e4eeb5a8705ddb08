"""The original's mechanisms (-a) as backends: their flags and their keys of saslauthd.conf as keys of a `[backend.NAME]`."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from saslauthd_py.config.legacy import keyed_conf
from saslauthd_py.config.legacy.flags import Flags
from saslauthd_py.config.legacy.keyed_conf import ConfError
from saslauthd_py.config.legacy.saslauthd_conf import SaslauthdConfError
from saslauthd_py.config.legacy.saslauthd_conf import read as read_ldap
from saslauthd_py.config.legacy.saslauthd_lines import Note, Written, switched
from saslauthd_py.config.settings.tokens import REALM_TOKENS, letters
from saslauthd_py.config.settings.values import quoted, written_duration

SASLAUTHD_CONF = "/etc/saslauthd.conf"
"""Where the mechanisms that have a file find it, unless -O names another."""

_WITH_FILE = frozenset({"ldap", "kerberos5", "httpform"})
_MAX_CACHE = 86400
_MAX_WORKERS = 256
_WHOLE = "{local}@{realm}"
_LOCAL = "{local}"


class MechanismError(Exception):
    """A mechanism that the original could not be started with. One line."""


@dataclass(frozen=True, slots=True)
class Backend:
    """`table` is a whole `[backend.NAME]`; `ignores_realm`: alice@any.example is its alice, as it was the original's.

    `services`: whom it is asked for, and `otherwise` the backend for all others; empty and None: it is asked for all.
    """

    table: Mapping[str, Any]
    ignores_realm: bool = False
    notes: tuple[Note, ...] = ()
    services: tuple[str, ...] = ()
    otherwise: Mapping[str, Any] | None = None


def file_of(flags: Flags) -> str | None:
    """The file that the mechanism reads, for ldap from its run directory on, for others from here; None: it reads none."""
    if flags.mechanism not in _WITH_FILE:
        return None
    path = flags.option or SASLAUTHD_CONF
    return posixpath.join(flags.run_directory, path) if flags.mechanism == "ldap" else path


def converted(flags: Flags, conf: str | None) -> Backend:
    """The backend that does what the mechanism did. `conf`: the text of `file_of`, None: it could not be read. Raises MechanismError."""
    made = _CONVERSIONS[flags.mechanism](flags, conf)
    table = {**made.table, **_cache(flags)}
    notes = (*made.notes, *_of_option(flags), *_of_cache(flags), *_of_processes(flags))
    return Backend(table, made.ignores_realm, notes)


def _workers_backend(flags: Flags, _: str | None) -> Backend:
    """pam, shadow and getpwent: what is looked up is a user of this machine, -r or not."""
    table: dict[str, Any] = {"type": flags.mechanism}
    if flags.whole_logins:
        table["login"] = _WHOLE
    if flags.processes:
        table["workers"] = min(flags.processes, _MAX_WORKERS)
    notes = [Note(None, "-a", "users below uid 1000 and root are refused here: see min_uid and deny")]
    if flags.mechanism == "pam":
        services = "a client chooses a file in /etc/pam.d by naming smtp, imap, pop, sieve or ldap alone: see services and pam_service"
        notes.append(Note(None, "-a", services))
    if not flags.whole_logins:
        notes.append(Note(None, "-r", _WITHOUT_REALM))
    return Backend(table, not flags.whole_logins, tuple(notes))


def _sasldb(flags: Flags, _: str | None) -> Backend:
    twice = "without a meaning for sasldb, whose names have their realm anyway: the original had it twice then, and found nobody"
    readable = (
        "the daemon reads /etc/sasldb2 without root: by the group of [server] where `serve` is started as root; under systemd's units, "
        "whose Group= counts, after `usermod -a -G sasl saslauthd-py`"
    )
    notes = (Note(None, "-a", readable), *((Note(None, "-r", twice),) if flags.whole_logins else ()))
    return Backend({"type": "sasldb"}, notes=notes)


def _ldap(flags: Flags, conf: str | None) -> Backend:
    path = file_of(flags)
    table: dict[str, Any] = {"type": "ldap", "saslauthd_conf": path}
    read = f"{path} is read by the daemon's group (chgrp saslauthd-py, chmod 640); `config convert --saslauthd-conf` writes it out"
    notes = (Note(None, "-O", read),)
    ignores = True
    if conf is not None:
        try:
            local, whole = read_ldap(conf).keys, read_ldap(conf, whole_logins=True).keys
        except SaslauthdConfError:  # told with all its faults when that file is read in earnest
            return Backend(table, notes=notes)
        kept = whole if flags.whole_logins else local
        table |= {key: value for key, value in kept.items() if local.get(key) != value}
        templates = (kept.get("base"), kept.get("filter", "(uid=%U)")) if "dn_template" not in kept else (kept["dn_template"],)
        ignores = not letters(*templates) & REALM_TOKENS
    return Backend(table, ignores, notes)


def _rimap(flags: Flags, _: str | None) -> Backend:
    if not flags.option:
        raise MechanismError("failed to initialize mechanism rimap: -O must name the mail server")
    host, slash, port = flags.option.partition("/")
    port = _IMAP_PORTS.get(port, port) if slash else ""
    if not host or (slash and not port.isdecimal()):
        raise MechanismError(f"failed to initialize mechanism rimap: -O {quoted(flags.option)} is no host or host/port (a number)")
    place = f"[{host}]" if ":" in host else host
    table: dict[str, Any] = {"type": "imap", "servers": [f"imap://{place}:{port}" if port else f"imap://{place}"]}
    if not flags.whole_logins:
        table["login"] = _LOCAL
    clear = Note(None, "-O", f"passwords cross the network to {host} in clear, as they did: imaps:// and start_tls = true are there")
    notes = (clear,) if flags.whole_logins else (clear, Note(None, "-r", _WITHOUT_REALM))
    return Backend(table, not flags.whole_logins, notes)


def _httpform(flags: Flags, conf: str | None) -> Backend:
    entries, notes = _entries(flags, conf, "httpform_", frozenset({"httpform_host", "httpform_port", "httpform_uri", "httpform_data"}))
    for key in ("httpform_uri", "httpform_data"):
        if key not in entries:
            raise MechanismError(f"failed to initialize mechanism httpform: {file_of(flags)}: {key} is missing")
    host, port = (
        entries[key].value if key in entries else usual for key, usual in (("httpform_host", "localhost"), ("httpform_port", "80"))
    )
    path = entries["httpform_uri"].value.strip()
    body, told = _form(entries["httpform_data"].value, flags.whole_logins)
    place = f"[{host.strip()}]" if ":" in host else host.strip()
    at = "" if port.strip() == "80" else f":{port.strip()}"
    table = {"type": "http_form", "url": f"http://{place}{at}{path if path.startswith('/') else f'/{path}'}", "body": body}
    wrong = "200 and 204 let in, 401 and 403 do not; any other is an outage here (454), and was a NO: see accept and reject"
    return Backend(table, not told, (*notes, Note(None, "httpform_uri", wrong)))


def _form(data: str, whole_logins: bool) -> tuple[str, bool]:
    """The body with the tokens that mean the same here, and whether it tells realms apart."""

    def here(token: re.Match[str]) -> str:
        letter = token[1]
        if letter == "u":
            return "%u" if whole_logins else "%U"
        return token[0] if letter and letter in "pr%" else f"%%{letter}"

    body = re.sub(r"%(.?)", here, data, flags=re.DOTALL)
    return body, bool(letters(body, known=frozenset("uUpr")) & {"u", "r"})


def _kerberos(flags: Flags, conf: str | None) -> Backend:
    instances = re.findall(r"(?mi)^\s*(krb5_[a-z0-9_-]+_instance):", conf or "")
    known = _KERBEROS_KEYS | {name.lower() for name in instances}
    entries, told = _entries(flags, conf, "krb5_", known, needed=False)
    value = {key: entry.value.rstrip() for key, entry in entries.items()}
    if switched(value.get("krb5_conv_krb4_instance", "no")):
        line = entries["krb5_conv_krb4_instance"].line
        raise MechanismError(
            f"{file_of(flags)}:{line}: krb5_conv_krb4_instance is not done here: leave it out, and log in as name/instance"
        )
    notes = [*told]
    table: dict[str, Any] = {"type": "kerberos", "login": _WHOLE}
    if "krb5_keytab" in value:
        table["keytab"] = value["krb5_keytab"].removeprefix("FILE:")
        notes.append(Note(entries["krb5_keytab"].line, "krb5_keytab", "the daemon's user must be able to read it"))
    else:
        notes.append(
            Note(None, "krb5_keytab", "the machine's own keytab is root's alone: put a key of its own into /etc/saslauthd-py/krb5.keytab")
        )
    principal = value.get("krb5_verify_principal", "host")
    if "krb5_servername" in value and "/" not in principal:
        principal = f"{principal}/{value['krb5_servername']}"
    if principal != "host":
        table["verify_principal"] = principal
    forced = {key[len("krb5_") : -len("_instance")]: value[key] for key in value if key.endswith("_instance") and key not in _KERBEROS_KEYS}
    if forced:
        table["service_instance"] = forced
    if not switched(value.get("krb5_uppercase_realm", "no")):
        notes.append(Note(None, "krb5_uppercase_realm", "a login's realm is always written in capitals here"))
    if flags.whole_logins:
        notes.append(Note(None, "-r", "without a meaning for kerberos5: a principal has its realm anyway"))
    return Backend(table, notes=tuple(notes))


def _entries(
    flags: Flags, conf: str | None, prefix: str, known: frozenset[str], *, needed: bool = True
) -> tuple[Mapping[str, Written], tuple[Note, ...]]:
    path = file_of(flags)
    if conf is None:
        if needed:
            raise MechanismError(f"failed to initialize mechanism {flags.mechanism}: {path} cannot be read")
        return {}, ()
    try:
        return keyed_conf.read(conf, prefix, known)
    except ConfError as error:
        raise MechanismError(f"failed to initialize mechanism {flags.mechanism}: {path}:{error}") from None


def _cache(flags: Flags) -> dict[str, str]:
    return {"cache": written_duration(min(flags.cache_seconds, _MAX_CACHE))} if flags.cache else {}


def _of_cache(flags: Flags) -> Iterator[Note]:
    if not flags.cache:
        return
    if flags.cache_seconds > _MAX_CACHE:
        yield Note(None, "-t", "a day is the longest that a password is remembered here")
    if flags.mechanism == "sasldb":
        yield Note(None, "-c", "a change of the file is seen at once here, whatever the age; kept in memory alone")
    else:
        held = written_duration(min(flags.cache_seconds, _MAX_CACHE))
        yield Note(None, "-c", f"a password that was changed is good for up to {held} still, as it was; `cache` says how long, such as 60s")


def _of_option(flags: Flags) -> Iterator[Note]:
    if flags.option and flags.mechanism not in {*_WITH_FILE, "rimap"}:
        yield Note(None, "-O", f"{quoted(flags.option)} means nothing for {flags.mechanism}, and meant nothing to the original")


def _of_processes(flags: Flags) -> Iterator[Note]:
    if flags.processes is None:
        return
    if flags.mechanism not in _WITH_WORKERS:
        yield Note(None, "-n", "one process serves all connections here; `parallel` says how many logins may be under way")
    elif flags.processes == 0:
        yield Note(
            None, "-n", "0 meant a process for each login: workers serve many, see recycle_after, and what one breaks is mended by itself"
        )
    elif flags.processes > _MAX_WORKERS:
        yield Note(None, "-n", f"there can be {_MAX_WORKERS} workers at most")


_WITHOUT_REALM = (
    "without it alice@any.example is the local alice, as with the original: ignore_realm; name the realms if that is not meant. Of a "
    'client that sends whole names and no realm (Exim) the original asked for all of it: that is -r here, or login = "{local}@{realm}"'
)
_WITH_WORKERS = frozenset({"pam", "shadow", "getpwent"})
_IMAP_PORTS = {"imap": "143", "imap2": "143"}
_KERBEROS_KEYS = frozenset({"krb5_keytab", "krb5_verify_principal", "krb5_servername", "krb5_conv_krb4_instance", "krb5_uppercase_realm"})

_CONVERSIONS: dict[str, Callable[[Flags, str | None], Backend]] = {
    "pam": _workers_backend,
    "shadow": _workers_backend,
    "getpwent": _workers_backend,
    "sasldb": _sasldb,
    "ldap": _ldap,
    "rimap": _rimap,
    "httpform": _httpform,
    "kerberos5": _kerberos,
}
