"""What a broken peer does to its connection, and what a mail client's nonsense does to its own request, and to nothing else.

In CVE-2025-59028 one user's bad base64 closed the connection that many logins shared.
"""

from __future__ import annotations

from functools import partial

import pytest

from saslauthd_py.identity import Identity
from saslauthd_py.wire.dovecot import (
    MAX_BUFFERED,
    MAX_HELD,
    MAX_LINE,
    MAX_REQUESTS,
    UNAVAILABLE,
    Auth,
    Cancel,
    Completed,
    Connection,
    Failure,
    Hello,
    OutOfTurn,
    Refused,
    Request,
    Response,
    Violation,
)

GREETING = b"VERSION\t1\t1\nCPID\t1\n"
AUTH = b"AUTH\t1\tPLAIN\tservice=smtp\tresp=AGEAYg==\n"
LOGIN = b"AUTH\t%d\tLOGIN\tservice=smtp\n"
ALICE = Identity("alice")


def connected(*, minor: int = 1) -> Connection:
    connection = Connection(frozenset({"PLAIN", "LOGIN"}))
    connection.feed(b"VERSION\t1\t%d\nCPID\t1\n" % minor)
    assert isinstance(connection.next_event(), Hello)
    return connection


def begun(connection: Connection, number: int) -> Request:
    connection.feed(LOGIN % number)
    event = connection.next_event()
    assert isinstance(event, Auth)
    return event.request


def refused(connection: Connection, line: bytes) -> Refused:
    connection.feed(line)
    event = connection.next_event()
    assert isinstance(event, Refused)
    assert connection.next_event() is None
    assert event.reply.startswith(b"FAIL\t%d\t" % event.number)
    assert event.reply.endswith(b"\n")
    return event


BROKEN = [
    pytest.param(b"\n", Violation.EMPTY_LINE, id="empty-line-first"),
    pytest.param(b"CPID\t1\n", Violation.NO_VERSION, id="no-version"),
    pytest.param(AUTH, Violation.NO_VERSION, id="auth-first"),
    pytest.param(b"GET / HTTP/1.1\r\n", Violation.NO_VERSION, id="http"),
    pytest.param(b"version\t1\t1\n", Violation.NO_VERSION, id="lower-case"),
    pytest.param(b"VERSION\n", Violation.BAD_VERSION, id="version-without-numbers"),
    pytest.param(b"VERSION\t1\n", Violation.BAD_VERSION, id="version-with-one-number"),
    pytest.param(b"VERSION\t1\t1\t1\n", Violation.BAD_VERSION, id="version-with-three-numbers"),
    pytest.param(b"VERSION\t1\t\n", Violation.BAD_VERSION, id="version-with-empty-minor"),
    pytest.param(b"VERSION\t1\t-1\n", Violation.BAD_VERSION, id="version-with-text"),
    pytest.param(b"VERSION\t1\t" + b"1" * 5000 + b"\n", Violation.BAD_VERSION, id="version-with-a-huge-number"),
    pytest.param(b"VERSION\t2\t0\n", Violation.OTHER_MAJOR, id="major-2"),
    pytest.param(b"VERSION\t0\t9\n", Violation.OTHER_MAJOR, id="major-0"),
    pytest.param(b"VERSION\t1\t1\nVERSION\t1\t1\n", Violation.SECOND_VERSION, id="second-version"),
    pytest.param(b"VERSION\t1\t1\n" + AUTH, Violation.NO_CPID, id="auth-before-cpid"),
    pytest.param(b"VERSION\t1\t1\nCONT\t1\t\n", Violation.NO_CPID, id="cont-before-cpid"),
    pytest.param(b"VERSION\t1\t1\nCANCEL\t1\n", Violation.NO_CPID, id="cancel-before-cpid"),
    pytest.param(b"VERSION\t1\t1\nCPID\n", Violation.EMPTY_CPID, id="cpid-alone"),
    pytest.param(b"VERSION\t1\t1\nCPID\t\n", Violation.EMPTY_CPID, id="cpid-empty"),
    pytest.param(b"VERSION\t1\t1\nUSER\t1\talice\tservice=smtp\n", Violation.MASTER, id="userdb-client"),
    pytest.param(GREETING + b"VERSION\t1\t1\n", Violation.SECOND_VERSION, id="version-late"),
    pytest.param(GREETING + b"CPID\t1\n", Violation.UNKNOWN_COMMAND, id="second-cpid"),
    pytest.param(GREETING + b"auth\t1\n", Violation.UNKNOWN_COMMAND, id="unknown-command"),
    pytest.param(GREETING + b"PASS\t1\talice\n", Violation.MASTER, id="master-command"),
    pytest.param(GREETING + b"\n", Violation.EMPTY_LINE, id="empty-line"),
    pytest.param(GREETING + b"\r\n", Violation.EMPTY_LINE, id="only-cr"),
    pytest.param(GREETING + b"AUTH\t1\tPLAIN\tservice=smtp\tx=\0\n", Violation.NUL, id="nul"),
    pytest.param(GREETING + b"AUTH\t1\tPLAIN\tservice=a\x010b\n", Violation.NUL, id="escaped-nul-in-service"),
    pytest.param(GREETING + b"AUTH\n", Violation.BAD_ID, id="auth-alone"),
    pytest.param(GREETING + AUTH.replace(b"1", b"0", 1), Violation.BAD_ID, id="id-0"),
    pytest.param(GREETING + AUTH.replace(b"1", b"one", 1), Violation.BAD_ID, id="id-text"),
    pytest.param(GREETING + AUTH.replace(b"1", b"4294967296", 1), Violation.BAD_ID, id="id-of-33-bits"),
    pytest.param(GREETING + AUTH + AUTH, Violation.DUPLICATE_ID, id="id-pending"),
    pytest.param(GREETING + AUTH + AUTH.replace(b"1", b"001", 1), Violation.DUPLICATE_ID, id="id-pending-in-other-digits"),
    pytest.param(GREETING + b"AUTH\t1\n", Violation.NO_MECHANISM, id="no-mechanism"),
    pytest.param(GREETING + b"AUTH\t1\t\tservice=smtp\n", Violation.NO_MECHANISM, id="empty-mechanism"),
    pytest.param(GREETING + b"AUTH\t1\tPLAIN\n", Violation.NO_SERVICE, id="no-service"),
    pytest.param(GREETING + b"AUTH\t1\tPLAIN\tservice=\n", Violation.NO_SERVICE, id="empty-service"),
    pytest.param(GREETING + AUTH[:-1] + b"\tsecured\n", Violation.AFTER_RESP, id="parameter-after-resp"),
    pytest.param(GREETING + AUTH[:-1] + b"\t\n", Violation.AFTER_RESP, id="empty-field-after-resp"),
    pytest.param(GREETING + AUTH + b"CONT\t1\n", Violation.NO_MESSAGE, id="cont-without-field"),
    pytest.param(GREETING + b"CONT\t0\t\n", Violation.BAD_ID, id="cont-id-0"),
    pytest.param(GREETING + b"CONT\n", Violation.BAD_ID, id="cont-alone"),
    pytest.param(GREETING + b"CANCEL\tx\n", Violation.BAD_ID, id="cancel-id-text"),
    pytest.param(GREETING + b"CANCEL\n", Violation.BAD_ID, id="cancel-alone"),
    pytest.param(b"x" * (MAX_LINE + 1), Violation.LINE_TOO_LONG, id="endless-line"),
    pytest.param(GREETING + b"AUTH\t1\t" + b"x" * (MAX_LINE - 6) + b"\n", Violation.LINE_TOO_LONG, id="line-of-16385"),
]
every_violation = pytest.mark.parametrize(("data", "violation"), BROKEN)


@every_violation
def test_e7_broken_peer_ends_its_connection_wherever_it_is_cut(data: bytes, violation: Violation) -> None:
    for cut in range(0, len(data) + 1, max(1, len(data) // 200)):
        connection = Connection(frozenset({"PLAIN"}))
        seen = []
        for piece in (data[:cut], data[cut:]):
            connection.feed(piece)
            while (event := connection.next_event()) is not None:
                seen.append(event)
        assert seen[-1] is violation
        assert [event for event in seen if isinstance(event, Violation)] == [violation]
        assert connection.closed
        assert not connection.at_line
        connection.feed(GREETING + AUTH)
        assert connection.next_event() is None, "what comes after it is not heard"
        for event in seen:
            if isinstance(event, Auth):
                with pytest.raises(OutOfTurn):
                    connection.ok(event.request, ALICE)


def test_every_violation_is_tried_above() -> None:
    assert {case.values[1] for case in BROKEN} == set(Violation)


def test_line_of_the_limit_is_read() -> None:
    connection = connected()
    line = b"AUTH\t1\tPLAIN\tservice=smtp\tx="
    connection.feed(line + b"x" * (MAX_LINE - len(line)) + b"\n")
    assert isinstance(connection.next_event(), Auth)


def test_process_id_that_is_any_text_is_taken() -> None:
    for pid in (b"0", b"-", b"host.example-1"):
        connection = Connection(frozenset({"PLAIN"}))
        connection.feed(b"VERSION\t1\t0\nCPID\t" + pid + b"\n")
        assert connection.next_event() == Hello(0, pid)


def test_no_more_is_taken_in_than_the_buffer_holds() -> None:
    connection = connected()
    connection.feed(b"x" * 10)
    assert connection.room == MAX_BUFFERED - 10
    with pytest.raises(ValueError, match="room for 65526"):
        connection.feed(b"x" * (MAX_BUFFERED - 9))
    connection.feed(b"x" * (MAX_BUFFERED - 10))
    assert connection.next_event() is Violation.LINE_TOO_LONG


@pytest.mark.parametrize("resp", [b"=", b"====", b"AAA", b"A===", b"%%%%", b"AAAA=", b"AA==AA==", "ä".encode()])
def test_cve_2025_59028_bad_base64_fails_its_request_only(resp: bytes) -> None:
    connection = connected()
    other = begun(connection, 1)
    if resp != b"=":  # an empty initial response, but no base64 in CONT
        event = refused(connection, b"AUTH\t2\tPLAIN\tservice=smtp\tresp=" + resp + b"\n")
        assert (event.number, event.request) == (2, None)
        assert b"\tcode=invalid_base64\treason=" in event.reply
    request = begun(connection, 3)
    connection.challenge(request, b"Username:")
    event = refused(connection, b"CONT\t3\t" + resp + b"\n")
    assert (event.number, event.request) == (3, request)
    assert b"\tcode=invalid_base64\treason=" in event.reply
    assert not connection.is_open(request)
    assert connection.ok(other, ALICE) == b"OK\t1\tuser=alice\n"


def test_cve_2025_59028_cont_with_channel_binding_fails_its_request_only() -> None:
    connection = connected()
    other, request = begun(connection, 1), begun(connection, 2)
    connection.challenge(request, b"")
    assert b"code=invalid_base64" in refused(connection, b"CONT\t2\tAAAA\tchannel_binding=AAAA\n").reply
    assert connection.owed == (other,)


def test_cve_2025_59028_cont_that_nobody_asked_for_fails_its_request_only() -> None:
    connection = connected()
    other, request = begun(connection, 1), begun(connection, 2)
    event = refused(connection, b"CONT\t2\tAAAA\n")
    assert event.request is request
    assert event.reply == b"FAIL\t2\treason=unexpected continuation\n"
    with pytest.raises(OutOfTurn):
        connection.ok(request, ALICE)
    assert connection.ok(other, ALICE) == b"OK\t1\tuser=alice\n"


@pytest.mark.parametrize("mechanism", [b"CRAM-MD5", b"SCRAM-SHA-256", b"plain login", b"P", b"\xff\xfe", b"PLAIN\x01t"])
def test_cve_2025_59028_mechanism_that_was_not_offered_fails_its_request_only(mechanism: bytes) -> None:
    connection = connected()
    other = begun(connection, 1)
    event = refused(connection, b"AUTH\t2\t" + mechanism + b"\tservice=smtp\tresp=AGEAYg==\n")
    assert (event.number, event.request) == (2, None)
    assert event.reply == b"FAIL\t2\treason=unsupported authentication mechanism\n"
    assert connection.ok(other, ALICE) == b"OK\t1\tuser=alice\n"


def test_cve_2025_59028_request_257_fails_alone_and_256_go_on() -> None:
    connection = connected()
    requests = [begun(connection, number) for number in range(1, MAX_REQUESTS + 1)]
    assert len(requests) == 256
    for request in requests[::2]:
        connection.challenge(request, b"Username:")
    event = refused(connection, LOGIN % 257)
    assert event.reply.startswith(b"FAIL\t257\tcode=temp_fail\treason=")
    assert event.request is None
    assert connection.owed == tuple(requests[1::2])
    assert connection.awaited == tuple(requests[::2])
    assert connection.fail(requests[1]).startswith(b"FAIL\t2\t")
    assert begun(connection, 258) in connection.owed, "one is answered, one more may come"


def test_cve_2025_59028_messages_over_64_kib_fail_alone() -> None:
    connection = connected()
    line = b"AUTH\t%d\tPLAIN\tservice=smtp\tresp=" + b"A" * 16300 + b"\n"
    waiting = []
    for number in range(1, 5):
        connection.feed(line % number)
        event = connection.next_event()
        assert isinstance(event, Auth)
        waiting.append(event.request)
    assert MAX_HELD == 65536
    held_back = begun(connection, 5)
    connection.challenge(held_back, b"Username:")
    assert b"\tcode=temp_fail\t" in refused(connection, line % 6).reply
    event = refused(connection, b"CONT\t5\t" + b"A" * 16300 + b"\n")
    assert b"\tcode=temp_fail\t" in event.reply
    assert event.request is held_back
    assert connection.owed == tuple(waiting)
    connection.challenge(waiting[0], b"")
    connection.feed(line % 6)
    assert isinstance(connection.next_event(), Auth), "what was answered is not held any more"


def test_what_was_answered_refused_or_cancelled_is_not_held_any_more() -> None:
    connection = connected()
    line = b"AUTH\t1\tPLAIN\tservice=smtp\tresp=" + b"A" * 16300 + b"\n"
    for end in ("ok", "fail", "cancel", "unasked") * 4:
        connection.feed(line)
        event = connection.next_event()
        assert isinstance(event, Auth)
        match end:
            case "ok":
                connection.ok(event.request, ALICE)
            case "fail":
                connection.fail(event.request)
            case "cancel":
                connection.feed(b"CANCEL\t1\n")
                assert connection.next_event() == Cancel(event.request)
            case "unasked":
                refused(connection, b"CONT\t1\t\n")


def test_what_comes_after_the_end_is_thrown_away_however_much_it_is() -> None:
    connection = connected()
    connection.close()
    for _ in range(3):
        connection.feed(b"x" * MAX_BUFFERED)
    assert connection.room == MAX_BUFFERED


def test_cve_2025_59028_cont_for_a_request_that_is_over_fails_alone() -> None:
    connection = connected()
    other, request = begun(connection, 1), begun(connection, 2)
    connection.challenge(request, b"Username:")
    connection.drop(request)
    event = refused(connection, b"CONT\t2\tAAAA\n")
    assert event.reply == b"FAIL\t2\treason=authentication request timed out\n"
    assert event.request is None
    assert connection.owed == (other,)


def test_plaintext_without_tls_is_told_so_and_the_connection_stays() -> None:
    connection = connected()
    connection.feed(AUTH)
    auth = connection.next_event()
    assert isinstance(auth, Auth)
    assert not auth.client.secured
    assert connection.fail(auth.request, Failure("encryption required")) == b"FAIL\t1\treason=encryption required\n"
    assert connection.at_line


def test_e7_a_request_is_answered_once() -> None:
    connection = connected()
    for answer in (b"OK", b"FAIL"):
        request = begun(connection, 1)
        reply = connection.ok(request, ALICE) if answer == b"OK" else connection.fail(request, UNAVAILABLE)
        assert reply.startswith(answer)
        for again in (
            partial(connection.ok, request, ALICE),
            partial(connection.ok, request, ALICE, b"v="),
            partial(connection.fail, request),
            partial(connection.challenge, request, b""),
            partial(connection.drop, request),
        ):
            with pytest.raises(OutOfTurn, match="request 1 is over"):
                again()


def test_e7_an_answer_never_goes_to_a_later_request_with_the_same_number() -> None:
    connection = connected()
    first = begun(connection, 1)
    connection.feed(b"CANCEL\t1\n")
    assert connection.next_event() == Cancel(first)
    second = begun(connection, 1)
    assert (connection.is_open(first), connection.is_open(second)) == (False, True)
    with pytest.raises(OutOfTurn):
        connection.ok(first, ALICE)
    assert connection.fail(second).startswith(b"FAIL\t1\t")


def test_e7_nothing_is_answered_after_the_connection_is_closed() -> None:
    connection = connected()
    request = begun(connection, 1)
    connection.feed(LOGIN % 2)
    connection.close()
    connection.close()
    assert connection.next_event() is None
    assert not connection.is_open(request)
    with pytest.raises(OutOfTurn):
        connection.fail(request)


def test_e7_a_request_that_waits_for_its_client_is_not_answered() -> None:
    connection = connected()
    request = begun(connection, 1)
    connection.challenge(request, b"Username:")
    for answer in (partial(connection.ok, request, ALICE), partial(connection.fail, request), partial(connection.challenge, request, b"")):
        with pytest.raises(OutOfTurn, match="waits for its client"):
            answer()
    connection.feed(b"CONT\t1\t\n")
    assert isinstance(connection.next_event(), Response)
    assert connection.ok(request, ALICE) == b"OK\t1\tuser=alice\n"


def test_e7_a_reply_that_cannot_be_said_leaves_its_request_to_another() -> None:
    connection = connected()
    request = begun(connection, 1)
    for attempt in (partial(connection.challenge, request, b"x" * 9000), partial(connection.ok, request, ALICE, b"x" * 9000)):
        with pytest.raises(ValueError, match="8191"):
            attempt()
    assert connection.fail(request).startswith(b"FAIL")


def test_e8_a_request_that_waits_for_us_is_not_dropped() -> None:
    connection = connected()
    request = begun(connection, 1)
    with pytest.raises(OutOfTurn, match="waits for our answer"):
        connection.drop(request)
    connection.challenge(request, b"")
    connection.drop(request)
    assert connection.owed == connection.awaited == ()


def test_ok_with_a_last_message_waits_until_its_client_has_taken_it() -> None:
    connection = connected()
    request = begun(connection, 1)
    assert connection.ok(request, ALICE, b"v=") == b"CONT\t1\tdj0=\n"
    assert connection.is_open(request)
    assert connection.awaited == (request,)
    connection.feed(b"CONT\t1\t\n")
    assert connection.next_event() == Completed(request, b"OK\t1\tuser=alice\n")
    assert not connection.is_open(request)


@pytest.mark.parametrize("line", [b"CONT\t1\t*\n", b"CONT\t1\t#\n", b"CONT\t1\t\tx\n"])
def test_ok_with_a_last_message_is_lost_by_bad_base64(line: bytes) -> None:
    connection = connected()
    request = begun(connection, 1)
    connection.ok(request, ALICE, b"v=")
    assert refused(connection, line).request is request
    assert not connection.is_open(request)


def test_ok_with_a_last_message_is_lost_by_cancel() -> None:
    connection = connected()
    request = begun(connection, 1)
    connection.ok(request, ALICE, b"v=")
    connection.feed(b"CANCEL\t1\nCONT\t1\t\n")
    assert connection.next_event() == Cancel(request)
    event = connection.next_event()
    assert isinstance(event, Refused)
    assert event.reply.startswith(b"FAIL")


def test_number_is_free_for_the_loop_when_no_request_has_it() -> None:
    connection = connected()
    assert connection.is_free(b"7")
    request = begun(connection, 7)
    assert (connection.is_free(b"7"), connection.is_free(b"8")) == (False, True)
    connection.fail(request)
    assert connection.is_free(b"7")
