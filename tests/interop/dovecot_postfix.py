"""A private real Postfix that speaks Dovecot's auth protocol, made from conf/postfix/dovecot: no Cyrus SASL in it, smtpd in its chroot.

Two more services than the others have, both with logins: `bare` takes clients without a PROXY line, and `single` too, with one smtpd
process for all of them.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.interop import postfix
from tests.interop.addresses import free_ports
from tests.interop.daemon import searchable
from tests.interop.postfix import Postfix

SOCKET = "/var/spool/postfix/private/auth"
"""The socket's path in conf/postfix/dovecot/listen.toml; main.cf names it below the queue directory."""

_MORE = """\
service_throttle_time = 1s
smtpd_hard_error_limit = 1000
"""
"""An smtpd that starts while nobody answers at the socket gives up at once, and master lets so much time pass before the next one."""

_SERVICES = """\
127.0.0.1:{bare} inet n - y - - smtpd
  -o smtpd_upstream_proxy_protocol=
  -o smtpd_sasl_auth_enable=yes
127.0.0.1:{single} inet n - y - 1 smtpd
  -o smtpd_upstream_proxy_protocol=
  -o smtpd_sasl_auth_enable=yes
"""


@dataclass(frozen=True, slots=True)
class Place:
    """A Postfix that is set up and not started: the daemon has to be there before it, and its socket is in the queue directory."""

    directory: Path
    ports: dict[str, int]

    @property
    def socket(self) -> Path:
        return self.directory / "queue" / "private" / "auth"

    @property
    def listener(self) -> str:
        """conf/postfix/dovecot/listen.toml, with the path of `socket`."""
        text = (postfix.CONF / "dovecot" / "listen.toml").read_text()
        assert text.count(f'"{SOCKET}"') == 1
        return text.replace(SOCKET, str(self.socket))

    @contextmanager
    def started(self) -> Iterator[Postfix]:
        """Postfix, until the end of the block."""
        with postfix.started(self.directory, self.ports, self.socket) as running:
            yield running


@contextmanager
def new_place(machine: Path) -> Iterator[Place]:
    """A Postfix below `machine`, which every user can search; gone at the end."""
    with searchable(machine) as directory:
        names = (*postfix.SERVICES, "bare", "single")
        ports = dict(zip(names, free_ports(len(names)), strict=True))
        postfix.write_configuration(directory, ports, chroot=True, main="dovecot/main.cf")
        conf = directory / "conf"
        shutil.rmtree(conf / "sasl")
        for name, more in (("main.cf", _MORE), ("master.cf", _SERVICES.format(**ports))):
            with (conf / name).open("a") as file:
                file.write(more)
        postfix.make_old(conf)
        postfix.make_surroundings(directory)
        yield Place(directory, ports)
