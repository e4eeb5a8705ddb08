"""`config check`, with --online too, for mail servers and pages: what is right, and each thing that can be wrong, with what to do."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.cli.commands import invoke
from tests.interop.addresses import free_ports
from tests.interop.certificates import self_signed
from tests.interop.mail_server import MailServer, mail_server
from tests.interop.slapd import black_hole
from tests.interop.web_form import web_page

LISTEN = '[[listen]]\nprotocol = "saslauthd"\npath = "/run/saslauthd/mux"\n'
ROUTE = '[[route]]\nrealm = "example.test"\nbackends = ["there"]\n'
FORM = {"type": "http_form", "body": "user=%u&password=%p", "timeout": "500ms"}


class Report(NamedTuple):
    """A run of `config check`: its exit code, and outcome, step and text of each finding."""

    code: int
    said: list[tuple[str, str, str]]

    @property
    def steps(self) -> list[str]:
        return [f"{outcome} {step}" for outcome, step, _ in self.said]

    @property
    def last(self) -> str:
        return self.said[-1][2]


def checked(directory: Path, *flags: str, **keys: object) -> tuple[int, str]:
    file = directory / "saslauthd-py.toml"
    file.write_text("\n".join([LISTEN, "[backend.there]", *(f"{key} = {json.dumps(value)}" for key, value in keys.items()), ROUTE]))
    done = invoke("config", "check", "--config", str(file), *flags)
    return done.code, done.out


def online(directory: Path, **keys: object) -> Report:
    code, out = checked(directory, "--online", "--json", **keys)
    return Report(code, [(one["outcome"], one["step"], one["text"]) for one in json.loads(out)["online"]])


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MailServer]:
    with mail_server(tmp_path_factory.mktemp("mail") / "dovecot") as running:
        yield running


def dovecot(test: Callable[..., None]) -> Callable[..., None]:
    """Marks a test that needs the one above."""
    for mark in (pytest.mark.peer("dovecot-imapd", "openssl"), pytest.mark.root):
        test = mark(test)
    return test


@dovecot
def test_all_is_well(server: MailServer, tmp_path: Path) -> None:
    plain = online(tmp_path, type="imap", servers=[server.imap])
    assert (plain.code, plain.steps) == (0, ["pass connect", "pass login"])
    assert "AUTHENTICATE PLAIN is offered" in plain.last
    tls = online(tmp_path, type="imap", servers=[server.imaps], ca_file=str(server.ca))
    assert (tls.code, tls.steps) == (0, ["pass connect", "pass tls", "pass certificate", "pass login"])
    begun = online(tmp_path, type="imap", servers=[server.imap], start_tls=True, ca_file=str(server.ca))
    assert (begun.code, begun.steps) == (0, ["pass connect", "pass certificate", "pass login"])


@dovecot
def test_certificate_that_nobody_looks_at_is_a_warning(server: MailServer, tmp_path: Path) -> None:
    found = online(tmp_path, type="imap", servers=[server.imaps], verify=False)
    assert (found.code, found.steps) == (0, ["pass connect", "pass tls", "warn certificate", "pass login"])


@dovecot
@pytest.mark.parametrize("begins", [False, True])
def test_certificate_of_another_authority_or_host_fails(server: MailServer, tmp_path: Path, begins: bool) -> None:
    ways = {False: (server.imaps, server.imaps_unnamed), True: (server.imap, server.imap_unnamed)}[begins]
    misled = online(tmp_path, type="imap", servers=[ways[0]], start_tls=begins, ca_file=str(server.other_ca))
    unnamed = online(tmp_path, type="imap", servers=[ways[1]], start_tls=begins, ca_file=str(server.ca))
    assert (misled.code, unnamed.code) == (78, 78)
    assert "self-signed certificate" in misled.last
    assert "IP address mismatch" in unnamed.last


@dovecot
def test_every_server_is_tried(server: MailServer, tmp_path: Path) -> None:
    nobody = f"imap://127.0.0.1:{free_ports(1)[0]}"
    found = online(tmp_path, type="imap", servers=[nobody, server.imap])
    assert (found.code, found.steps) == (75, ["fail connect", "pass connect", "pass login"])


@dovecot
def test_ports_that_were_mixed_up_are_told(server: MailServer, tmp_path: Path) -> None:
    tls = online(tmp_path, type="imap", servers=[f"imaps://127.0.0.1:{server.port}"])
    assert (tls.code, tls.steps) == (78, ["pass connect", "fail tls"])
    plain = online(tmp_path, type="imap", servers=[f"imap://127.0.0.1:{server.tls_port}"], timeout="500ms")
    assert (plain.code, plain.steps) == (75, ["pass connect", "fail greeting"])
    assert "imaps:// is for the port that has TLS" in plain.last


@pytest.mark.peer("openssl")
def test_page_that_answers_is_well(tmp_path: Path) -> None:
    certificate = self_signed(tmp_path / "page.pem")
    with web_page(certificate) as page:
        clear = online(tmp_path, **FORM, url=f"http://127.0.0.1:{page.port}/")
        tls = online(tmp_path, **FORM, url=f"https://127.0.0.1:{page.tls_port}/", ca_file=str(certificate))
        assert (page.heads, page.posts) == (2, [])
    assert (clear.code, clear.steps) == (0, ["pass connect", "pass answer"])
    assert (tls.code, tls.steps) == (0, ["pass connect", "pass tls", "pass certificate", "pass answer"])
    assert "405 Method Not Allowed, so somebody answers" in tls.last


@pytest.mark.peer("openssl")
def test_page_of_somebody_else_fails(tmp_path: Path) -> None:
    certificate, other = self_signed(tmp_path / "page.pem"), self_signed(tmp_path / "other.pem")
    with web_page(certificate) as page:
        found = online(tmp_path, **FORM, url=f"https://127.0.0.1:{page.tls_port}/", ca_file=str(other))
    assert (found.code, found.steps) == (78, ["pass connect", "fail certificate"])


def test_nobody_there_may_be_mended_by_time(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    found = online(tmp_path, **FORM, url=f"http://127.0.0.1:{port}/")
    assert (found.code, found.steps) == (75, ["fail connect"])
    with black_hole() as hole:
        for url, step in ((f"http://127.0.0.1:{hole.port}/", "answer"), (f"https://127.0.0.1:{hole.port}/", "tls")):
            found = online(tmp_path, **FORM, url=url)
            assert (found.code, found.steps) == (75, ["pass connect", f"fail {step}"])


def test_name_that_is_not_known_is_told(tmp_path: Path) -> None:
    found = online(tmp_path, **FORM, url="https://no-such-host.invalid/")
    assert found.steps == ["fail name"]


@pytest.mark.parametrize("keys", [{"type": "imap", "servers": ["imaps://imap.example.org"]}, {**FORM, "url": "https://auth.example.org/"}])
def test_certificates_that_cannot_be_read_are_told_before_a_start(keys: dict[str, object], tmp_path: Path) -> None:
    (tmp_path / "empty.pem").touch()
    code, out = checked(tmp_path, **keys, ca_file=str(tmp_path / "empty.pem"))
    assert (code, "backend.there.ca_file" in out, "it holds no certificate in PEM" in out) == (78, True, True)
    code, out = checked(tmp_path, **keys, ca_file=str(tmp_path / "gone.pem"))
    assert (code, "no such file or directory" in out) == (78, True)


def test_package_that_is_not_installed_is_told_before_a_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "httpx", None)
    monkeypatch.delitem(sys.modules, "saslauthd_py.backends.http_form.page", raising=False)
    code, out = checked(tmp_path, **FORM, url="https://auth.example.org/")
    assert code == 78
    assert '"http_form" needs the Python package httpx: install saslauthd-py[http]' in out
