"""A private real Cyrus imapd: its users in a sasldb2 of its own, two ports on loopback, of which one takes no password without TLS."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.interop.addresses import free_ports, listens
from tests.interop.server import Server
from tests.interop.waiting import PATIENCE

PASSWORDS = {"alice@example.test": "pw1", "bob@example.test": 'p"w \\2 {3} ü€'}

_MASTER = "/usr/lib/cyrus/bin/master"
_IMAPD = "/var/cache/saslauthd-py/peers/cyrus-imapd/usr/lib/cyrus/bin/imapd"
_OWNER, _GROUP = "cyrus", "mail"

_CONFIGURATION = """\
configdirectory: {directory}/conf
defaultpartition: default
partition-default: {directory}/mail
proc_path: {directory}/proc
mboxname_lockpath: {directory}/lock
idlesocket: {directory}/idle
notifysocket: {directory}/notify
servername: cyrus.test
virtdomains: userid
failedloginpause: 0
sasl_pwcheck_method: auxprop
sasl_auxprop_plugin: sasldb
sasl_sasldb_path: {directory}/sasldb2
sasl_mech_list: SCRAM-SHA-256
allowplaintext: {plain}
"""
"""PLAIN is not offered, so that a password goes by LOGIN."""

_SERVICES = """\
START {{
}}
SERVICES {{
  plain cmd="{imapd} -C {directory}/plain.conf" listen="127.0.0.1:{plain}" prefork=0
  secure cmd="{imapd} -C {directory}/secure.conf" listen="127.0.0.1:{secure}" prefork=0
}}
EVENTS {{
}}
"""


class CyrusImapd(Server):
    """`plain` takes LOGIN, `secure` says LOGINDISABLED."""

    def __init__(self, directory: Path) -> None:
        ports = dict(zip(("plain", "secure"), free_ports(2), strict=True))
        self.plain, self.secure = (f"imap://127.0.0.1:{port}" for port in ports.values())
        self._sasldb = directory / "sasldb2"
        for name, allowed in (("plain", "yes"), ("secure", "no")):
            (directory / f"{name}.conf").write_text(_CONFIGURATION.format(directory=directory, plain=allowed))
        (directory / "cyrus.conf").write_text(_SERVICES.format(directory=directory, imapd=_IMAPD, **ports))
        for name in ("conf", "mail", "proc", "lock"):
            (directory / name).mkdir()
        for user, password in PASSWORDS.items():
            name, _, realm = user.partition("@")
            command = ["saslpasswd2", "-p", "-c", "-f", str(self._sasldb), "-u", realm, name]
            subprocess.run(command, input=password.encode(), check=True, timeout=PATIENCE)
        for path in (directory, *directory.iterdir()):
            shutil.chown(path, _OWNER, _GROUP)
        command = [_MASTER, "-D", "-C", str(directory / "plain.conf"), "-M", str(directory / "cyrus.conf"), "-p", str(directory / "pid")]
        super().__init__(command, lambda: listens(ports["secure"]), [directory / "out"])

    @contextmanager
    def without_users(self) -> Iterator[None]:
        """Nobody can open its sasldb2."""
        self._sasldb.chmod(0)
        try:
            yield
        finally:
            self._sasldb.chmod(0o640)


@contextmanager
def cyrus_imapd(directory: Path) -> Iterator[CyrusImapd]:
    """In `directory`, which is made. Needs root."""
    directory.mkdir()
    server = CyrusImapd(directory)
    with server.serving():
        yield server
