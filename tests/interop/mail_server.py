"""A private real Dovecot with IMAP: own configuration, accounts, certificate and ports on loopback; it can stop, come back and freeze."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.interop.addresses import free_ports, listens
from tests.interop.certificates import ADDRESS, UNNAMED, key_of, self_signed
from tests.interop.server import Server

PASSWORDS = {
    "alice@example.test": "pw1",
    "bob": 'p"w \\2 {3} ü€',
    "disabled@example.test": "pw4",
    "long": "x" * 3000,
}
"""Whom it knows."""

_FIELDS = {"disabled@example.test": "nologin user_disabled=y"}

_CONFIGURATION = """\
base_dir = {directory}/run
state_dir = {directory}/state
log_path = {directory}/log
protocols = imap
listen = {addresses}
ssl = yes
ssl_cert = <{certificate}
ssl_key = <{key}
disable_plaintext_auth = no
auth_mechanisms = plain
auth_failure_delay = 0
first_valid_uid = 1
mail_location = mbox:{directory}/mail/%u
passdb {{
  driver = passwd-file
  args = username_format=%u {directory}/passwd
}}
userdb {{
  driver = static
  args = uid=nobody gid=nogroup home={directory}/mail
}}
service imap-login {{
  chroot =
  inet_listener imap {{
    port = {port}
  }}
  inet_listener imaps {{
    port = {tls_port}
  }}
}}
service anvil {{
  chroot =
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
service stats {{
  unix_listener stats-writer {{
    mode = 0600
  }}
}}
"""


class MailServer(Server):
    """A running Dovecot. `ca`: what its certificate comes from; `other_ca` has nothing to do with it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.port, self.tls_port = free_ports(2, UNNAMED)
        self.imap, self.imaps = f"imap://{ADDRESS}:{self.port}", f"imaps://{ADDRESS}:{self.tls_port}"
        self.imap_unnamed, self.imaps_unnamed = f"imap://{UNNAMED}:{self.port}", f"imaps://{UNNAMED}:{self.tls_port}"
        self.ca, self.other_ca = self_signed(directory / "server.pem"), self_signed(directory / "other.pem")
        command = ["/usr/sbin/dovecot", "-F", "-c", str(directory / "dovecot.conf")]
        super().__init__(command, lambda: listens(self.tls_port), [directory / "out", directory / "log"])

    def configure(self) -> None:
        lines = [f"{name}:{{PLAIN}}{password}::::::{_FIELDS.get(name, '')}\n" for name, password in PASSWORDS.items()]
        (self.directory / "passwd").write_text("".join(lines))
        shutil.chown(self.directory / "passwd", "dovecot")
        (self.directory / "mail").mkdir()
        shutil.chown(self.directory / "mail", "nobody", "nogroup")
        names = {"directory": self.directory, "addresses": f"{ADDRESS}, {UNNAMED}", "port": self.port, "tls_port": self.tls_port}
        names |= {"certificate": self.ca, "key": key_of(self.ca)}
        (self.directory / "dovecot.conf").write_text(_CONFIGURATION.format(**names))

    def logins(self, name: str) -> int:
        """How often it let somebody in."""
        return self.log().count(f"Login: user=<{name}>")


@contextmanager
def mail_server(directory: Path) -> Iterator[MailServer]:
    """A Dovecot in `directory`, which is made and has to lie where every user can search. Needs root."""
    directory.mkdir()
    directory.chmod(0o755)
    server = MailServer(directory)
    server.configure()
    with server.serving():
        yield server
