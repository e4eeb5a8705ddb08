"""What a listener offers, and why SCRAM is not among it: a client that fails with the strongest throws its password away."""

from __future__ import annotations

from dataclasses import replace

import pytest

from saslauthd_py.app.offering import Offered, offered
from saslauthd_py.backend import KeysFound
from saslauthd_py.config.settings import Listen
from saslauthd_py.identity import Identity
from saslauthd_py.keys import AccountKeys, Hash
from saslauthd_py.queue import Queue
from saslauthd_py.routing import Member, Next, Route, Routes
from saslauthd_py.secret import Secret
from saslauthd_py.verdict import UnknownUser, Verdict

LISTENER = "/run/auth"
ANY = frozenset({"*"})
BOTH = {"SCRAM-SHA-256", "SCRAM-SHA-1"}


class Backend:
    """Implements `backend.Backend`, and `Keyed` with what it lacks for each hash."""

    def __init__(self, **lacks: str) -> None:
        self.lacks = lacks

    async def verify_password(self, _: object) -> Verdict:
        return UnknownUser()

    async def pretend(self, _: Secret) -> None:
        raise AssertionError("nobody asks")

    async def find_keys(self, name: Identity, function: Hash) -> KeysFound | UnknownUser:
        raise AssertionError("nobody asks")

    async def find_account(self, name: Identity) -> Verdict:
        raise AssertionError("nobody asks")

    def decoy(self, name: Identity, function: Hash) -> AccountKeys:
        raise AssertionError("nobody asks")

    def lack(self, function: Hash) -> str:
        return self.lacks.get(function, "")

    @property
    def counted(self) -> bool:
        return True


def keyed(name: str, **lacks: str) -> Member:
    backend = Backend(**lacks)
    return Member(name, backend, Queue.of_backend(1), keyed=backend)


def route(*members: Member, realm: str = "*", listener: str = "*") -> Route:
    return Route(frozenset({realm}), ANY, frozenset({listener}), members)


def listen(*mechanisms: str) -> Listen:
    given = {"mechanisms": mechanisms} if mechanisms else {}
    trusted = {"trust": "certificate", "allow_users": ("root",)} if "EXTERNAL" in mechanisms else {}
    return Listen.model_validate({"protocol": "dovecot", "path": LISTENER, **trusted, **given})


SYSTEM = Member("system", Backend(), Queue.of_backend(1))


def test_scram_is_offered_where_everybody_has_keys_behind_what_every_client_can() -> None:
    assert offered(listen(), Routes([route(keyed("users"))])) == Offered(("PLAIN", "LOGIN", "SCRAM-SHA-256", "SCRAM-SHA-1"))


def test_each_hash_for_itself() -> None:
    found = offered(listen(), Routes([route(keyed("users", sha1="2 of 3 accounts have no keys"))]))
    assert found == Offered(("PLAIN", "LOGIN", "SCRAM-SHA-256"), {"SCRAM-SHA-1": "backend users: 2 of 3 accounts have no keys"})


def test_one_backend_that_has_no_keys_withholds_scram_from_all() -> None:
    found = offered(listen(), Routes([route(keyed("users")), route(keyed("more", sha256="none has"), SYSTEM, realm="b.test")]))
    assert found.mechanisms == ("PLAIN", "LOGIN")
    assert found.withheld == {
        "SCRAM-SHA-256": "backend more: none has; backend system: it can only try a password, and has no keys",
        "SCRAM-SHA-1": "backend system: it can only try a password, and has no keys",
    }


def test_a_backend_of_two_routes_is_named_once() -> None:
    found = offered(listen(), Routes([route(SYSTEM, realm="a.test"), route(SYSTEM, realm="b.test")]))
    assert set(found.withheld.values()) == {"backend system: it can only try a password, and has no keys"}


def test_an_exchange_cannot_ask_the_next_backend_after_a_no() -> None:
    asks_on = frozenset({Next.UNKNOWN, Next.REJECTED})
    alone, before = route(keyed("users")), route(keyed("users"), keyed("more"))
    assert offered(listen(), Routes([replace(alone, next_on=asks_on)])).withheld == {}
    assert offered(listen(), Routes([before])).withheld == {}
    found = offered(listen(), Routes([replace(before, next_on=asks_on)]))
    assert found.mechanisms == ("PLAIN", "LOGIN")
    assert all("next_on" in why for why in found.withheld.values())


def test_routes_of_other_listeners_say_nothing_here() -> None:
    routes = Routes([route(SYSTEM, listener="/run/saslauthd/mux"), route(keyed("users"), listener=LISTENER)])
    assert offered(listen(), routes).withheld == {}
    assert offered(listen().model_copy(update={"path": "/run/saslauthd/mux"}), routes).mechanisms == ("PLAIN", "LOGIN")


@pytest.mark.parametrize("routes", [Routes([]), Routes([route(keyed("users"), listener="127.0.0.1:12345")])])
def test_without_a_route_nobody_has_keys(routes: Routes) -> None:
    found = offered(listen(), routes)
    assert found.mechanisms == ("PLAIN", "LOGIN")
    assert found.withheld == dict.fromkeys(BOTH, "no [[route]] is for this listener")


def test_what_the_listener_names_is_offered_as_it_is_named_and_nothing_else() -> None:
    assert offered(listen("SCRAM-SHA-256", "EXTERNAL"), Routes([route(SYSTEM)])) == Offered(
        ("SCRAM-SHA-256", "EXTERNAL"), {"SCRAM-SHA-1": "the listener's `mechanisms` does not name it"}
    )
    assert offered(listen("LOGIN", "PLAIN"), Routes([route(keyed("users"))])).mechanisms == ("LOGIN", "PLAIN")


def test_an_address_is_a_listener_too() -> None:
    there = Listen.model_validate({"protocol": "dovecot", "address": "127.0.0.1:12345"})
    assert (
        "SCRAM-SHA-256"
        in offered(there, Routes([route(keyed("users"), listener="127.0.0.1:12345"), route(SYSTEM, listener="/x")])).mechanisms
    )


def test_what_is_lacking_is_asked_anew() -> None:
    backend = Backend(sha256="one has none", sha1="one has none")
    routes = Routes([route(Member("users", backend, Queue.of_backend(1), keyed=backend))])
    assert set(offered(listen(), routes).withheld) == BOTH
    backend.lacks.clear()
    assert offered(listen(), routes).withheld == {}
