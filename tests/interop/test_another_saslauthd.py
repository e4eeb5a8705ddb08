"""The original saslauthd beside ours: compared with for a while, asked as a backend, and its getpwent beside our own."""

from __future__ import annotations

import socket
import subprocess
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from saslauthd_py.wire.monitor import Answer, Standing
from tests.interop.daemon import PATIENCE, Daemon, Site, environment, listener, new_site
from tests.interop.mux import NO, OK, ask
from tests.interop.pam_machine import PamMachine, hashed, pam_machine
from tests.interop.server import Server
from tests.interop.waiting import until

pytestmark = [pytest.mark.root, pytest.mark.peer("saslauthd", "unshare")]

FIELDS = {
    "alice": hashed("pw1"),
    "yescrypt": hashed("pw1", "yescrypt"),
    "shadowed": "x",
    "starred": "*",
    "locked": "!" + hashed("pw1"),
}
"""What passwd has for each; an empty field is left out, for the original lets anybody in there who sends what crypt(3) makes of it."""


@contextmanager
def original(machine: PamMachine, mechanism: str) -> Iterator[Path]:
    """saslauthd in that machine: its run directory. It is killed, for it was seen hanging at its end."""
    directory = machine.directory / mechanism
    directory.mkdir(mode=0o755)
    command = [*machine.prefix, "saslauthd", "-d", "-a", mechanism, "-n", "2", "-m", str(directory)]
    saslauthd = Server(command, (directory / "mux").is_socket, [directory / "log"], environment())
    saslauthd.start()
    try:
        yield directory
    finally:
        saslauthd.kill()


@pytest.fixture(scope="module")
def own(machine: Path) -> Iterator[PamMachine]:
    with pam_machine(machine) as made:
        for name, stored in FIELDS.items():
            made.account(name, stored, shadowed=False)
        yield made


@pytest.fixture(scope="module")
def mux(own: PamMachine) -> Iterator[Path]:
    with original(own, "getpwent") as directory:
        (directory / "mux").chmod(0o666)
        yield directory / "mux"


@pytest.fixture(scope="module")
def asked(own: PamMachine) -> Iterator[Callable[..., Answer]]:
    with own.asking(type="getpwent") as ask_worker:
        yield ask_worker


@pytest.mark.parametrize("name", [*FIELDS, "nobody-at-all", "root"])
@pytest.mark.parametrize("secret", ["pw1", "wrong", "x", "*"])
def test_getpwent_says_what_the_original_says(asked: Callable[..., Answer], mux: Path, name: str, secret: str) -> None:
    assert (asked(name, secret).code == Standing.RIGHT) is (ask(mux, name, secret) == OK)


@pytest.fixture
def site() -> Iterator[Site]:
    with new_site() as made:
        yield made


def configure(site: Site, mux: Path, backends: str, *, compare: bool) -> None:
    """The store without its cache, and the original, in this order."""
    site.configure([listener(site.mux)], 'cache = "0s"\n')
    old = f'[backend.old]\ntype = "saslauthd"\npath = "{mux}"\nlogin = "{{local}}"\n' + "shadow_compare = true\n" * compare
    text = (
        site.configuration.read_text()
        .replace("[[route]]", f"{old}\n[[route]]", 1)
        .replace('backends = ["users"]', f"backends = {backends}")
    )
    site.configuration.write_text(text if compare else text.replace('realm = "*"', 'realm = ""'))


def test_week_beside_the_original(site: Site, mux: Path) -> None:
    configure(site, mux, '["users", "old"]', compare=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    site.configuration.write_text(site.configuration.read_text() + f'\n[metrics]\naddress = "{address}"\n')
    for name, password in (("alice", "pw1"), ("yescrypt", "changed-here"), ("here", "pw1")):
        site.add(name, password)
    with site.serving() as daemon:
        assert ask(site.mux, "alice", "pw1") == OK
        assert ask(site.mux, "alice", "wrong") == NO
        assert ask(site.mux, "yescrypt", "changed-here") == OK
        daemon.wait_for_line("WARNING", "backend old differs", "user=yescrypt", "decided=accepted", "said=rejected/wrong-secret")
        until(lambda: "of 3 logins decided otherwise" in status(site), "all three were compared")
        with urllib.request.urlopen(f"http://{address}/metrics", timeout=PATIENCE) as page:
            text = page.read().decode()
        for result, number in {"alike": 2, "different": 1, "unanswered": 0, "left-out": 0}.items():
            assert f'saslauthd_py_compared_total{{backend="old",result="{result}"}} {number}.0' in text
        assert 'backend_failing{backend="users"}' in text
        assert 'backend_failing{backend="old"}' not in text, "alerts go by it"
        assert not any("changed-here" in line for line in daemon.log())
        assert "compared only: 1 of 3 logins decided otherwise" in status(site)


def test_original_that_is_gone_harms_nobody(site: Site, own: PamMachine) -> None:
    configure(site, own.directory / "nowhere" / "mux", '["users", "old"]', compare=True)
    site.add("alice", "pw1")
    with site.serving() as daemon:
        assert [ask(site.mux, "alice", password) for password in ("pw1", "wrong")] == [OK, NO]
        daemon.wait_for_line("rejected user=alice")
        until(lambda: '"unanswered": 2' in status(site, "--json"), "both were asked in vain")
        assert "WARNING" in status(site, "--check"), "nobody is to be woken by it"
        assert not any("differs" in line for line in daemon.log())


def status(site: Site, *flags: str) -> str:
    command = [*Daemon.PROGRAM, "status", *flags, "--config", str(site.configuration)]
    return subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=PATIENCE, check=False).stdout


def test_original_as_a_backend(site: Site, mux: Path, own: PamMachine) -> None:
    configure(site, mux, '["users", "old"]', compare=False)
    site.add("here", "pw2")
    with site.serving() as daemon:
        assert ask(site.mux, "here", "pw2") == OK
        assert [ask(site.mux, "alice", password) for password in ("pw1", "wrong", "x" * 300)] == [OK, NO, NO]
        daemon.wait_for_line("accepted user=alice", "backend=old")
        daemon.wait_for_line("rejected user=alice", "backend=old", count=2)
    configure(site, own.directory / "nowhere" / "mux", '["users", "old"]', compare=False)
    with site.serving() as daemon:
        assert ask(site.mux, "alice", "pw1") == b""
        daemon.wait_for_line("unavailable user=alice", "is not there: does the other daemon run")
