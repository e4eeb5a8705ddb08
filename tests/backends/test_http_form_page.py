"""The page over a real socket, and whatever a server there may do: a status is heard whole, or it is an outage."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
import trio.lowlevel

from saslauthd_py.backends.http_form.page import MAX_BODY, Manner, Page, named
from saslauthd_py.config.settings.http_form import HttpFormSettings
from saslauthd_py.remote.failing import Failed
from tests.backends.mail_servers import until
from tests.interop.daemon import PATIENCE, environment

BODY = b"user=alice&password=hunter2"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
FORBIDDEN = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"

Talk = Callable[[trio.SocketStream, "Server"], Awaitable[None]]


class Server:
    """Each connection is `talk`'s."""

    def __init__(self, talk: Talk) -> None:
        self.connections = 0
        self.heard: list[bytes] = []
        self.port = 0
        self._talk = talk

    async def serve(self, stream: trio.SocketStream) -> None:
        self.connections += 1
        try:
            async with stream:
                await self._talk(stream, self)
        except (trio.BrokenResourceError, trio.ClosedResourceError):  # the client is gone
            return

    async def request(self, stream: trio.SocketStream) -> bool:
        """Whether one has come, whole."""
        received = b""
        while not received.endswith((BODY, b"HEAD / HTTP/1.1\r\n")):
            data = await stream.receive_some(4096)
            if not data:
                return False
            received += data
        self.heard.append(received)
        return True


def saying(*said: bytes, then_close: bool = True) -> Talk:
    """One answer to one request, piece by piece."""

    async def talk(stream: trio.SocketStream, server: Server) -> None:
        while await server.request(stream):
            for piece in said:
                await stream.send_all(piece)
            if then_close:
                return

    return talk


@asynccontextmanager
async def asked(talk: Talk, **more: object) -> AsyncIterator[tuple[Page, Server]]:
    """A page at that server."""
    server = Server(talk)
    async with trio.open_nursery() as nursery:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, server.serve, [listener])
        server.port = listener.socket.getsockname()[1]
        keys = {"type": "http_form", "url": f"http://127.0.0.1:{server.port}/x?y", "body": "%u%p", "timeout": "20s", **more}
        settings = HttpFormSettings.model_validate(keys)
        yield Page(settings, Manner.of(settings)), server
        nursery.cancel_scope.cancel()


async def failure(page: Page) -> Failed:
    with pytest.raises(Failed) as caught:
        await page.post(BODY)
    assert "hunter2" not in str(caught.value)
    return caught.value


async def test_what_is_sent() -> None:
    more = {"headers": {"X-Site": "mail"}, "authorization": "Bearer token", "authorization_header": "X-Token"}
    async with asked(saying(OK), **more) as (page, server):
        assert await page.post(BODY) == 200
    head, _, body = server.heard[0].partition(b"\r\n\r\n")
    first, *headers = head.decode().split("\r\n")
    assert (first, body) == ("POST /x?y HTTP/1.1", BODY)
    sent = {name.lower(): value for name, value in (line.split(": ") for line in headers)}
    assert sent["host"] == f"127.0.0.1:{server.port}"
    assert sent["content-type"] == "application/x-www-form-urlencoded"
    assert sent["content-length"] == str(len(BODY))
    assert (sent["x-site"], sent["x-token"], sent["accept-encoding"]) == ("mail", "Bearer token", "identity")
    assert "cookie" not in sent


async def test_no_cookie_is_ever_sent_back() -> None:
    cookie = b"HTTP/1.1 200 OK\r\nSet-Cookie: session=alice; Path=/\r\nContent-Length: 0\r\n\r\n"
    async with asked(saying(cookie, then_close=False)) as (page, server):
        await page.post(BODY)
        await page.post(BODY)
    assert all(b"cookie" not in heard.lower() for heard in server.heard)


@pytest.mark.parametrize("behind", [OK, b"ok", OK * 3])
async def test_b1_what_stands_behind_an_answer_is_never_the_next_login_s(behind: bytes) -> None:
    async with asked(saying(FORBIDDEN + behind, then_close=False)) as (page, server):
        assert [await page.post(BODY) for _ in range(3)] == [403, 403, 403]
    assert server.connections == 3
    assert all(b"\r\nconnection: close\r\n" in heard.lower() for heard in server.heard)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # httpx leaves its generators to the garbage collector
async def test_logins_that_are_cancelled_leave_nothing_behind() -> None:
    async def talk(stream: trio.SocketStream, server: Server) -> None:
        while await server.request(stream):
            await trio.lowlevel.checkpoint()
            await stream.send_all(FORBIDDEN)

    async with asked(talk, parallel=1) as (page, _):

        async def leave_after(checkpoints: int) -> None:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(page.post, BODY)
                for _ in range(checkpoints):
                    await trio.lowlevel.checkpoint()
                nursery.cancel_scope.cancel()

        await page.post(BODY)
        before = len(os.listdir("/proc/self/fd"))
        for checkpoints in range(40):
            await leave_after(checkpoints)
        assert await page.post(BODY) == 403
        await until(lambda: len(os.listdir("/proc/self/fd")) <= before)


@pytest.mark.parametrize("whole", [OK[: len(OK) - 2], FORBIDDEN])
async def test_d8_answer_that_is_cut_at_any_byte_of_its_head_is_an_outage(whole: bytes) -> None:
    for size in range(len(whole)):
        async with asked(saying(whole[:size])) as (page, _):
            failed = await failure(page)
        assert failed.sent
        assert str(failed) == "answers something else than HTTP, or ends the connection"


async def test_status_counts_whatever_comes_of_the_body() -> None:
    async with asked(saying(OK[:-1])) as (page, _):
        assert await page.post(BODY) == 200
    endless = b"HTTP/1.1 403 Forbidden\r\nTransfer-Encoding: chunked\r\n\r\n"
    async with asked(saying(endless, *[b"4000\r\n" + b"x" * 16384 + b"\r\n"] * (MAX_BODY // 16384 + 1))) as (page, server):
        assert await page.post(BODY) == 403
        assert await page.post(BODY) == 403
    assert server.connections == 2


async def test_body_in_many_pieces_takes_turns_with_other_work_and_is_not_read_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    turns, checkpoint = 0, trio.lowlevel.cancel_shielded_checkpoint

    async def counted() -> None:
        nonlocal turns
        turns += 1
        await checkpoint()

    monkeypatch.setattr(trio.lowlevel, "cancel_shielded_checkpoint", counted)
    head = b"HTTP/1.1 403 Forbidden\r\nTransfer-Encoding: chunked\r\n\r\n"
    async with asked(saying(head + b"1\r\nx\r\n" * 40_000, then_close=False)) as (page, _):
        assert await page.post(BODY) == 403
    assert MAX_BODY // 64 < turns < 30_000


async def test_body_that_stands_still_holds_nobody_up_for_ever() -> None:
    async def talk(stream: trio.SocketStream, server: Server) -> None:
        await server.request(stream)
        await stream.send_all(FORBIDDEN.replace(b"0\r\n\r\n", b"5\r\n\r\n"))
        await trio.sleep_forever()

    async with asked(talk, timeout="200ms") as (page, _):
        assert await page.post(BODY) == 403


@pytest.mark.parametrize(
    "said",
    [
        b"SSH-2.0-OpenSSH\r\n",
        b"HTTP/1.1 hunter2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nhunter2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"A: " + b"b" * 200_000 + b"\r\n",
        b"\x15\x03\x01\x00\x02\x02\x28",
    ],
    ids=["ssh", "status", "header", "long", "tls"],
)
async def test_d8_what_is_no_http_is_an_outage(said: bytes) -> None:
    async with asked(saying(said)) as (page, _):
        failed = await failure(page)
    assert str(failed) == "answers something else than HTTP, or ends the connection"


async def test_d8_silence_is_an_outage_within_the_timeout() -> None:
    async def talk(stream: trio.SocketStream, server: Server) -> None:
        await server.request(stream)
        await trio.sleep_forever()

    async with asked(talk, timeout="100ms") as (page, _):
        failed = await failure(page)
    assert (str(failed), failed.sent, failed.silent) == ("no answer within 0.1 s", True, True)


async def test_nobody_there_is_an_outage_and_nothing_was_sent() -> None:
    async with asked(saying(OK)) as (page, server):
        pass
    settings = HttpFormSettings.model_validate({"type": "http_form", "url": f"http://127.0.0.1:{server.port}/", "body": "%u%p"})
    page = Page(settings, Manner.of(settings))
    failed = await failure(page)
    assert (str(failed), failed.sent) == ("Connection refused", False)


async def test_redirect_is_a_status_like_any_other() -> None:
    moved = b"HTTP/1.1 307 Temporary Redirect\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n"
    async with asked(saying(moved)) as (page, server):
        assert await page.post(BODY) == 307
    assert len(server.heard) == 1


async def test_environment_says_nothing_of_the_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("all_proxy", "http://127.0.0.1:1")
    async with asked(saying(OK)) as (page, _):
        assert await page.post(BODY) == 200


_FRESH = """
import sys, trio
from saslauthd_py.app import remotes
from saslauthd_py.config.settings.http_form import HttpFormSettings
from tests.interop.certificates import self_signed
from tests.interop.web_form import web_page
from pathlib import Path

with web_page(self_signed(Path(sys.argv[1]))) as there:
    url = f"https://localhost:{there.tls_port}/"
    settings = HttpFormSettings.model_validate({"type": "http_form", "url": url, "body": "%u%p", "ca_file": sys.argv[1]})

    async def asked():
        async with trio.open_nursery() as nursery:
            backend = remotes.composed(settings, remotes.prepared(settings), nursery).backend
            before = set(sys.modules)
            assert await backend._page.post(b"user=bob&password=wrong") == 403
            print(*sorted(set(sys.modules) - before))
            nursery.cancel_scope.cancel()

    trio.run(asked)
"""


@pytest.mark.peer("openssl")
def test_a2_nothing_more_is_imported_once_the_page_is_made(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _FRESH, str(tmp_path / "page.pem")]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert (done.returncode, done.stdout.split(), done.stderr) == (0, [], "")


def test_status_is_told_by_its_name() -> None:
    assert [named(status) for status in (200, 302, 599)] == ["200 OK", "302 Found", "599"]
