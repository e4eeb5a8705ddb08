"""SCRAM by GNU SASL's `gsasl`, a client not written here, over TLS through a real Postfix with smtpd_sasl_type = dovecot."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.interop import dovecot
from tests.interop.daemon import Daemon, new_site
from tests.interop.dovecot_postfix import Place, new_place
from tests.interop.postfix import Postfix
from tests.interop.relay import relaying
from tests.interop.scram_signature import forged
from tests.interop.waiting import PATIENCE

pytestmark = [pytest.mark.peer("postfix", "gsasl", "openssl"), pytest.mark.root]

ALICE, BOB, CAROL = "alice@example.test", "bob", "carol@example.test"
PASSWORDS = {ALICE: "pw1", BOB: "p,w=2 üß", CAROL: "pw3"}
"""Carol's account has no SCRAM keys."""
OFFERED = (*dovecot.SCRAM, "PLAIN", "LOGIN")


@pytest.fixture(scope="module")
def direct(machine: Path) -> Path:
    """A second socket of the daemon, for what stands between it and Postfix."""
    return machine / "scram-direct"


@pytest.fixture(scope="module")
def daemon(machine: Path, dovecot_place: Place, direct: Path) -> Iterator[Daemon]:
    with new_site(machine) as site:
        site.configure([listen + dovecot.offering(OFFERED) for listen in (dovecot_place.listener, dovecot.listener(direct))])
        for name, password in PASSWORDS.items():
            site.add(name, password, *([] if name == CAROL else ["--scram"]))
        with site.serving() as daemon:
            yield daemon


@pytest.fixture(scope="module")
def postfix(daemon: Daemon, dovecot_place: Place) -> Iterator[Postfix]:
    with dovecot_place.started() as running:
        yield running


def gsasl(postfix: Postfix, name: str, password: str, mechanism: str) -> subprocess.CompletedProcess[str]:
    """A login; it checks Postfix's certificate, and the server's signature.

    Without --no-cb, gsasl 2.2 ends before its first SCRAM message: it could bind the channel, and is told not to by the mechanism's name.
    """
    server = [f"--connect=127.0.0.1:{postfix.ports['bare']}", f"--x509-ca-file={postfix.directory / 'conf' / 'cert.pem'}", "--starttls"]
    account = [f"--mechanism={mechanism}", f"--authentication-id={name}", f"--password={password}"]
    command = ["gsasl", "--smtp", "--verbose", "--no-cb", *server, *account]
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE, check=False)


def test_gsasl_finds_scram_first_in_the_list(postfix: Postfix) -> None:
    assert f"\n250-AUTH {' '.join(OFFERED)}\n" in gsasl(postfix, ALICE, "pw1", "PLAIN").stdout


@pytest.mark.parametrize("mechanism", dovecot.SCRAM)
@pytest.mark.parametrize("name", [ALICE, BOB])
def test_gsasl_scram_logs_in_and_trusts_the_server(daemon: Daemon, postfix: Postfix, name: str, mechanism: str) -> None:
    before = sum(f"mechanism={mechanism}" in line for line in daemon.log())
    done = gsasl(postfix, name, PASSWORDS[name], mechanism)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "\n235 2.7.0 " in done.stdout
    assert "Client authentication finished (server trusted)" in done.stderr
    daemon.wait_for_line(f"mechanism={mechanism}", count=before + 1)


@pytest.mark.parametrize("mechanism", dovecot.SCRAM)
@pytest.mark.parametrize(
    ("name", "password"),
    [
        pytest.param(ALICE, "pw1x", id="wrong"),
        pytest.param("nosuch@example.test", "pw1", id="unknown user"),
        pytest.param("alice", "pw1", id="realm missing"),
        pytest.param(CAROL, PASSWORDS[CAROL], id="no keys"),
    ],
)
def test_gsasl_scram_wrong_login_is_535_after_its_proof_for_every_cause(postfix: Postfix, name: str, password: str, mechanism: str) -> None:
    """F3: whoever it is, salt and rounds are sent, and only the proof fails."""
    done = gsasl(postfix, name, password, mechanism)
    assert done.returncode == 1
    assert "\n535 5.7.8 Error: authentication failed: invalid user name or password\n" in done.stdout.replace("\r", ""), done.stdout
    challenges = [line for line in done.stdout.splitlines() if line.startswith("334 ")]
    assert len([line for line in challenges if line != "334 "]) == 1, done.stdout
    assert "server trusted" not in done.stderr


def test_gsasl_plain_and_login_beside_scram(postfix: Postfix) -> None:
    for mechanism in ("PLAIN", "LOGIN"):
        assert gsasl(postfix, CAROL, PASSWORDS[CAROL], mechanism).returncode == 0
        assert gsasl(postfix, CAROL, "pw3x", mechanism).returncode == 1


@pytest.mark.parametrize("mechanism", dovecot.SCRAM)
def test_gsasl_does_not_trust_a_wrong_server_signature(daemon: Daemon, machine: Path, direct: Path, mechanism: str) -> None:
    with new_place(machine) as place, relaying(place.socket, direct, "postfix", forged), place.started() as postfix:
        done = gsasl(postfix, ALICE, "pw1", mechanism)
    assert done.returncode == 1
    assert "server trusted" not in done.stderr
    assert "\n235 " not in done.stdout
