"""Many requests in flight, by hypothesis: never two final replies for one request, never OK unless the caller has said it."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from saslauthd_py.identity import Identity
from saslauthd_py.wire.dovecot import (
    REJECTED,
    UNAVAILABLE,
    Auth,
    Cancel,
    Completed,
    Connection,
    Event,
    Failure,
    Hello,
    OutOfTurn,
    Refused,
    Request,
    Response,
    Violation,
)

NUMBERS = st.integers(1, 6)
MESSAGES = st.sampled_from([b"", b"AAAA", b"AA==", b"AAA", b"#"])
ALICE = Identity("alice", "example.test")


class ManyInFlight(RuleBasedStateMachine):
    """A model beside the connection: which AUTH is open, in whose turn, and what the caller said of it."""

    def __init__(self) -> None:
        super().__init__()
        self.connection = Connection(frozenset({"PLAIN", "LOGIN"}))
        self.ours: dict[int, Request] = {}
        self.theirs: dict[int, Request] = {}
        self.granted: dict[int, bytes] = {}
        self.over: list[Request] = []

    @initialize(minor=st.integers(0, 4))
    def greet(self, minor: int) -> None:
        self.connection.feed(b"VERSION\t1\t%d\nCPID\t1\n" % minor)
        assert self.connection.next_event() == Hello(minor, b"1")

    @rule(number=NUMBERS, mechanism=st.sampled_from([b"PLAIN", b"login", b"GSSAPI"]), resp=st.none() | MESSAGES, ok=st.booleans())
    def client_asks(self, number: int, mechanism: bytes, resp: bytes | None, ok: bool) -> None:
        if number in self.ours or number in self.theirs:
            return
        initial = b"" if resp is None else b"\tresp=" + resp
        self.send(b"AUTH\t%d\t%b\tservice=smtp%b%b" % (number, mechanism, b"\tfinal-resp-ok" if ok else b"", initial))

    @rule(number=NUMBERS, message=MESSAGES)
    def client_continues(self, number: int, message: bytes) -> None:
        self.send(b"CONT\t%d\t%b" % (number, message))

    @rule(number=NUMBERS)
    def client_cancels(self, number: int) -> None:
        self.send(b"CANCEL\t%d" % number)

    @precondition(lambda self: self.ours)
    @rule(draw=st.data(), message=st.sampled_from([b"", b"Password:"]))
    def we_challenge(self, draw: st.DataObject, message: bytes) -> None:
        request = self.choose(draw)
        assert self.connection.challenge(request, message).startswith(b"CONT\t%d\t" % request.number)
        self.theirs[request.number] = self.ours.pop(request.number)

    @precondition(lambda self: self.ours)
    @rule(draw=st.data(), final=st.none() | st.binary(max_size=3))
    def we_accept(self, draw: st.DataObject, final: bytes | None) -> None:
        request = self.choose(draw)
        reply = self.connection.ok(request, ALICE, final)
        del self.ours[request.number]
        if final is None or request.final_resp_ok:
            assert reply.startswith(b"OK\t%d\tuser=alice@example.test" % request.number)
            self.finish(request)
        else:
            assert reply.startswith(b"CONT\t%d\t" % request.number)
            self.theirs[request.number] = request
            self.granted[request.number] = b"OK\t%d\tuser=alice@example.test\n" % request.number

    @precondition(lambda self: self.ours)
    @rule(draw=st.data(), failure=st.sampled_from([REJECTED, UNAVAILABLE, Failure("encryption required")]), named=st.booleans())
    def we_refuse(self, draw: st.DataObject, failure: Failure, named: bool) -> None:
        request = self.choose(draw)
        reply = self.connection.fail(request, failure, ALICE if named else None)
        assert reply.startswith(b"FAIL\t%d\t" % request.number)
        assert (b"\tuser=" in reply) is named
        del self.ours[request.number]
        self.finish(request)

    @precondition(lambda self: self.theirs)
    @rule(draw=st.data())
    def client_is_too_slow(self, draw: st.DataObject) -> None:
        number = draw.draw(st.sampled_from(sorted(self.theirs)))
        request = self.theirs.pop(number)
        self.granted.pop(number, None)
        self.connection.drop(request)
        self.finish(request)

    @precondition(lambda self: self.over)
    @rule(draw=st.data())
    def e7_second_answer_raises(self, draw: st.DataObject) -> None:
        request = draw.draw(st.sampled_from(self.over))
        with pytest.raises(OutOfTurn):
            self.connection.ok(request, ALICE)
        with pytest.raises(OutOfTurn):
            self.connection.fail(request)

    @invariant()
    def turns_are_the_models(self) -> None:
        assert set(self.connection.owed) == set(self.ours.values())
        assert set(self.connection.awaited) == set(self.theirs.values())
        assert not any(self.connection.is_open(request) for request in self.over)
        assert not self.connection.closed

    def send(self, line: bytes) -> None:
        """The line in two pieces; what it does is held against the model."""
        self.connection.feed(line[: len(line) // 2])
        assert self.connection.next_event() is None
        self.connection.feed(line[len(line) // 2 :] + b"\n")
        event = self.connection.next_event()
        assert self.connection.next_event() is None
        self.judge(line.split(b"\t"), event)

    def judge(self, fields: list[bytes], event: Event | None) -> None:
        number = int(fields[1])
        waiting = self.theirs.get(number)
        match event:
            case Auth(request=request):
                assert fields[0] == b"AUTH"
                assert fields[2] != b"GSSAPI"
                self.ours[number] = request
            case Response(request=request):
                assert request is waiting
                assert number not in self.granted
                self.ours[number] = self.theirs.pop(number)
            case Completed(request=request, reply=reply):
                assert request is waiting
                assert reply == self.granted.pop(number), "OK is what the caller said, and nothing else"
                self.finish(self.theirs.pop(number))
            case Cancel(request=request):
                assert fields[0] == b"CANCEL"
                assert request is self.close(number)
            case Refused(reply=reply, request=request):
                assert reply.startswith(b"FAIL\t%d\t" % number)
                assert request is self.close(number)
            case None:
                assert fields[0] == b"CANCEL"
                assert number not in self.ours
                assert number not in self.theirs
            case _:
                pytest.fail(f"unexpected {event}")

    def close(self, number: int) -> Request | None:
        request = self.ours.pop(number, None) or self.theirs.pop(number, None)
        self.granted.pop(number, None)
        if request is not None:
            self.finish(request)
        return request

    def finish(self, request: Request) -> None:
        assert request not in self.over, "two final replies for one request"
        self.over.append(request)

    def choose(self, draw: st.DataObject) -> Request:
        return self.ours[draw.draw(st.sampled_from(sorted(self.ours)))]


TestManyInFlight = ManyInFlight.TestCase
TestManyInFlight.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)

WORDS = b"AUTH CONT CANCEL VERSION CPID 1 2 PLAIN LOGIN service=x resp= AA== final-resp-ok".split(b" ")
BREAKS = [b"\t", b"\n", b"\r", b"\0", b"\x01", b"\xff"]
LINES = [b"AUTH\t1\tPLAIN\tservice=x\tresp=AA==\n", b"AUTH\t2\tLOGIN\tservice=x\n", b"CONT\t1\tAAAA\n", b"VERSION\t1\t1\n", b"CPID\t1\n"]
PIECES = st.sampled_from([*WORDS, *BREAKS, *LINES])
NOISE = st.lists(PIECES | st.binary(max_size=4), max_size=30).map(b"".join)


@given(NOISE, st.lists(st.integers(0, 200), max_size=6))
def test_whatever_comes_nothing_raises_and_cuts_change_nothing(data: bytes, cuts: list[int]) -> None:
    for heard in (data, b"VERSION\t1\t2\nCPID\t1\n" + data):
        edges = [0, *sorted(cut for cut in cuts if cut < len(heard)), len(heard)]
        pieces = [heard[start:end] for start, end in pairwise(edges)]
        assert _said([heard]) == _said(pieces) == _said([bytes([byte]) for byte in heard])


def _said(pieces: list[bytes]) -> list[str]:
    """The kinds of events, each AUTH answered by a challenge and each response by FAIL."""
    connection = Connection(frozenset({"PLAIN", "LOGIN"}))
    said = []
    for piece in pieces:
        connection.feed(piece)
        while (event := connection.next_event()) is not None:
            said.append(str(event) if isinstance(event, Violation) else type(event).__name__)
            match event:
                case Auth(request=request):
                    said.append(connection.challenge(request, b"").decode())
                case Response(request=request):
                    said.append(connection.fail(request).decode())
                case Refused(reply=reply):
                    said.append(reply.decode())
                case Completed():
                    pytest.fail("nobody said OK")
    return said
