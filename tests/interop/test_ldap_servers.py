"""Our LDAP connections and a real slapd: each way to reach it, what it refuses, and all that can happen to it while logins run."""

from __future__ import annotations

import os
import socket
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

from saslauthd_py.backends.ldap.directory import Answer, DirectoryFailed, LinkLost
from saslauthd_py.backends.ldap.opening import Manner
from saslauthd_py.backends.ldap.servers import Servers
from saslauthd_py.config.settings.ldap import LdapSettings
from saslauthd_py.secret import Secret
from saslauthd_py.wire.ldap import BindRequest, Compare, CompareRequest, Place, ResultCode, Scope, Search, SearchRequest
from tests.backends.ldap_wires import until
from tests.interop import directory_tree as tree
from tests.interop.slapd import Slapd, black_hole, slapd

pytestmark = pytest.mark.peer("slapd", "openssl")

T = 1.0
"""Seconds that an answer may take here."""

MUCH = 20.0
"""Seconds until a test is given up."""

_SEARCH = Search(Compare(b"uid", (Place("U"),)), Scope.SUB, size_limit=2)


@pytest.fixture(scope="module")
def server(machine: Path) -> Iterator[Slapd]:
    with slapd(machine / "slapd-servers", 60) as running:
        yield running


@pytest.fixture(scope="module")
def second(machine: Path) -> Iterator[Slapd]:
    with slapd(machine / "slapd-second", 60) as running:
        yield running


@asynccontextmanager
async def directory(server: Slapd, *uris: str, others: Sequence[socket.socket] = (), **more: object) -> AsyncIterator[Servers]:
    """What is asked; at the end nothing of it is left. `others`: sockets that the test itself opens meanwhile."""
    identity = {} if more.get("sasl_external") else {"bind_dn": server.service, "password": server.service_password}
    given = {"type": "ldap", "servers": uris or (server.ldap,), "base": server.base, "timeout": f"{int(T * 1000)}ms", **identity, **more}
    settings = LdapSettings.model_validate(given)
    before = len(os.listdir("/proc/self/fd")) - len(others)
    async with trio.open_nursery() as nursery:
        servers = Servers(settings, Manner.of(settings), nursery)
        yield servers
        servers.close()
        await until(lambda: not nursery.child_tasks)
    assert len(os.listdir("/proc/self/fd")) - len(others) == before


async def find(servers: Servers, person: tree.Person) -> Answer:
    return await servers.search(SearchRequest(_SEARCH, tree.BASE.encode(), {"U": person.uid.encode()}))


async def bind(servers: Servers, person: tree.Person, password: str | None = None) -> Answer:
    return await servers.bind(BindRequest(person.dn.encode(), Secret((password or person.password).encode())))


async def logs_in(servers: Servers, person: tree.Person = tree.ALICE) -> None:
    """Found as nobody else, right with the right password, wrong with another."""
    found = await find(servers, person)
    assert [entry.name.decode() for entry in found.entries] == [person.dn]
    assert (await bind(servers, person)).code == ResultCode.SUCCESS
    assert (await bind(servers, person, "wrong")).code == ResultCode.INVALID_CREDENTIALS


WAYS: dict[str, tuple[str, dict[str, Any]]] = {
    "ldap": ("ldap", {}),
    "StartTLS": ("ldap", {"start_tls": True}),
    "ldaps": ("ldaps", {}),
    "ldapi": ("ldapi", {}),
    "ldapi, EXTERNAL": ("ldapi", {"sasl_external": True}),
}


@pytest.mark.parametrize("way", WAYS)
async def test_each_way_leads_to_it(server: Slapd, way: str) -> None:
    uri, more = WAYS[way]
    trusted: dict[str, Any] = {"ca_file": str(server.ca)} if uri == "ldaps" or "start_tls" in more else {}
    async with directory(server, getattr(server, uri), **more, **trusted) as servers:
        await logs_in(servers)
        mail = CompareRequest(f"cn=mail,{tree.GROUPS}".encode(), b"member", tree.ALICE.dn.encode())
        assert (await servers.compare(mail)).code == ResultCode.COMPARE_TRUE


async def test_name_of_several_addresses_leads_to_the_one_that_listens(server: Slapd) -> None:
    async with directory(server, f"ldaps://localhost:{server.tls_port}", ca_file=str(server.ca)) as servers:
        await logs_in(servers)


@pytest.mark.parametrize("start_tls", [False, True])
@pytest.mark.parametrize("misled", ["name", "ca"])
async def test_wrong_ca_and_wrong_host_name_are_refused(server: Slapd, misled: str, start_tls: bool) -> None:
    named = server.ldap if start_tls else server.ldaps
    unnamed = server.ldap_unnamed if start_tls else server.ldaps_unnamed
    uri, trusted = (unnamed, server.ca) if misled == "name" else (named, server.other_ca)
    async with directory(server, uri, ca_file=str(trusted), start_tls=start_tls) as servers:
        for question in (find, bind):
            with pytest.raises(DirectoryFailed, match="its certificate is not to be trusted") as failed:
                await question(servers, tree.ALICE)
            assert failed.type is DirectoryFailed
    async with directory(server, uri, verify=False, start_tls=start_tls) as servers:
        await logs_in(servers)


async def test_ldaps_to_a_port_in_clear_and_ldap_to_one_with_tls_end_in_time(server: Slapd) -> None:
    for uri in (f"ldaps://127.0.0.1:{server.port}", f"ldap://127.0.0.1:{server.tls_port}"):
        async with directory(server, uri) as servers:
            with trio.fail_after(3 * T), pytest.raises(DirectoryFailed):
                await find(servers, tree.ALICE)


async def test_wrong_password_of_the_service_is_told_and_mended_without_a_restart(server: Slapd) -> None:
    async with directory(server, password="wrong") as servers:
        with pytest.raises(DirectoryFailed, match=r"refuses the service's own bind: invalidCredentials \(49\)"):
            await find(servers, tree.ALICE)
        with pytest.raises(DirectoryFailed, match="refuses the service's own bind"):
            await bind(servers, tree.ALICE)
        assert list(servers.down()) == [server.ldap]


def established(pid: int) -> int:
    """Descriptors of a process that are sockets."""
    found = 0
    for name in os.listdir(f"/proc/{pid}/fd"):
        try:
            found += os.readlink(f"/proc/{pid}/fd/{name}").startswith("socket:")
        except FileNotFoundError:
            continue
    return found


async def test_connections_are_bounded_whatever_comes_at_once(server: Slapd) -> None:
    before = established(server.pid)
    async with directory(server, connections=3, timeout="10s") as servers:
        async with trio.open_nursery() as nursery:
            for number in range(1, 61):
                nursery.start_soon(logs_in, servers, tree.numbered(number))
        assert established(server.pid) - before <= 4


async def test_idle_links_that_the_server_dropped_cost_no_login(machine: Path) -> None:
    with slapd(machine / "slapd-hangs-up", 1, settings=("idletimeout 1",)) as server:
        async with directory(server) as servers:
            for _ in range(2):
                await logs_in(servers)
                idle = established(server.pid)
                await until(lambda idle=idle: established(server.pid) < idle)  # type: ignore[misc]  # mypy cannot tell its type
            await logs_in(servers)
            assert not servers.down()


class Load:
    """Logins without end, with right and wrong passwords; every answer is the right one, or none."""

    def __init__(self, servers: Servers) -> None:
        self.servers = servers
        self.counts: Counter[str] = Counter()
        self.slowest = 0.0
        self.good = trio.Event()

    async def client(self, number: int) -> None:
        while True:
            number = number % 60 + 1
            person, right = tree.numbered(number), number % 3 > 0
            for searching in (True, False):
                began = trio.current_time()
                try:
                    answer = await (find(self.servers, person) if searching else bind(self.servers, person, None if right else "wrong"))
                except DirectoryFailed:
                    self.counts["none"] += 1
                    await trio.sleep(0.01)
                else:
                    expected = ResultCode.SUCCESS if searching or right else ResultCode.INVALID_CREDENTIALS
                    self._count(answer, expected, *([person.dn] if searching else []))
                self.slowest = max(self.slowest, trio.current_time() - began)

    def _count(self, answer: Answer, expected: ResultCode, *found: str) -> None:
        fits = answer.code == expected and [entry.name.decode() for entry in answer.entries] == list(found)
        self.counts["good" if fits else "wrong"] += 1
        self.counts[answer.server] += 1
        self.good.set()

    async def next_good(self) -> float:
        """Seconds until one that was asked from now on is good."""
        began = trio.current_time()
        with trio.fail_after(MUCH):
            while True:
                self.good = trio.Event()
                await self.good.wait()
                if not self.servers.down():
                    return trio.current_time() - began


@asynccontextmanager
async def load(servers: Servers, clients: int = 12) -> AsyncIterator[Load]:
    running = Load(servers)
    async with trio.open_nursery() as nursery:
        for number in range(clients):
            nursery.start_soon(running.client, number * 5)
        await running.next_good()
        yield running
        nursery.cancel_scope.cancel()
    assert running.counts["wrong"] == 0
    assert running.counts["good"] > 0


@pytest.mark.parametrize("way", WAYS)
async def test_stopped_and_started_again_under_load(server: Slapd, way: str) -> None:
    uri, more = WAYS[way]
    trusted: dict[str, Any] = {"ca_file": str(server.ca)} if uri == "ldaps" or "start_tls" in more else {}
    async with directory(server, getattr(server, uri), **more, **trusted) as servers, load(servers) as running:
        await trio.to_thread.run_sync(server.stop)  # slapd takes its time, and the logins go on
        try:
            await until(lambda: bool(servers.down()))
        finally:
            await trio.to_thread.run_sync(server.start)
        assert await running.next_good() < 2
        assert running.slowest < 2 * T


async def test_g3_frozen_and_thawed_under_load_no_late_answer_meets_anybody(server: Slapd) -> None:
    async with directory(server) as servers, load(servers) as running:
        for seconds in (T / 3, 2 * T):
            with server.frozen():
                await trio.sleep(seconds)
            assert await running.next_good() < 2
        assert running.slowest < 2 * T


async def test_second_server_answers_while_the_first_is_frozen_and_the_first_again_when_it_is_back(server: Slapd, second: Slapd) -> None:
    async with directory(server, server.ldap, second.ldap) as servers, load(servers) as running:
        with server.frozen():
            await until(lambda: bool(servers.down()))
            failed = running.counts["none"]
            await trio.sleep(T)
            assert running.counts["none"] == failed
            assert running.counts[second.ldap] > 0
        assert await running.next_good() < 2
        assert running.slowest < 4 * T


async def test_second_server_answers_every_login_while_the_first_is_stopped(server: Slapd, second: Slapd) -> None:
    async with directory(server, server.ldap, second.ldap) as servers, load(servers) as running:
        with server.stopped():
            await trio.sleep(T)
        assert await running.next_good() < 2
        assert running.counts["none"] == 0


async def test_black_hole_is_passed_over(server: Slapd) -> None:
    with black_hole() as hole:
        async with directory(server, hole.ldaps, server.ldap, others=hole.connections) as servers:
            with trio.fail_after(3 * T):
                await find(servers, tree.ALICE)
            began = trio.current_time()
            await logs_in(servers)
            assert trio.current_time() - began < T
            assert list(servers.down()) == [hole.ldaps]
        async with directory(server, hole.ldap, others=hole.connections) as servers:
            for question in (find, bind):
                with trio.fail_after(2 * T), pytest.raises(DirectoryFailed):
                    await question(servers, tree.ALICE)


async def test_d9_bind_that_a_frozen_server_has_taken_may_have_been_judged(server: Slapd) -> None:
    async with directory(server) as servers:
        await logs_in(servers)
        with server.frozen(), pytest.raises(LinkLost, match="no answer within 1 s"):
            await bind(servers, tree.ALICE)


async def test_logins_that_are_given_up_at_any_time_leave_the_others_their_own_answers(server: Slapd) -> None:
    async with directory(server, connections=2) as servers, load(servers, 4) as running:

        async def impatient(number: int) -> None:
            for turn in range(40):
                with trio.move_on_after(0.0005 * (turn % 8)):
                    await find(servers, tree.numbered(number))
                    await bind(servers, tree.numbered(number))

        async with trio.open_nursery() as nursery:
            for number in range(1, 9):
                nursery.start_soon(impatient, number)
        await running.next_good()


async def test_port_where_nobody_listens_is_told_at_once(server: Slapd) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    async with directory(server, f"ldap://127.0.0.1:{port}") as servers:
        with trio.fail_after(T), pytest.raises(DirectoryFailed, match=f"^ldap://127.0.0.1:{port}: Connection refused$"):
            await find(servers, tree.ALICE)
