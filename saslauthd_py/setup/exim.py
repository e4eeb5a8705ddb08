"""Exim: two authenticators of its own driver for Dovecot's protocol, in the file that its configuration is made from."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

from saslauthd_py.mta import exim as reader
from saslauthd_py.mta import processes, smtp, smtp_ports
from saslauthd_py.mta.exim import PROGRAMS, Authenticator, Exim
from saslauthd_py.mta.machine import Machine
from saslauthd_py.mta.processes import Who
from saslauthd_py.setup import files
from saslauthd_py.setup.asking import Asker, Socket, choose
from saslauthd_py.setup.plan import Plan
from saslauthd_py.setup.proving import Door
from saslauthd_py.setup.reloading import Master, Reload
from saslauthd_py.setup.sasl_lines import MECHANISMS
from saslauthd_py.setup.site import Refused, Site
from saslauthd_py.setup.steps import Step, written

_SINGLE = ("/etc/exim4/exim4.conf", "/etc/exim/exim.conf", "/etc/exim.conf", "/usr/exim/configure")
_DEBIAN = "/etc/exim4/update-exim4.conf.conf"
_SPLIT, _TEMPLATE = "/etc/exim4/conf.d/auth/40_saslauthd-py", "/etc/exim4/exim4.conf.template"
_BEGIN = re.compile(r"^begin\s+authenticators[^\n]*\n", re.MULTILINE)
_SECONDS = 7.0

_AUTHENTICATOR = """\
saslauthd_py_{name}:
  driver = dovecot
  public_name = {mechanism}
  server_socket = {path}
  server_set_id = $auth1
  server_advertise_condition = ${{if def:tls_in_cipher}}

"""


@dataclass(frozen=True, slots=True)
class _Home:
    """Where authenticators are written: in the section of a file, or in a file of their own; and what makes the configuration of it."""

    file: str
    own: bool = False
    commands: tuple[tuple[str, ...], ...] = ()


def plan(site: Site, machine: Machine) -> Plan:
    """How this Exim comes to ask the daemon. Raises Refused, Unreadable, OSError."""
    exim = machine.exim
    if exim is None:
        raise Refused(machine.faults.get("exim", "there is no Exim here: name its configuration with --exim-config"))
    if "dovecot" not in exim.drivers:
        text = f"this Exim has no driver dovecot (exim -bV: {' '.join(sorted(exim.drivers))})"
        raise Refused(f"{text}: install one that has, such as Debian's exim4-daemon-heavy")
    home = _home(exim)
    present = tuple(one for one in exim.authenticators if one.mechanism in MECHANISMS and one.is_server)
    asker = _asker(exim, home, present)
    socket = choose(site, asker, _fresh(site))
    theirs = tuple(_theirs(exim, home, present, socket))
    master = Master(exim.options.get("pid_file_path", ""), PROGRAMS, (exim.configuration,))
    return Plan(
        f"Exim of {home.file}",
        asker,
        socket,
        theirs,
        Reload(home.commands if theirs else (), master, hang_up=True),
        (f"in {home.file}, section `begin authenticators`: the lines above",) if theirs else (),
        tuple(Door(f"{one} ({name})", partial(smtp.login, one, seconds=_SECONDS)) for name, one in smtp_ports.of_exim(exim)),
        notes=("mail programs that log in may send where the ACL for RCPT says `accept authenticated = *`",),
    )


def _asker(exim: Exim, home: _Home, present: tuple[Authenticator, ...]) -> Asker:
    now = next((one.options.get("server_socket", "") for one in present if one.is_dovecot), "")
    return Asker("dovecot", _who(exim), frozenset({"/"}), f"Exim of {home.file} asks here.", now)


def _fresh(site: Site) -> tuple[str, ...]:
    runtime = os.path.dirname(site.settings.control.path)
    return os.path.join(runtime, "auth"), os.path.join(runtime, "exim-auth")


def _theirs(exim: Exim, home: _Home, present: tuple[Authenticator, ...], socket: Socket) -> Iterator[Step]:
    """Raises Refused where a mechanism is there already and asks elsewhere: whose that is, an admin knows."""
    if present and all(one.is_dovecot and one.options.get("server_socket") == socket.path for one in present):
        return
    if present:
        names = ", ".join(f"{one.name} ({one.mechanism})" for one in present)
        raise Refused(
            f"{home.file}: there are authenticators already: {names}: take them out first, or let each say "
            f"driver = dovecot and server_socket = {socket.path}"
        )
    lines = "".join(_AUTHENTICATOR.format(name=name.lower(), mechanism=name, path=socket.path) for name in sorted(MECHANISMS, reverse=True))
    text = lines if home.own else _inserted(home.file, lines)
    if home.file == exim.configuration:
        _refuse_broken(exim, text)
    step = written(home.file, text.encode(errors="surrogateescape"))
    if step is not None:
        yield step


def _inserted(file: str, lines: str) -> str:
    text = (files.read(os.path.realpath(file)) or b"").decode(errors="surrogateescape")
    if len(_BEGIN.findall(text)) > 1:
        raise Refused(f"{file}: `begin authenticators` stands there more than once: set it up by hand")
    if _BEGIN.search(text) is None:
        return f"{text.rstrip()}\n\nbegin authenticators\n\n{lines}"
    return _BEGIN.sub(lambda found: f"{found[0]}\n{lines}", text)


def _refuse_broken(exim: Exim, text: str) -> None:
    """Exim itself reads the new text. Raises Unreadable with its complaint."""
    with _copy(text) as copy:
        found = {one.name for one in reader.read(copy, exim.program).authenticators}
    if not any(name.startswith("saslauthd_py_") for name in found):
        raise Refused(f"{exim.configuration}: Exim does not see authenticators added to it: set it up by hand")


@contextmanager
def _copy(text: str) -> Iterator[str]:
    with tempfile.NamedTemporaryFile("w", prefix="saslauthd-py-setup-", encoding="utf-8", errors="surrogateescape") as file:
        file.write(text)
        file.flush()
        yield file.name


def _home(exim: Exim) -> _Home:
    """Debian's configuration is made from others, by update-exim4.conf, unless there is an exim4.conf."""
    if exim.configuration:
        return _Home(exim.configuration)
    single = next(filter(os.path.isfile, _SINGLE), None)
    if single is not None:
        return _Home(single)
    if os.path.isfile(_DEBIAN):
        split = re.search(r"^dc_use_split_config=['\"]?true", (files.read(_DEBIAN) or b"").decode(errors="replace"), re.MULTILINE)
        return _Home(_SPLIT if split else _TEMPLATE, own=split is not None, commands=(("update-exim4.conf",),))
    raise Refused("where Exim's configuration lies cannot be told: name it with --exim-config")


def _who(exim: Exim) -> Who:
    user = exim.options.get("exim_user", "") or "Debian-exim"
    try:
        return processes.of_user(user)
    except KeyError:
        raise Refused(f"exim_user = {user}: there is no such user") from None
