"""conf/postfix/dovecot and conf/exim as the real Postfix and Exim read them, and logins through both; a server of the tests is asked."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from saslauthd_py.config.load import parse
from saslauthd_py.config.settings import Listen
from tests.cli.dovecot_servers import NAME, PASSWORD, Conduct, Server, serving
from tests.interop import exim, postfix
from tests.interop.addresses import free_ports
from tests.interop.postfix import Postfix
from tests.interop.waiting import PATIENCE

CONF = Path(__file__).resolve().parents[2] / "conf"
POSTFIX, EXIM = CONF / "postfix" / "dovecot", CONF / "exim"
AUTHENTICATORS = (EXIM / "authenticators").read_text()
REST = '[backend.users]\ntype = "store"\n\n[[route]]\nrealm = "*"\nbackends = ["users"]\n'


def listener(directory: Path) -> Listen:
    """The one in a directory's listen.toml, which goes into a configuration as it is."""
    (listen,) = parse((directory / "listen.toml").read_text() + "\n" + REST, "listen.toml").listen
    return listen


def settings(path: Path) -> dict[str, str]:
    """What a main.cf sets, each on a line."""
    lines = (line.partition("=") for line in path.read_text().splitlines() if line and line[0] not in "# ")
    return {key.strip(): value.strip() for key, _, value in lines}


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    """A directory that every user can search."""
    directory = Path(tempfile.mkdtemp(prefix="saslauthd-py-"))
    directory.chmod(0o755)
    yield directory
    shutil.rmtree(directory)


def test_postfix_looks_where_the_daemon_listens() -> None:
    listen = listener(POSTFIX)
    assert listen.path == f"/var/spool/postfix/{settings(POSTFIX / 'main.cf')['smtpd_sasl_path']}"
    assert (listen.protocol, listen.user, listen.group, listen.mode, listen.trust) == ("dovecot", "postfix", "postfix", 0o660, "tls")


def test_exim_looks_where_the_daemon_listens() -> None:
    listen = listener(EXIM)
    sockets = {line.split(" = ")[1] for line in AUTHENTICATORS.splitlines() if "server_socket = " in line}
    assert sockets == {listen.path}
    assert (listen.protocol, listen.user, listen.group, listen.mode, listen.trust) == ("dovecot", exim.USER, exim.USER, 0o660, "tls")


def configured(directory: Path) -> dict[str, int]:
    """A Postfix of tests/interop with conf/postfix/dovecot/main.cf in the place of that for Cyrus SASL; its ports."""
    ports = dict(zip(postfix.SERVICES, free_ports(len(postfix.SERVICES)), strict=True))
    postfix.write_configuration(directory, ports, chroot=True)
    conf = directory / "conf"
    shutil.rmtree(conf / "sasl")
    main, cyrus = (conf / "main.cf").read_text(), (CONF / "postfix" / "main.cf").read_text()
    assert main.endswith(cyrus)
    (conf / "main.cf").write_text(main.removesuffix(cyrus) + (POSTFIX / "main.cf").read_text())
    postfix.make_old(conf)
    return ports


@pytest.mark.peer("postfix")
def test_postfix_takes_every_line_of_main_cf(tmp_path: Path) -> None:
    configured(tmp_path)
    command = ["/usr/sbin/postconf", "-c", str(tmp_path / "conf"), "-n"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=True)
    assert done.stderr == ""
    read = {key.strip(): value.strip() for key, _, value in (line.partition("=") for line in done.stdout.splitlines())}
    assert settings(POSTFIX / "main.cf").items() <= read.items()
    assert read["smtpd_relay_restrictions"].split()[-1] == "reject_unauth_destination"


@pytest.fixture(scope="module")
def mail(place: Path) -> Iterator[tuple[Postfix, Server]]:
    """A running Postfix, and the server that it asks."""
    ports = configured(place)
    postfix.make_surroundings(place)
    path = place / "queue" / "private" / "auth"
    with serving(path, Conduct(mechanisms=("PLAIN", "LOGIN"))) as server:
        shutil.chown(path, "postfix", "postfix")
        path.chmod(0o660)
        with postfix.started(place, ports, path) as running:
            yield running, server


PEERS = pytest.mark.peer("postfix", "swaks", "openssl")


@PEERS
@pytest.mark.root
@pytest.mark.parametrize("service", ["submission", "submissions"])
@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
def test_logins_through_postfix(mail: tuple[Postfix, Server], service: str, mechanism: str) -> None:
    running, server = mail
    right, wrong = (running.login(NAME, password, mechanism, service) for password in (PASSWORD.decode(), "battery"))
    assert right.says("235 "), right.text + running.log()
    assert wrong.says("535 "), wrong.text + running.log()
    client = server.asked[-1].client
    assert (str(client.address), client.secured) == (postfix.OUTSIDE, True)


@PEERS
@pytest.mark.root
def test_port_25_has_no_logins_and_submission_none_without_tls(mail: tuple[Postfix, Server]) -> None:
    running, _ = mail
    for dialogue in (
        running.swaks("-tls", "--quit-after", "EHLO"),
        running.swaks("--quit-after", "EHLO", service="submission"),
    ):
        assert dialogue.code == 0, dialogue.text
        assert not dialogue.says("AUTH"), dialogue.text


def asking(path: Path) -> str:
    """The authenticators with their socket at `path`."""
    listen = listener(EXIM)
    return AUTHENTICATORS.replace(f"server_socket = {listen.path}", f"server_socket = {path}")


@pytest.mark.peer("exim")
@pytest.mark.root
@pytest.mark.parametrize("scram", [False, True])
def test_exim_takes_every_line(place: Path, scram: bool) -> None:
    text = AUTHENTICATORS
    if scram:
        head, mark, rest = text.partition("#saslauthd_py_scram_sha_256:")
        text = head + "\n".join(line.removeprefix("#") for line in (mark + rest).splitlines()) + "\n"
    configuration = place / f"exim-{scram}.conf"
    configuration.write_text(f"keep_environment =\nlog_file_path = {place}/%slog\nbegin authenticators\n{text}")
    command = [exim.PROGRAM, "-C", str(configuration)]
    done = subprocess.run([*command, "-bV"], capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    assert f"Configuration file is {configuration}" in done.stdout
    names = subprocess.run([*command, "-bP", "authenticator_list"], capture_output=True, text=True, timeout=PATIENCE, check=True)
    expected = ["saslauthd_py_plain", "saslauthd_py_login"] + ["saslauthd_py_scram_sha_256"] * scram
    assert names.stdout.split() == expected


@pytest.mark.peer("exim", "swaks", "openssl")
@pytest.mark.root
def test_logins_through_exim_over_tls_and_none_without(place: Path) -> None:
    path = place / "auth"
    with serving(path, Conduct(mechanisms=("PLAIN", "LOGIN"))) as server:
        shutil.chown(path, exim.USER, exim.USER)
        os.chmod(path, 0o660)
        with exim.running(place / "exim", path) as running:
            for mechanism in ("PLAIN", "LOGIN"):
                right, wrong = (running.login(NAME, password, mechanism) for password in (PASSWORD.decode(), "battery"))
                assert right.says("235 "), right.text + running.log()
                assert wrong.says("535 "), wrong.text + running.log()
            offered = running.swaks("--quit-after", "EHLO")
            clear = ["swaks", "--server", "127.0.0.1", "--port", str(running.port), "--helo", "client.test", "--quit-after", "EHLO"]
            unoffered = subprocess.run(clear, capture_output=True, text=True, timeout=PATIENCE, check=True)
    assert "AUTH PLAIN LOGIN" in offered.text
    assert "STARTTLS" in unoffered.stdout
    assert "AUTH" not in unoffered.stdout
    assert server.asked[0].client.secured
