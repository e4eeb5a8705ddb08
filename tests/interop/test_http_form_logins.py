"""The real daemon and a login page, alone and behind a real nginx: who gets in, over what, and what is refused is an outage."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.interop.addresses import free_ports
from tests.interop.certificates import self_signed
from tests.interop.daemon import Daemon
from tests.interop.ldap_load import Login, load
from tests.interop.mux import NO, OK, ask
from tests.interop.remote_site import DEADLINE, LOCAL, LOCAL_PASSWORD, Keys, RemoteSite, new_remote_site
from tests.interop.slapd import BlackHole, black_hole
from tests.interop.web_form import PASSWORDS, TOKEN, Nginx, Page, nginx, web_page

pytestmark = [pytest.mark.peer("nginx", "openssl"), pytest.mark.root]

OUTAGE = b""
ALICE, BOB = "alice@example.test", "bob"
BODY = "user=%u&password=%p"
JSON = '{"user": "%u", "password": "%p"}'
SLACK = 6.0

CARRIED = ("clear", "json", "tls", "by-name", "unverified", "nginx", "nginx-json")
_AUTHORITY = "its certificate is not to be trusted: self-signed certificate"
REFUSED = {
    "another-ca": _AUTHORITY,
    "system-ca": _AUTHORITY,
    "another-host": "IP address mismatch",
    "tls-to-clear": "speaks no TLS on this port",
    "clear-to-tls": "answers 400 Bad Request",
    "moved": "answers 302 Found, and a redirect is never followed",
    "nobody-listens": "Connection refused",
    "no-such-name": "its name is not known",
    "hole": "no answer within 1 s",
    "hole-tls": "no answer within 1 s",
    "no-page": "answers 502 Bad Gateway",
}


class Served(NamedTuple):
    """All that runs."""

    site: RemoteSite
    daemon: Daemon
    page: Page
    nginx: Nginx


def ways(page: Page, front: Nginx, hole: BlackHole, certificates: tuple[Path, Path]) -> Mapping[str, Keys]:
    right, wrong = map(str, certificates)

    def way(url: str, body: str = BODY, **more: object) -> Keys:
        return {"type": "http_form", "url": url, "body": body, "timeout": "1s", **more}

    return {
        "clear": way(f"http://127.0.0.1:{page.port}/login?from=mail"),
        "json": way(f"http://127.0.0.1:{page.port}/json", JSON, format="json"),
        "tls": way(f"https://127.0.0.1:{page.tls_port}/login", ca_file=right),
        "by-name": way(f"https://localhost:{page.tls_port}/login", ca_file=right),
        "unverified": way(f"https://127.0.0.2:{page.tls_port}/login", verify=False),
        "nginx": way(f"{front.url}/login", ca_file=right),
        "nginx-json": way(f"{front.url}/json", JSON, format="json", ca_file=right),
        "another-ca": way(f"{front.url}/login", ca_file=wrong),
        "system-ca": way(f"{front.url}/login"),
        "another-host": way(f"{front.unnamed_url}/login", ca_file=right),
        "tls-to-clear": way(f"https://127.0.0.1:{page.port}/login", ca_file=right),
        "clear-to-tls": way(f"http://127.0.0.1:{front.port}/login"),
        "moved": way(f"{front.url}/moved", ca_file=right),
        "nobody-listens": way(f"http://127.0.0.1:{free_ports(1)[0]}/"),
        "no-such-name": way("https://no-such-host.invalid/"),
        "hole": way(f"http://127.0.0.1:{hole.port}/"),
        "hole-tls": way(f"https://127.0.0.1:{hole.port}/", ca_file=right),
    }


@pytest.fixture(scope="module")
def certificates(machine: Path) -> tuple[Path, Path]:
    return self_signed(machine / "page.pem"), self_signed(machine / "other-page.pem")


@pytest.fixture(scope="module")
def served(machine: Path, certificates: tuple[Path, Path]) -> Iterator[Served]:
    (nowhere,) = free_ports(1)
    with (
        web_page(certificates[0]) as page,
        nginx(machine / "nginx", certificates[0], page.port) as front,
        nginx(machine / "nginx-alone", certificates[0], nowhere) as alone,
        black_hole() as hole,
        new_remote_site(machine) as site,
    ):
        token = {"authorization_file": str(site.private("token", TOKEN))}
        every = {name: {**keys, **token} for name, keys in ways(page, front, hole, certificates).items()}
        every["no-page"] = {**every["nginx"], "url": f"{alone.url}/login"}
        page.wanted = TOKEN
        with site.serving(every) as daemon:
            yield Served(site, daemon, page, front)


def all_asked(site: RemoteSite, *logins: tuple[str, str, str]) -> list[bytes]:
    """The answers to logins that are all made at once."""
    with ThreadPoolExecutor(len(logins)) as clients:
        return list(clients.map(lambda login: site.ask(*login), logins))


def test_every_way_is_looked_at(served: Served) -> None:
    text = served.site.site.configuration.read_text()
    configured = {line for line in text.splitlines() if line.startswith("[backend.")}
    assert configured == {f"[backend.{way}]" for way in ("users", *CARRIED, *REFUSED)}


@pytest.mark.parametrize("way", CARRIED)
def test_right_is_ok_and_wrong_is_no(served: Served, way: str) -> None:
    ask_way = partial(served.site.ask, way)
    assert ask_way(ALICE, "pw1") == OK
    assert ask_way(ALICE, "wrong") == NO
    assert ask_way(BOB, PASSWORDS[b"bob"].decode()) == OK
    assert ask_way("nobody", "pw1&user=alice@example.test") == NO
    served.daemon.wait_for_line("accepted", f"backend={way} ", count=2)
    served.daemon.wait_for_line("rejected", f"backend={way} ", "reason=wrong-secret", count=2)


def test_d8_what_is_refused_is_an_outage_with_its_cause_and_no_redirect_is_followed(served: Served) -> None:
    before = len(served.page.posts)
    assert all_asked(served.site, *((way, ALICE, "pw1") for way in REFUSED)) == [OUTAGE] * len(REFUSED)
    for way, cause in REFUSED.items():
        served.daemon.wait_for_line("unavailable", f"backend={way} ", cause)
    assert len(served.page.posts) == before


@pytest.mark.parametrize("status", [500, 503, 404, 302, 307, 407])
def test_d8_page_that_says_anything_else_is_an_outage(served: Served, status: int) -> None:
    right = served.page.answer
    served.page.answer = lambda _, __: status
    try:
        before = len(served.page.posts)
        assert served.site.ask("clear", ALICE, "pw1") == OUTAGE
        assert [path for path, *_ in served.page.posts[before:]] == ["/login?from=mail"]
    finally:
        served.page.answer = right
    served.daemon.wait_for_line("unavailable", f"answers {status}")
    assert served.site.ask("clear", ALICE, "pw1") == OK


def test_every_login_has_a_connection_of_its_own(served: Served) -> None:
    served.page.connections.clear()
    for _ in range(3):
        assert served.site.ask("tls", ALICE, "pw1") == OK
    assert len(served.page.connections) == 3


def test_no_secret_stands_in_any_line(served: Served) -> None:
    all_asked(served.site, *((way, ALICE, "a-secret-to-look-for") for way in (*CARRIED, *REFUSED)))
    served.daemon.wait_for_line("backend=no-page ")
    lines = "\n".join(served.daemon.log())
    assert "a-secret-to-look-for" not in lines
    assert TOKEN not in lines
    assert "token-of-this-daemon" not in lines


def test_d8_nginx_that_freezes_and_then_stops_is_an_outage_until_it_is_back(served: Served) -> None:
    site = served.site
    logins: list[Login] = [partial(site.ask, "nginx", ALICE, "pw1"), partial(site.ask, "nginx", BOB, PASSWORDS[b"bob"].decode())]
    with load({"http": logins, "store": [partial(ask, site.site.mux, LOCAL, LOCAL_PASSWORD)]}) as running:
        running.phase("before", 3)
        with served.nginx.frozen():
            running.phase("frozen")
        running.until_all("http", OK)
        with served.nginx.stopped():
            running.phase("stopped", 1)
        running.until_all("http", OK)
        running.phase("after", 3)
    assert running.answers("http").keys() <= {OK, OUTAGE}
    assert running.answers("http", "after").keys() == {OK}
    assert running.answers("http", "stopped").keys() == {OUTAGE}
    assert running.answers("store").keys() == {OK}
    assert running.slowest("http") < DEADLINE + SLACK
    assert site.ask("nginx", ALICE, "wrong") == NO
