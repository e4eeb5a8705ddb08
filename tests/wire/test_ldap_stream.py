"""LDAP's stream of answers: bounded in size, one fault at most, and it says what is left when StartTLS begins (rule G3)."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from saslauthd_py.wire import ldap
from tests.wire.ldap_peers import answers, one, padded, plain, read, recorded, taken

SUCCESS = b"\x0a\x01\x00\x04\x00\x04\x00"
BIND = plain(0x30, b"\x02\x01\x07" + plain(0x61, SUCCESS))
BOUND = ldap.Message(7, ldap.BindResponse(0), len(BIND))


def entry(size: int, pad: bool = False) -> bytes:
    """A search result entry of so many bytes, over 1000."""
    name = 0
    while True:
        dn = b"x" * name
        body = b"\x02\x01\x02" + padded(0x64, padded(4, dn), plain(0x30, b""))
        data = padded(0x30, body) if pad else b"\x30\x83" + len(body).to_bytes(3, "big") + body
        if len(data) == size:
            return data
        name += size - len(data)


def test_messages_come_in_the_order_in_which_they_were_sent() -> None:
    whole = BIND + entry(5000) + BIND
    stream = ldap.Stream()
    stream.feed(whole)
    assert stream.pending == len(whole)
    assert stream.next_message() == BOUND
    assert stream.pending == 5000 + len(BIND)
    assert [message.size for message in taken(stream) if isinstance(message, ldap.Message)] == [5000, len(BIND)]
    assert stream.pending == 0
    assert stream.next_message() is None


@pytest.mark.parametrize("taken_first", [0, 1])
def test_more_may_be_fed_before_all_messages_are_taken(taken_first: int) -> None:
    stream = ldap.Stream()
    stream.feed(BIND + BIND + BIND[:5])
    came = [stream.next_message() for _ in range(taken_first)]
    stream.feed(BIND[5:] + BIND[:1])
    assert stream.pending == (3 - taken_first) * len(BIND) + 1
    assert [*came, *taken(stream)] == [BOUND] * 3
    stream.feed(BIND[1:3])
    assert stream.next_message() is None
    assert stream.pending == 3
    stream.feed(BIND[3:] + BIND)
    assert taken(stream) == [BOUND] * 2
    assert stream.pending == 0


def test_nothing_fed_is_nothing_said() -> None:
    stream = ldap.Stream()
    assert stream.next_message() is None
    stream.feed(b"")
    assert stream.next_message() is None
    assert stream.pending == 0


def test_g3_bytes_behind_the_answer_to_start_tls_are_pending() -> None:
    (answer,) = recorded()["start-tls"][1]
    stream = ldap.Stream()
    stream.feed(answer)
    assert stream.next_message() == ldap.Message(1, ldap.ExtendedResponse(0), len(answer))
    assert stream.pending == 0
    for injected in (BIND, BIND[:1], b"\x16\x03\x03"):
        stream = ldap.Stream()
        stream.feed(answer + injected)
        assert stream.next_message() == ldap.Message(1, ldap.ExtendedResponse(0), len(answer))
        assert stream.pending == len(injected)


def test_g3_an_answer_may_have_as_many_bytes_as_the_limit_says_and_not_one_more() -> None:
    for size, limit in ((5000, 5000), (ldap.MAX_MESSAGE, ldap.MAX_MESSAGE)):
        stream = ldap.Stream(limit)
        stream.feed(entry(size))
        (message,) = taken(stream)
        assert isinstance(message, ldap.Message)
        assert message.size == size
        stream = ldap.Stream(limit)
        stream.feed(entry(size + 1))
        assert taken(stream) == [ldap.Fault(f"an answer of {size + 1} bytes, over the {limit} that one may have", message.number)]
        assert stream.pending == 0


@pytest.mark.parametrize("pad", [False, True])
def test_g3_an_answer_that_is_too_long_is_a_fault_with_its_length(pad: bool) -> None:
    data = entry(ldap.MAX_MESSAGE + 1, pad)
    head = 6 if pad else 5
    stream = ldap.Stream()
    for byte in data[: head - 1]:
        stream.feed(bytes([byte]))
        assert stream.next_message() is None
    stream.feed(data[head - 1 : head])
    assert isinstance(stream.next_message(), ldap.Fault)


def test_g3_an_endless_answer_is_held_up_to_the_limit() -> None:
    stream = ldap.Stream(100_000)
    stream.feed(b"\x30\x83" + (100_000 - 5).to_bytes(3, "big") + b"\x02\x01\x07" + b"\x64")
    found: list[ldap.Message | ldap.Fault] = []
    for _ in range(1000):
        stream.feed(b"\xff" * 1000)
        found += taken(stream)
        assert stream.pending < 101_000
    assert len(found) == 1
    assert isinstance(found[0], ldap.Fault)


def test_g3_nesting_costs_nothing_however_deep() -> None:
    deep = b""
    for _ in range(20_000):
        deep = b"\x30\x84" + len(deep).to_bytes(4, "big") + deep
    assert one(padded(0x30, b"\x02\x01\x07", plain(0x61, SUCCESS), padded(0xA0, deep))).answer == ldap.BindResponse(0)
    assert read(padded(0x30, b"\x02\x01\x07", padded(0x64, plain(4, b"cn=x"), padded(0x30, deep)))) == [
        ldap.Fault("tag 0x30 where 0x04 belongs")
    ]


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"\x15\x03\x01\x00\x02\x02\x28", "the server speaks TLS on this port: its URI begins with ldaps:, or the port is another"),
        (b"\x16\x03\x03", "the server speaks TLS on this port: its URI begins with ldaps:, or the port is another"),
        (b"HTTP/1.1 400 Bad Request\r\n", "no LDAP: a message begins with 0x48"),
        (b"\0", "no LDAP: a message begins with 0x00"),
        (b"\x30\x80", "an indefinite length, which LDAP does not allow"),
        (b"\x30\x85", "a length of more than four octets"),
        (b"\x30\xff", "a length of more than four octets"),
        (b"\x30\x84\xff\xff\xff\xff", f"an answer of {6 + 0xFFFFFFFF} bytes, over the {1 << 20} that one may have"),
    ],
)
def test_g3_garbage_is_one_fault_as_soon_as_it_can_be_told(data: bytes, why: str) -> None:
    stream = ldap.Stream()
    stream.feed(BIND + data)
    assert taken(stream) == [BOUND, ldap.Fault(why)]
    stream.feed(BIND)
    assert stream.next_message() is None
    assert stream.pending == 0


def test_g3_a_fault_says_nothing_of_what_was_sent() -> None:
    (fault,) = read(plain(0x30, b"\x02\x01\x07" + plain(0x61, b"\x04\x06secret")))
    assert isinstance(fault, ldap.Fault)
    assert "secret" not in repr(fault)
    assert "\n" not in fault.text


def check(chunks: list[bytes]) -> list[ldap.Message | ldap.Fault]:
    """What comes of the chunks, if the stream keeps its promises about whatever they are."""
    stream = ldap.Stream(4096)
    found: list[ldap.Message | ldap.Fault] = []
    for chunk in chunks:
        before = stream.pending
        stream.feed(chunk)
        came = taken(stream)
        assert all(message.size >= 7 for message in came if isinstance(message, ldap.Message))
        assert len(came) <= (before + len(chunk)) // 7 + 1
        assert stream.pending <= 4096
        found += came
    faults = [message for message in found if isinstance(message, ldap.Fault)]
    assert faults in ([], found[-1:])
    return found


def cut(data: bytes, places: list[int]) -> list[bytes]:
    """The data in pieces."""
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[begin:end] for begin, end in pairwise(edges)]


places = st.lists(st.integers(0, 1 << 16), max_size=6)
pieces = st.sampled_from(
    [b"\x30", b"\x84", b"\x61\x07", b"\x02\x01\x00", b"\x02\x01\x07", SUCCESS, BIND, b"\x04", b"\x31", b"\x64", b"\xa0\x00"]
)


@given(st.binary(max_size=300) | st.lists(pieces | st.binary(max_size=3), max_size=40).map(b"".join), places)
def test_g3_random_bytes_are_answers_or_one_fault_however_they_are_cut(data: bytes, places: list[int]) -> None:
    assert check(cut(data, places)) == check([data])


@given(st.lists(st.sampled_from(answers()), min_size=1, max_size=5), st.lists(st.integers(0, 1 << 16), max_size=4), places)
def test_g3_answers_with_flipped_bits_are_answers_or_one_fault(said: list[bytes], bits: list[int], places: list[int]) -> None:
    data = bytearray(b"".join(said))
    for bit in bits:
        data[bit // 8 % len(data)] ^= 1 << bit % 8
    found = check(cut(bytes(data), places))
    assert found == check([bytes(data)])
    if not bits:
        assert len(found) == len(said)


@pytest.mark.parametrize("message", [*recorded()["whoami"][1], *recorded()["search-referral"][1], *recorded()["unknown"][1]])
def test_g3_no_single_flipped_bit_raises(message: bytes) -> None:
    for bit in range(len(message) * 8):
        data = bytearray(message)
        data[bit // 8] ^= 1 << bit % 8
        check([bytes(data), BIND])
