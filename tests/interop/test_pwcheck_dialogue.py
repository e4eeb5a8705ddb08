"""pwcheck end to end: the bytes of libsasl's client (`lib/checkpw.c`) to the daemon as a process. No Debian libsasl has this client."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.interop import mux
from tests.interop.daemon import Daemon, Site, environment, listener, new_site
from tests.interop.waiting import PATIENCE

ALICE = b"alice@example.test"
RIGHT = ALICE + b"\0pw1\0"
NO = b"Authentication failed"
OUTAGE_DELAY = 1.0


def pwcheck(path: Path) -> str:
    """A [[listen]] for it with the mode left to its default; root's has an owner that every system knows."""
    table = listener(path).replace('protocol = "saslauthd"', 'protocol = "pwcheck"').replace('mode = "0600"\n', "")
    assert 'protocol = "pwcheck"' in table
    return table


@pytest.fixture(scope="module")
def served(machine: Path) -> Iterator[tuple[Site, Daemon]]:
    with new_site(machine) as site:
        site.configure([pwcheck(site.directory / "pwcheck"), listener(site.mux)])
        site.add("alice@example.test", "pw1")
        with site.serving() as daemon:
            yield site, daemon


@pytest.fixture
def path(served: tuple[Site, Daemon]) -> Path:
    return served[0].directory / "pwcheck"


def dialogue(path: Path, *pieces: bytes, ends: bool = False) -> bytes:
    """All that is answered to `pieces`, each sent on its own, until the daemon closes; `ends`: the client says that no more will come."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(PATIENCE)
        connection.connect(str(path))
        for piece in pieces:
            connection.sendall(piece)
        if ends:
            connection.shutdown(socket.SHUT_WR)
        answer = b""
        while more := connection.recv(1024):
            answer += more
        return answer


def test_both_strings_with_their_nuls_are_answered_without_count_or_nul(path: Path) -> None:
    for _ in range(3):
        assert dialogue(path, RIGHT) == b"OK"
        assert dialogue(path, ALICE + b"\0pw2\0") == NO
        assert dialogue(path, b"nobody@example.test\0pw1\0") == NO


def test_request_cut_at_every_point_is_answered(path: Path) -> None:
    for cut in range(1, len(RIGHT)):
        assert dialogue(path, RIGHT[:cut], RIGHT[cut:]) == b"OK"


def test_request_cut_at_every_point_and_ended_is_closed_without_a_byte(path: Path) -> None:
    for cut in range(len(RIGHT)):
        assert dialogue(path, RIGHT[:cut], ends=True) == b""


def test_request_byte_by_byte_is_answered(path: Path) -> None:
    assert dialogue(path, *(bytes([byte]) for byte in RIGHT)) == b"OK"


def test_password_with_a_nul_is_not_its_first_part(path: Path) -> None:
    assert dialogue(path, RIGHT + b"x\0") == NO


def test_saslauthd_beside_it_answers_in_its_own_words(served: tuple[Site, Daemon], path: Path) -> None:
    site, _ = served
    assert mux.ask(site.mux, "alice@example.test", "pw1") == mux.OK
    assert dialogue(path, RIGHT) == b"OK"


def test_log_names_the_service_pwcheck_and_no_secret(served: tuple[Site, Daemon], path: Path) -> None:
    _, daemon = served
    assert dialogue(path, ALICE + b"\0battery staple\0") == NO
    daemon.wait_for_line("rejected user=alice@example.test service=pwcheck", f"listener={path}", "reason=wrong-secret")
    assert "battery" not in "".join(daemon.log())


def test_socket_is_not_open_to_all_as_the_original_s_was(path: Path) -> None:
    assert stat.S_IMODE(path.stat().st_mode) == 0o660


def test_c6_old_password_is_refused_once_the_command_has_returned(served: tuple[Site, Daemon], path: Path) -> None:
    site, _ = served
    site.add("carol@example.test", "pw1")
    for old, new in (("pw1", "pw2"), ("pw2", "pw3")):
        assert dialogue(path, f"carol@example.test\0{old}\0".encode()) == b"OK"
        assert dialogue(path, f"carol@example.test\0{old}\0".encode()) == b"OK"
        site.passwd("carol@example.test", new)
        assert dialogue(path, f"carol@example.test\0{old}\0".encode()) == NO
        assert dialogue(path, f"carol@example.test\0{new}\0".encode()) == b"OK"


def test_e5_outage_closes_without_a_byte_and_not_at_once(site: Site) -> None:
    path = site.directory / "pwcheck"
    site.configure([pwcheck(path)])
    site.add("alice@example.test", "pw1")
    with site.serving() as daemon:
        os.rename(site.store, site.store.with_name("away"))
        for request in (RIGHT, ALICE + b"\0pw2\0"):
            began = time.monotonic()
            assert dialogue(path, request) == b""
            assert time.monotonic() - began >= OUTAGE_DELAY
        daemon.wait_for_line("unavailable user=alice@example.test service=pwcheck", count=2)


def test_half_request_is_closed_at_the_deadline(site: Site) -> None:
    path = site.directory / "pwcheck"
    site.configure([pwcheck(path)])
    site.configuration.write_text(site.configuration.read_text().replace("[server]\n", '[server]\ndeadline = "1s"\n'))
    site.add("alice@example.test", "pw1")
    with site.serving() as daemon:
        assert dialogue(path, RIGHT[:-1]) == b""
        daemon.wait_for_line("half a request, then silence", f"listener={path}")


@pytest.mark.parametrize(("password", "code", "verdict"), [(b"pw1", 0, "OK"), (b"pw2", 77, "NO")])
def test_command_asks_it_as_libsasl_does(served: tuple[Site, Daemon], password: bytes, code: int, verdict: str) -> None:
    site, _ = served
    command = [sys.executable, "-m", "saslauthd_py", "test", "alice@example.test", "--protocol", "pwcheck", "--password-stdin"]
    done = subprocess.run(
        [*command, "--config", str(site.configuration)],
        env=environment(),
        cwd="/",
        input=password,
        capture_output=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == code, done.stderr.decode()
    assert done.stdout.decode().startswith(f"{verdict}  ")
    assert f"(login alice@example.test, service pwcheck; by {site.directory}/pwcheck)" in done.stdout.decode()
