"""How LDAP connections are opened: addresses, StartTLS, TLS and the service's bind, against servers that do it wrong."""

from __future__ import annotations

import errno
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from saslauthd_py.backends.ldap import reaching
from saslauthd_py.backends.ldap.link import Link, LinkBroken
from saslauthd_py.backends.ldap.opening import Manner, Refused, open_connection
from saslauthd_py.config.settings.ldap import LdapSettings
from saslauthd_py.config.settings.ldap_server import LdapServer
from saslauthd_py.secret import Secret
from saslauthd_py.wire.ldap import AnonymousBind, BindRequest, ExternalBind
from tests.backends.ldap_wires import ANONYMOUS, AS_SERVICE, EXTENDED, Fake, Part, Peer, entry, message, notice, result, serving, until

STARTING_TLS = Manner(ssl.create_default_context(), True, AnonymousBind())


async def open_to(path: Path, play: Part, manner: Manner) -> None:
    """Open a connection for searches to a fake server that plays this part, and close it. Raises LinkBroken."""
    fake = Fake(path / "ldapi", play)
    failed: LinkBroken | None = None
    async with trio.open_nursery() as nursery:
        await nursery.start(fake.run)
        try:
            with trio.fail_after(20):
                connection = await open_connection(fake.where, manner, for_searches=True)
        except LinkBroken as error:
            failed = error
        else:
            connection.close()
        await wait_all_tasks_blocked(0.01)  # what the other side still notices
        fake.stop()
    if failed is not None:
        raise failed


async def refusal(path: Path, play: Part, manner: Manner) -> str:
    with pytest.raises(LinkBroken) as failed:
        await open_to(path, play, manner)
    assert "\n" not in str(failed.value)
    return str(failed.value)


def saying(answer: Callable[[int], bytes]) -> Part:
    """Answer the first request so."""

    async def play(peer: Peer) -> None:
        number, _ = await peer.request()
        await peer.say(answer(number))
        await serving(peer)

    return play


async def test_connection_for_searches_is_bound_as_the_service(tmp_path: Path) -> None:
    await open_to(tmp_path, serving, AS_SERVICE)


@pytest.mark.parametrize("code", [49, 48, 53, 19, 7, 8, 13, 14, 34])
async def test_service_that_is_refused_is_told_apart_from_a_server_that_is_not_ready(tmp_path: Path, code: int) -> None:
    with pytest.raises(Refused, match=r"refuses the service's own bind: .*: no such"):
        await open_to(tmp_path, saying(lambda number: result(number, 0x61, code, b"no such")), AS_SERVICE)


SUB_CODED = b"80090308: LdapErr: DSID-0C0903A9, comment: AcceptSecurityContext error, data %s, v1db1"
"""As Samba answers a bind."""


@pytest.mark.parametrize(
    ("sub_code", "meaning"),
    [
        (b"52e", "v1db1"),
        (b"532", "; the account's password has expired"),
        (b"533", "; the account is disabled"),
        (b"775", "; the account is locked, after too many wrong passwords"),
    ],
)
async def test_why_active_directory_refuses_the_service_is_told(tmp_path: Path, sub_code: bytes, meaning: str) -> None:
    with pytest.raises(Refused) as failed:
        await open_to(tmp_path, saying(lambda number: result(number, 0x61, 49, SUB_CODED % sub_code)), AS_SERVICE)
    assert str(failed.value).endswith(meaning)


@pytest.mark.parametrize("sub_code", [b"54e", b"51f"])
async def test_controller_that_fails_itself_has_not_refused_the_service(tmp_path: Path, sub_code: bytes) -> None:
    with pytest.raises(LinkBroken) as failed:
        await open_to(tmp_path, saying(lambda number: result(number, 0x61, 49, SUB_CODED % sub_code)), AS_SERVICE)
    assert type(failed.value) is LinkBroken


@pytest.mark.parametrize("code", [1, 51, 52, 80])
async def test_server_that_is_not_ready_has_not_refused(tmp_path: Path, code: int) -> None:
    with pytest.raises(LinkBroken) as failed:
        await open_to(tmp_path, saying(lambda number: result(number, 0x61, code)), AS_SERVICE)
    assert type(failed.value) is LinkBroken


async def test_without_a_service_any_answer_will_do(tmp_path: Path) -> None:
    await open_to(tmp_path, saying(lambda number: result(number, 0x61, 48)), ANONYMOUS)


BEHIND = {
    "an answer": lambda number: result(number + 1, 0x61),
    "one byte": lambda _: b"0",
    "TLS": lambda _: b"\x16\x03\x03",
    "a notice": lambda _: notice(),
}


@pytest.mark.parametrize("behind", BEHIND.values(), ids=BEHIND)
async def test_g3_bytes_in_clear_behind_the_answer_to_starttls_end_the_connection(tmp_path: Path, behind: Callable[[int], bytes]) -> None:
    why = await refusal(tmp_path, saying(lambda number: result(number, EXTENDED) + behind(number)), STARTING_TLS)
    assert "behind its answer to StartTLS" in why


@pytest.mark.parametrize("code", [1, 2, 52, 80])
async def test_starttls_that_is_refused_is_never_followed_by_anything_in_clear(tmp_path: Path, code: int) -> None:
    told: list[bytes | bytearray] = []

    async def play(peer: Peer) -> None:
        number, _ = await peer.request()
        await peer.say(result(number, EXTENDED, code))
        told.append(await peer.stream.receive_some())

    assert "refuses StartTLS" in await refusal(tmp_path, play, STARTING_TLS)
    assert told == [b""]


WRONG_ANSWERS = {
    "another number": lambda number: result(number + 1, 0x61),
    "another operation": lambda number: result(number, 0x65),
    "an extended answer": lambda number: result(number, EXTENDED),
    "an entry": lambda number: entry(number),
    "an intermediate answer": lambda number: message(number, b"\x79\x00"),
    "garbage": lambda _: b"\xff" * 20,
    "a notice": lambda _: notice(diagnostic=b"not now"),
    "a huge message": lambda _: b"\x30\x84\x00\x20\x00\x00",
}


@pytest.mark.parametrize("answer", WRONG_ANSWERS.values(), ids=WRONG_ANSWERS)
async def test_g3_what_is_no_answer_to_the_service_s_bind_is_none(tmp_path: Path, answer: Callable[[int], bytes]) -> None:
    assert await refusal(tmp_path, saying(answer), AS_SERVICE)


async def test_server_that_closes_at_any_byte_of_its_first_answers_is_not_reached(tmp_path: Path) -> None:
    for manner, tag in ((AS_SERVICE, 0x61), (STARTING_TLS, EXTENDED)):
        for length in range(len(result(1, tag)) + 1):

            async def play(peer: Peer, length: int = length, tag: int = tag) -> None:
                number, _ = await peer.request()
                await peer.say(result(number, tag)[:length])

            if length == len(result(1, tag)) and tag == 0x61:
                await open_to(tmp_path, play, manner)
            else:
                assert await refusal(tmp_path, play, manner)


async def test_opening_that_is_cancelled_leaves_no_connection_open(tmp_path: Path) -> None:
    ended = trio.Event()

    async def play(peer: Peer) -> None:
        await peer.request()
        with pytest.raises(trio.EndOfChannel):
            await peer.request()
        ended.set()

    fake = Fake(tmp_path / "ldapi", play)
    async with trio.open_nursery() as nursery:
        await nursery.start(fake.run)
        with trio.CancelScope() as scope:
            nursery.start_soon(_cancel_when_blocked, scope)
            await open_connection(fake.where, AS_SERVICE, for_searches=True)
        with trio.fail_after(20):
            await ended.wait()
        fake.stop()


async def _cancel_when_blocked(scope: trio.CancelScope) -> None:
    await wait_all_tasks_blocked()
    scope.cancel()


async def test_socket_that_is_not_there_is_told_so(tmp_path: Path) -> None:
    with pytest.raises(LinkBroken, match="No such file or directory"):
        await open_connection(LdapServer("ldapi", path=str(tmp_path / "none")), ANONYMOUS, for_searches=False)


async def test_socket_with_a_full_queue_is_told_so(tmp_path: Path) -> None:
    path = str(tmp_path / "full")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(path)
        listening.listen(0)
        links: list[Link] = []

        async def fill() -> None:
            while len(links) < 1000:
                links.append(await reaching.reach(LdapServer("ldapi", path=path)))

        with pytest.raises(LinkBroken, match="waiting to be taken"):
            await fill()
        for link in links:
            link.close()


async def test_no_descriptor_left_is_a_broken_link_and_nothing_worse(monkeypatch: pytest.MonkeyPatch) -> None:
    def none_left(*_: object) -> socket.socket:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(socket, "socket", none_left)
    with pytest.raises(LinkBroken, match="Too many open files"):
        await reaching.reach(LdapServer("ldap", "127.0.0.1", 389))


def named(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
    """What any name means."""
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", address) for address in addresses]
    monkeypatch.setattr(socket, "getaddrinfo", lambda _, port, **__: [(*each[:4], (each[4], port)) for each in found])


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener


async def test_each_address_of_a_name_is_tried(monkeypatch: pytest.MonkeyPatch, listening: socket.socket) -> None:
    named(monkeypatch, "127.0.0.3", "127.0.0.2", "127.0.0.1")
    link = await reaching.reach(LdapServer("ldap", "several.test", listening.getsockname()[1]))
    link.close()


async def test_address_that_says_nothing_holds_up_the_next_for_a_moment_only(
    monkeypatch: pytest.MonkeyPatch, listening: socket.socket
) -> None:
    really = reaching._connect

    async def hanging(connecting: socket.socket, address: tuple[str, int]) -> None:
        if address[0] == "192.0.2.1":
            await trio.sleep_forever()
        await really(connecting, address)

    monkeypatch.setattr(reaching, "_connect", hanging)
    named(monkeypatch, "192.0.2.1", "127.0.0.1")
    with trio.fail_after(20):
        link = await reaching.reach(LdapServer("ldap", "several.test", listening.getsockname()[1]))
    link.close()


async def test_when_no_address_answers_each_reason_is_told(monkeypatch: pytest.MonkeyPatch, listening: socket.socket) -> None:
    port = listening.getsockname()[1]
    listening.close()
    named(monkeypatch, "127.0.0.1", "127.0.0.2")
    with pytest.raises(LinkBroken, match=r"^Connection refused$"):
        await reaching.reach(LdapServer("ldap", "several.test", port))


async def test_of_two_addresses_that_answer_at_once_one_is_kept(monkeypatch: pytest.MonkeyPatch, listening: socket.socket) -> None:
    made: list[socket.socket] = []
    all_tried = trio.Event()

    async def together(connecting: socket.socket, address: tuple[str, int]) -> None:
        made.append(connecting)
        if len(made) == 2:
            all_tried.set()
        await all_tried.wait()

    monkeypatch.setattr(reaching, "_connect", together)
    named(monkeypatch, "127.0.0.1", "127.0.0.2")
    link = await reaching.reach(LdapServer("ldap", "several.test", 389))
    assert sorted(each.fileno() >= 0 for each in made) == [False, True]
    link.close()


async def test_name_that_nobody_knows_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(LinkBroken, match="its name is not known: Name or service not known"):
        await reaching.reach(LdapServer("ldap", "nowhere.test", 389))


async def test_lookups_that_hang_are_left_behind_and_take_no_thread_from_others(monkeypatch: pytest.MonkeyPatch) -> None:
    released, begun = threading.Event(), []

    def hanging(*_: object, **__: object) -> list[object]:
        begun.append(1)
        released.wait()
        return []

    monkeypatch.setattr(socket, "getaddrinfo", hanging)
    others = trio.to_thread.current_default_thread_limiter()
    try:
        async with trio.open_nursery() as nursery:
            for _ in range(20):
                nursery.start_soon(reaching.reach, LdapServer("ldap", "slow.test", 389))
            await wait_all_tasks_blocked()
            assert others.borrowed_tokens == 0
            nursery.cancel_scope.cancel()
        assert len(begun) <= reaching.MOST_LOOKUPS
    finally:
        released.set()
    await until(lambda: not reaching.lookups("slow.test").borrowed_tokens)


async def test_lookups_that_hang_keep_no_other_server_from_being_reached(monkeypatch: pytest.MonkeyPatch, listening: socket.socket) -> None:
    released = threading.Event()

    def lookup(host: str, *_: object, **__: object) -> list[object]:
        if host == "dead.test":
            released.wait()
            return []
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", listening.getsockname())]

    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    try:
        async with trio.open_nursery() as nursery:
            for _ in range(2 * reaching.MOST_LOOKUPS):
                nursery.start_soon(reaching.reach, LdapServer("ldap", "dead.test", 389))
            await wait_all_tasks_blocked()
            with trio.fail_after(60):
                (await reaching.reach(LdapServer("ldap", "good.test", 389))).close()
            nursery.cancel_scope.cancel()
    finally:
        released.set()
    await until(lambda: not reaching.lookups("dead.test").borrowed_tokens)


def settings(**more: object) -> LdapSettings:
    return LdapSettings.model_validate({"type": "ldap", "servers": ["ldaps://ldap.test"], "base": "dc=test", **more})


def test_manner_of_settings() -> None:
    manner = Manner.of(settings())
    assert manner.context is not None
    assert (manner.context.verify_mode, manner.context.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert manner.context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert manner.context.options & ssl.OP_NO_RENEGOTIATION
    assert isinstance(manner.service, AnonymousBind)
    loose = Manner.of(settings(verify=False)).context
    assert loose is not None
    assert loose.verify_mode is ssl.CERT_NONE
    assert Manner.of(settings(servers=["ldap://ldap.test"])).context is None
    named = Manner.of(settings(bind_dn="cn=service", password="pw"))
    assert named.service == BindRequest(b"cn=service", Secret(b"pw"))
    assert "service" not in repr(named)
    assert Manner.of(settings(servers=["ldapi:///"], sasl_external=True)).service == ExternalBind(b"")


def test_ca_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=f"^ca_file {tmp_path}/none.pem: No such file or directory$"):
        Manner.of(settings(ca_file=str(tmp_path / "none.pem")))
    (tmp_path / "text.pem").write_text("no certificate")
    with pytest.raises(OSError, match=f"^ca_file {tmp_path}/text.pem: it holds no certificate in PEM$"):
        Manner.of(settings(ca_file=str(tmp_path / "text.pem")))


async def test_of_mixed_servers_only_ldaps_has_tls(tmp_path: Path) -> None:
    manner = Manner.of(settings(servers=["ldaps://ldap.test", "ldap://ldap.test"]))

    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")

    async def play() -> None:
        await Peer(await listener.accept()).serve()

    async with listener, trio.open_nursery() as nursery:
        nursery.start_soon(play)
        where = LdapServer("ldap", "127.0.0.1", listener.socket.getsockname()[1])
        connection = await open_connection(where, manner, for_searches=True)
        connection.close()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """What a server has, and what trusts it."""
    path = tmp_path_factory.mktemp("certificate")
    key, pem = str(path / "key"), str(path / "pem")
    made = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key, "-out", pem]
    subject = ["-subj", "/CN=ldap.test", "-addext", "subjectAltName=DNS:ldap.test,IP:192.0.2.1"]
    subprocess.run(["openssl", "req", "-x509", *made, *subject], check=True, capture_output=True, timeout=20)
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(pem, key)
    client = Manner.of(settings(ca_file=pem)).context
    assert client is not None
    return server, client


async def secured(
    certificate: tuple[ssl.SSLContext, ssl.SSLContext], nursery: trio.Nursery, host: str = "ldap.test"
) -> tuple[Link, trio.SSLStream[trio.SocketStream]]:
    """Both ends, after the handshake."""
    server, client = certificate
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    link = Link(ours)
    stream = trio.SSLStream(trio.SocketStream(trio.socket.from_stdlib_socket(theirs)), server, server_side=True)
    try:
        async with trio.open_nursery() as both:
            both.start_soon(_shake_hands, stream)
            await link.begin_tls(client, host)
    except BaseException:
        link.close()
        theirs.close()
        raise
    nursery.start_soon(link.keep_sending)
    return link, stream


async def _ended(stream: trio.SSLStream[trio.SocketStream], scope: trio.CancelScope) -> None:
    with scope:
        await stream.unwrap()


async def _shake_hands(stream: trio.SSLStream[trio.SocketStream]) -> None:
    try:
        await stream.do_handshake()
    except trio.BrokenResourceError:
        await trio.aclose_forcefully(stream)


@pytest.mark.peer("openssl")
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_tls_carries_both_ways_and_an_orderly_end_is_the_end(
    certificate: tuple[ssl.SSLContext, ssl.SSLContext], version: ssl.TLSVersion
) -> None:
    server, client = certificate
    client.maximum_version = version
    async with trio.open_nursery() as nursery:
        link, stream = await secured((server, client), nursery)
        client.maximum_version = ssl.TLSVersion.MAXIMUM_SUPPORTED
        link.send(b"x" * 300_000)
        got = 0
        while got < 300_000:
            got += len(await stream.receive_some(65536))
        nursery.start_soon(stream.send_all, b"y" * 300_000)
        got = 0
        while got < 300_000:
            got += len(await link.receive())
        await stream.send_all(b"last")
        ending = trio.CancelScope()
        nursery.start_soon(_ended, stream, ending)
        assert await link.receive() == b"last"
        assert await link.receive() == b""
        assert await link.receive() == b""
        ending.cancel()
        await wait_all_tasks_blocked()
        await trio.aclose_forcefully(stream)
        link.close()
        nursery.cancel_scope.cancel()


@pytest.mark.peer("openssl")
@pytest.mark.parametrize("host", ["other.test", "192.0.2.2", "test"])
async def test_certificate_of_another_host_is_refused(certificate: tuple[ssl.SSLContext, ssl.SSLContext], host: str) -> None:
    async with trio.open_nursery() as nursery:
        with pytest.raises(ExceptionGroup) as failed:
            await secured(certificate, nursery, host)
    assert failed.group_contains(LinkBroken, match="not to be trusted: .*ismatch")


@pytest.mark.peer("openssl")
@pytest.mark.parametrize("host", ["ldap.test", "192.0.2.1"])
async def test_certificate_of_the_host_or_the_address_is_taken(certificate: tuple[ssl.SSLContext, ssl.SSLContext], host: str) -> None:
    async with trio.open_nursery() as nursery:
        link, stream = await secured(certificate, nursery, host)
        await trio.aclose_forcefully(stream)
        link.close()
        nursery.cancel_scope.cancel()


@pytest.mark.peer("openssl")
async def test_tls_below_1_2_is_refused(certificate: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    _, client = certificate
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    old.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        old.maximum_version = ssl.TLSVersion.TLSv1_1
    async with trio.open_nursery() as nursery:
        with pytest.raises(ExceptionGroup) as failed:
            await secured((old, client), nursery)
    assert failed.group_contains(LinkBroken, match="TLS")


@pytest.mark.peer("openssl")
async def test_byte_that_was_changed_on_its_way_breaks_the_link(certificate: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    async with trio.open_nursery() as nursery:
        link, stream = await secured(certificate, nursery)
        await stream.transport_stream.send_all(b"\x17\x03\x03\x00\x20" + bytes(32))
        with pytest.raises(LinkBroken, match="TLS: "):
            await link.receive()
        await trio.aclose_forcefully(stream)
        link.close()
        nursery.cancel_scope.cancel()
