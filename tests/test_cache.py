"""Proofs in memory: what is found, what is forgotten, and when nothing may be used (rules C2 to C6)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from saslauthd_py.backend import BackendBusy, BackendUnreadable
from saslauthd_py.cache import OLDEST_LOOK, Cache, Proof
from saslauthd_py.identity import Identity


@dataclass
class Clock:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Watched:
    answers: list[Iterable[str] | BackendUnreadable | None] = field(default_factory=list)
    looks: int = 0

    def changes(self) -> Iterable[str] | None:
        self.looks += 1
        answer = self.answers.pop(0) if self.answers else ()
        if isinstance(answer, BackendUnreadable):
            raise answer
        return answer

    def account(self, name: Identity) -> str:
        raise NotImplementedError

    def generation(self, name: Identity) -> int:
        raise NotImplementedError


def proof(until: float, account: str = "alice@", secret: bytes = b"s", asked: tuple[str, ...] = ("users",)) -> Proof:
    return Proof(until, until, (account,), secret, account, asked, b"line")


def test_c3_age_is_absolute_and_a_hit_does_not_extend_it() -> None:
    clock = Clock()
    cache = Cache(10, clock)
    cache.remember(b"k", proof(clock.now + 60), sole=True)
    for _ in range(59):
        clock.now += 1
        assert cache.find(b"k", clock.now)
    clock.now += 1
    assert cache.find(b"k", clock.now) is None


def test_c3_entries_are_bounded_and_the_oldest_goes_first() -> None:
    clock = Clock()
    cache = Cache(3, clock)
    for number in range(5):
        cache.remember(b"k%d" % number, proof(clock.now + 60, f"u{number}@"), sole=True)
    assert list(cache.proofs) == [b"k2", b"k3", b"k4"]
    assert sorted(cache._accounts) == ["u2@", "u3@", "u4@"]


def test_c3_entries_that_are_over_leave_when_another_comes() -> None:
    clock = Clock()
    cache = Cache(100, clock)
    for number in range(5):
        cache.remember(b"k%d" % number, proof(clock.now + 60, f"u{number}@"), sole=True)
    clock.now += 61
    cache.remember(b"new", proof(clock.now + 60, "new@"), sole=True)
    assert list(cache.proofs) == [b"new"]


def test_c5_another_accepted_secret_of_an_account_with_one_password_removes_the_older() -> None:
    clock = Clock()
    cache = Cache(10, clock)
    cache.remember(b"smtp-old", proof(clock.now + 60, secret=b"old"), sole=True)
    cache.remember(b"imap-old", proof(clock.now + 60, secret=b"old"), sole=True)
    cache.remember(b"bob", proof(clock.now + 60, "bob@", b"old"), sole=True)
    cache.remember(b"smtp-new", proof(clock.now + 60, secret=b"new"), sole=True)
    assert set(cache.proofs) == {b"smtp-new", b"bob"}


def test_c5_an_account_with_several_secrets_keeps_them_all() -> None:
    clock = Clock()
    cache = Cache(10, clock)
    cache.remember(b"phone", proof(clock.now + 60, secret=b"1"), sole=False)
    cache.remember(b"laptop", proof(clock.now + 60, secret=b"2"), sole=False)
    assert set(cache.proofs) == {b"phone", b"laptop"}


def test_c6_only_the_changed_account_is_forgotten() -> None:
    clock = Clock()
    watched = Watched([["alice@"]])
    cache = Cache(10, clock, [("users", watched)])
    cache.remember(b"a", proof(clock.now + 60), sole=True)
    cache.remember(b"b", proof(clock.now + 60, "bob@"), sole=True)
    assert cache.look(clock.now)
    assert set(cache.proofs) == {b"b"}


def test_c6_a_change_that_names_nobody_is_everybody_s_of_that_backend() -> None:
    clock = Clock()
    cache = Cache(10, clock, [("users", Watched([None])), ("files", Watched())])
    cache.remember(b"a", proof(clock.now + 60), sole=True)
    cache.remember(b"chain", proof(clock.now + 60, "carol@", asked=("users", "files")), sole=True)
    cache.remember(b"b", proof(clock.now + 60, "bob@", asked=("files",)), sole=True)
    assert cache.look(clock.now)
    assert set(cache.proofs) == {b"b"}


def test_c6_a_look_is_used_for_two_milliseconds_and_no_longer() -> None:
    clock = Clock()
    watched = Watched()
    cache = Cache(10, clock, [("users", watched)])
    assert cache.look(clock.now)
    assert cache.look(clock.now + OLDEST_LOOK * 0.99)
    assert watched.looks == 1
    assert cache.look(clock.now + OLDEST_LOOK)
    assert watched.looks == 2


def test_c6_what_cannot_be_looked_at_is_not_answered_from_memory() -> None:
    clock = Clock()
    watched = Watched([BackendUnreadable("gone"), BackendUnreadable("gone")])
    cache = Cache(10, clock, [("users", watched), ("files", Watched())])
    cache.remember(b"a", proof(clock.now + 60), sole=True)
    cache.remember(b"b", proof(clock.now + 60, "bob@", asked=("files",)), sole=True)
    assert not cache.look(clock.now)
    assert not cache.look(clock.now), "a failed look must not count as a look"
    assert set(cache.proofs) == {b"b"}
    assert cache.look(clock.now)


def test_c6_a_busy_store_keeps_its_proofs_but_none_is_used() -> None:
    clock = Clock()
    cache = Cache(10, clock, [("users", Watched([BackendBusy("busy")]))])
    cache.remember(b"a", proof(clock.now + 60), sole=True)
    assert not cache.look(clock.now)
    assert cache.look(clock.now)
    assert set(cache.proofs) == {b"a"}


@given(
    st.lists(st.binary(max_size=6), min_size=4, max_size=4),
    st.lists(st.binary(max_size=6), min_size=4, max_size=4),
    st.integers(0, 3),
    st.integers(0, 3),
)
def test_c2_two_requests_share_a_key_only_when_listener_and_every_field_are_the_same(
    one: list[bytes], other: list[bytes], listener: int, another: int
) -> None:
    cache = Cache(10, Clock())

    def key(number: int, fields: list[bytes]) -> bytes:
        state = cache.state(number)
        state.update(b"".join(len(value).to_bytes(2, "big") + value for value in fields))
        return state.digest()

    assert (key(listener, one) == key(another, other)) == (listener == another and one == other)


def test_c2_keys_of_two_caches_differ() -> None:
    assert Cache(1, Clock()).state(0).digest() != Cache(1, Clock()).state(0).digest()
    assert Cache(1, Clock()).secret_mac(b"x") != Cache(1, Clock()).secret_mac(b"x")
