"""The daemon's end of the control socket: root and the daemon's own user ask, one request a connection (rule H2).

Nothing that comes over it can hurt the daemon: a request is bounded in size and time, so is its answer, and so are those at once.
"""

from __future__ import annotations

import errno
import logging
import os
import socket
from contextlib import suppress

import trio

from saslauthd_py import steps, trace
from saslauthd_py.authenticator import Decision
from saslauthd_py.control.operations import OperationFailed, Operations
from saslauthd_py.control.protocol import (
    MAX_REQUEST,
    Answer,
    AskStatus,
    Cause,
    Done,
    Failed,
    Flush,
    Lines,
    Malformed,
    Reload,
    Request,
    Told,
    Trace,
    Unblock,
    encode_answer,
    parse_request,
)
from saslauthd_py.identity import InvalidIdentity
from saslauthd_py.privileges import peer_ids
from saslauthd_py.trace import Facts, Step

_logger = logging.getLogger(__name__)

PATIENCE = 5.0
"""Seconds for a request to come whole, and for each line of an answer to be taken."""

MOST = 16
"""Connections at once; whoever comes then waits in the backlog."""

MOST_STEPS = 256
"""Steps of one trace that wait to be sent: a client that does not read loses the rest of them, not the daemon its memory."""

_PAUSE = 0.1
_READ = 8192
_GONE = (trio.BrokenResourceError, trio.ClosedResourceError, trio.TooSlowError)


async def serve(listener: socket.socket, operations: Operations) -> None:
    """Serve a listening socket, which stays its owner's, until cancelled. What a client does, and a fault in one request, ends nothing."""
    accepting = trio.socket.from_stdlib_socket(listener.dup())
    places = trio.CapacityLimiter(MOST)
    with accepting:
        async with trio.open_nursery() as nursery:
            while True:
                place = object()
                await places.acquire_on_behalf_of(place)
                client = await _accepted(accepting)
                nursery.start_soon(_attend, client, operations, places, place)


async def _accepted(listener: trio.socket.SocketType) -> trio.SocketStream:
    while True:
        try:
            return trio.SocketStream((await listener.accept())[0])
        except OSError as error:
            if error.errno != errno.ECONNABORTED:
                _logger.error("cannot accept on the control socket: %s; trying again in %g s", error.strerror, _PAUSE)
                await trio.sleep(_PAUSE)


async def _attend(client: trio.SocketStream, operations: Operations, places: trio.CapacityLimiter, place: object) -> None:
    try:
        async with client:
            await _one(client, operations)
    except _GONE:
        return  # it has gone, or does not read
    except Exception:
        _logger.exception("bug while the control socket was served; its connection is closed")
    finally:
        places.release_on_behalf_of(place)


async def _one(client: trio.SocketStream, operations: Operations) -> None:
    uid = peer_ids(client.socket).uid
    if uid not in (0, os.geteuid()):
        _logger.warning("control socket: user id %d is refused: it answers root and the daemon's user only", uid)
        await _send(client, Failed(Cause.DENIED, "the control socket answers root and the daemon's user only"))
        return
    try:
        request = await _request(client)
    except Malformed as error:
        await _send(client, Failed(Cause.REQUEST, f"control socket: {error}"))
        return
    if request is not None:
        await _send(client, await _answer(client, request, operations))


async def _request(client: trio.SocketStream) -> Request | None:
    """What is asked; None: nothing whole came, or not in time. Raises Malformed."""
    lines = Lines(MAX_REQUEST)
    with trio.move_on_after(PATIENCE):
        while (line := lines.line()) is None:
            data = await client.receive_some(_READ)
            if not data:
                return None
            lines.feed(data)
        return parse_request(line)
    return None


async def _answer(client: trio.SocketStream, request: Request, operations: Operations) -> Answer:
    try:
        return Done(await _do(client, request, operations))
    except OperationFailed as failed:
        return Failed(failed.cause, str(failed))
    except InvalidIdentity as error:
        return Failed(Cause.REQUEST, f"no user is called so: {error}")
    except _GONE:
        raise
    except Exception:
        _logger.exception("bug in what the control socket was asked (%s)", type(request).__name__)
        return Failed(Cause.UNAVAILABLE, "the daemon has a bug there: its log has the traceback, please report it")


async def _do(client: trio.SocketStream, request: Request, operations: Operations) -> Facts:
    match request:
        case AskStatus():
            return (await operations.status()).to_json()
        case Reload():
            return {"warnings": await operations.reload()}
        case Flush(user):
            return {"proofs": operations.flush(user)}
        case Unblock(what):
            return {"limits": operations.unblock(what)}
        case Trace():
            return await _trace(client, request, operations)


async def _trace(client: trio.SocketStream, request: Trace, operations: Operations) -> Facts:
    """Steps go out as they are made. One who does not read them is not waited for; what he asked is decided all the same."""
    put, take = trio.open_memory_channel[Step](MOST_STEPS)
    decided: Decision | Exception | None = None

    def note(step: Step) -> None:
        with suppress(trio.WouldBlock, trio.BrokenResourceError):
            put.send_nowait(step)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(_forward, take, client)
        with put, trace.recording(note):
            try:
                decided = await operations.trace(request.listener, request.login, request.sasl, peer_ids(client.socket))
            except Exception as error:  # out of the nursery as itself, not in a group
                decided = error
    if isinstance(decided, Exception):
        raise decided
    return {"verdict": "refused"} if decided is None else steps.said(decided.verdict)


async def _forward(steps: trio.MemoryReceiveChannel[Step], client: trio.SocketStream) -> None:
    with steps:
        try:
            async for step in steps:
                await _send(client, Told(step.name, step.seconds, step.facts))
        except _GONE:
            await client.aclose()  # half a line may be out: nothing more fits behind it


async def _send(client: trio.SocketStream, answer: Answer) -> None:
    with trio.fail_after(PATIENCE):
        await client.send_all(encode_answer(answer))
