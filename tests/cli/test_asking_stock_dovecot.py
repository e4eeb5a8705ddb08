"""`test --protocol dovecot` against Dovecot's own auth: the wire, SCRAM and its server's signature, judged by who made the protocol."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.commands import invoke
from tests.interop.server import Server

pytestmark = [pytest.mark.peer("doveadm"), pytest.mark.root]

PASSWORDS = {"alice@example.test": "pw1", "bob": "pw 2 ü"}
MECHANISMS = ("PLAIN", "LOGIN", "SCRAM-SHA-256", "SCRAM-SHA-1")

_CONFIGURATION = """\
base_dir = {directory}/run
state_dir = {directory}/state
log_path = {directory}/log
protocols =
listen = 127.0.0.1
ssl = no
disable_plaintext_auth = no
auth_mechanisms = {mechanisms}
auth_failure_delay = 0
passdb {{
  driver = passwd-file
  args = username_format=%u {directory}/passwd
}}
userdb {{
  driver = static
  args = uid=nobody gid=nogroup home=/nonexistent
}}
service auth {{
  unix_listener {directory}/auth {{
    mode = 0666
  }}
  unix_listener {directory}/userdb {{
    mode = 0666
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
"""The auth service alone, without the delays that it has for guessers."""


@pytest.fixture(scope="module")
def directory() -> Iterator[Path]:
    """Where a Dovecot listens at `auth`, and at `userdb` for what a mail server must not ask."""
    directory = Path(tempfile.mkdtemp(prefix="saslauthd-py-"))
    directory.chmod(0o755)
    (directory / "passwd").write_text("".join(f"{name}:{{PLAIN}}{password}\n" for name, password in PASSWORDS.items()))
    shutil.chown(directory / "passwd", "dovecot")
    configuration = directory / "dovecot.conf"
    configuration.write_text(_CONFIGURATION.format(directory=directory, mechanisms=" ".join(MECHANISMS).lower()))
    command = ["/usr/sbin/dovecot", "-F", "-c", str(configuration)]
    try:
        with Server(command, (directory / "auth").is_socket, [directory / "out", directory / "log"]).serving():
            yield directory
    finally:
        shutil.rmtree(directory)


def tried(path: Path, name: str, password: str, mechanism: str) -> tuple[int, str, str]:
    words = ("--protocol", "dovecot", "--mechanism", mechanism, "--socket", str(path), "--client-ip", "192.0.2.7", "--json")
    outcome = invoke("test", name, *words, "--password-stdin", stdin=password.encode())
    told = json.loads(outcome.out) if outcome.out else {}
    return outcome.code, told.get("verdict", ""), told.get("user", outcome.err)


@pytest.mark.parametrize("mechanism", MECHANISMS)
@pytest.mark.parametrize("name", PASSWORDS)
def test_stock_dovecot_says_right_and_wrong(directory: Path, name: str, mechanism: str) -> None:
    assert tried(directory / "auth", name, PASSWORDS[name], mechanism) == (0, "OK", name)
    assert tried(directory / "auth", name, "battery", mechanism) == (77, "NO", "")


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256"])
def test_stock_dovecot_does_not_know_everybody(directory: Path, mechanism: str) -> None:
    assert tried(directory / "auth", "nobody@example.test", "pw1", mechanism) == (77, "NO", "")


def test_stock_dovecot_s_userdb_socket_is_told(directory: Path) -> None:
    code, _, line = tried(directory / "userdb", "bob", "x", "PLAIN")
    assert code == 65
    assert "this is an auth-master/userdb socket" in line


def test_stock_dovecot_offers_no_certificates(directory: Path) -> None:
    outcome = invoke("test", "bob", "--protocol", "dovecot", "--mechanism", "EXTERNAL", "--socket", str(directory / "auth"))
    assert (outcome.code, outcome.error) == (65, f"{directory}/auth: EXTERNAL is not offered, only {', '.join(MECHANISMS)}")
