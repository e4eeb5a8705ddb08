"""What Prometheus reads from the real daemon, checked by its own promtool."""

from __future__ import annotations

import re
import socket
import subprocess
from collections.abc import Iterator

import pytest

from tests.interop.daemon import PATIENCE, Site, site_of
from tests.interop.mux import NO, OK, exchange


@pytest.fixture
def site() -> Iterator[Site]:
    with site_of("alice@example.test") as site:
        yield site


def port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def page(address: tuple[str, int]) -> str:
    with socket.create_connection(address, PATIENCE) as client:
        client.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
        data = b""
        while more := client.recv(65536):
            data += more
    head, _, body = data.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 ")
    return body.decode()


def value(text: str, name: str, **labels: str) -> float:
    for line in text.splitlines():
        found = re.fullmatch(r"(\w+)(?:\{(.*)\})? (\S+)", line)
        if found and found[1] == name and dict(re.findall(r'(\w+)="([^"]*)"', found[2] or "")).items() >= labels.items():
            return float(found[3])
    raise AssertionError(f"no {name} {labels} in\n{text}")


def ask(site: Site, secret: bytes) -> bytes:
    return exchange(site.mux, b"".join(len(field).to_bytes(2, "big") + field for field in (b"alice", secret, b"smtp", b"example.test")))


@pytest.mark.peer("promtool")
def test_page_of_the_daemon_pleases_promtool_counts_right_and_names_nobody(site: Site) -> None:
    number = port()
    site.configuration.write_text(site.configuration.read_text() + f'\n[metrics]\naddress = "127.0.0.1:{number}"\n')
    with site.serving() as daemon:
        assert [ask(site, b"pw1") for _ in range(5)] == [OK] * 5
        assert [ask(site, b"guess-%d" % guess) for guess in range(3)] == [NO] * 3
        daemon.wait_for_line("rejected", count=3)
        text = page(("127.0.0.1", number))
        done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True, timeout=PATIENCE, check=False)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
        assert value(text, "saslauthd_py_requests_total", verdict="accepted", listener=str(site.mux)) == 5
        assert value(text, "saslauthd_py_requests_total", verdict="rejected", listener=str(site.mux)) == 3
        assert "alice" not in text
        daemon.hang_up()
        daemon.wait_for_line("reloaded: configuration 2 serves")
        assert value(page(("127.0.0.1", number)), "saslauthd_py_requests_total", verdict="accepted", listener=str(site.mux)) == 5


def test_h1_another_address_for_metrics_is_opened_at_a_reload_and_the_old_one_closed(site: Site) -> None:
    first, second = port(), port()
    text = site.configuration.read_text()
    site.configuration.write_text(text + f'\n[metrics]\naddress = "127.0.0.1:{first}"\n')
    with site.serving() as daemon:
        assert "saslauthd_py_build_info" in page(("127.0.0.1", first))
        site.configuration.write_text(text + f'\n[metrics]\naddress = "127.0.0.1:{second}"\n')
        daemon.hang_up()
        daemon.wait_for_line("reloaded: configuration 2 serves")
        assert "saslauthd_py_build_info" in page(("127.0.0.1", second))
        with pytest.raises(ConnectionRefusedError):
            page(("127.0.0.1", first))
        with socket.socket() as taken:
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            taken.bind(("127.0.0.1", first))
            taken.listen()
            site.configuration.write_text(text + f'\n[metrics]\naddress = "127.0.0.1:{first}"\n')
            daemon.hang_up()
            daemon.wait_for_line("not reloaded, configuration 2 serves on", str(first))
        assert "saslauthd_py_build_info" in page(("127.0.0.1", second))
        site.configuration.write_text(text)
        daemon.hang_up()
        daemon.wait_for_line("reloaded: configuration 3 serves")
        with pytest.raises(ConnectionRefusedError):
            page(("127.0.0.1", second))
        assert ask(site, b"pw1") == OK
