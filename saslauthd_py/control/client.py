"""The command's end of the control socket: blocking, from the standard library alone."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Iterator
from contextlib import closing, suppress

from saslauthd_py.control.protocol import (
    MAX_ANSWER,
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
    Sasl,
    Told,
    Trace,
    Unblock,
    encode_request,
    parse_answer,
)
from saslauthd_py.control.status import State
from saslauthd_py.trace import Fact, Facts, Step, Take

__all__ = [
    "PATIENCE",
    "ControlError",
    "NotPermitted",
    "NotRunning",
    "RequestRefused",
    "Sasl",
    "State",
    "Trace",
    "WrongConfiguration",
    "flush",
    "reload",
    "status",
    "trace",
    "unblock",
]

PATIENCE = 90.0
"""Seconds until the next line of an answer: over the longest deadline that a daemon may have."""

_READ = 65536


class ControlError(Exception):
    """What was asked was not done. Its text is a line, or one for each fault of a configuration."""


class NotRunning(ControlError):
    """Nobody listens at the socket."""


class NotPermitted(ControlError):
    """The socket may not be opened, or does not answer this user."""


class RequestRefused(ControlError):
    """What was asked makes no sense to the daemon."""


class WrongConfiguration(ControlError):
    """The new configuration does not serve; the one before does."""


_ERRORS: dict[Cause, type[ControlError]] = {
    Cause.CONFIGURATION: WrongConfiguration,
    Cause.DENIED: NotPermitted,
    Cause.REQUEST: RequestRefused,
    Cause.UNAVAILABLE: ControlError,
}


def status(path: str, patience: float = PATIENCE) -> Facts:
    """How the daemon behind the socket at `path` is, as `Status.to_json` has it. All functions here raise ControlError."""
    return _asked(path, AskStatus(), patience)


def reload(path: str, patience: float = PATIENCE) -> tuple[str, ...]:
    """Returns when the configuration as it is now serves: what there is to say of it all the same, in a line each.

    Raises WrongConfiguration: the one before serves on.
    """
    warnings = _asked(path, Reload(), patience).get("warnings")
    return tuple(line for line in warnings if isinstance(line, str)) if isinstance(warnings, list) else ()


def flush(path: str, user: str | None, patience: float = PATIENCE) -> Fact:
    """How many proofs of a user were forgotten, None: of all."""
    return _asked(path, Flush(user), patience).get("proofs")


def unblock(path: str, what: str, patience: float = PATIENCE) -> Fact:
    """How many limits a user, or an address, was freed from."""
    return _asked(path, Unblock(what), patience).get("limits")


def trace(path: str, request: Trace, take: Take, patience: float = PATIENCE) -> Fact:
    """The verdict, in a word, of a login as it would come to a listener; its steps are taken as they come."""
    for answer in _steps(path, request, patience):
        if isinstance(answer, Done):
            return answer.facts.get("verdict")
        take(Step(answer.name, answer.seconds, answer.facts))
    return None


def _asked(path: str, request: Request, patience: float) -> Facts:
    """The end of an answer; steps of it are not looked at."""
    *_, last = _steps(path, request, patience)
    return last.facts


def _steps(path: str, request: Request, patience: float) -> Iterator[Told | Done]:
    """The steps of an answer as they come, and at last its end: an answer without one is an error."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with closing(connection):
        _connect(connection, path, patience)
        try:
            with suppress(BrokenPipeError):  # it was refused unread: the answer says why
                connection.sendall(encode_request(request))
            for answer in _answers(connection, patience):
                if isinstance(answer, Failed):
                    raise _ERRORS[answer.cause](answer.text)
                yield answer
                if isinstance(answer, Done):
                    return
        except TimeoutError:
            raise ControlError(f"{path}: no answer within {patience:g} s; look at the daemon's log") from None
        except Malformed as error:
            raise ControlError(f"{path}: {error}") from None
        except OSError:
            raise ControlError(f"{path}: the daemon closed the connection; its log says why") from None
    raise ControlError(f"{path}: the daemon ended before it answered; its log says why")


def _connect(connection: socket.socket, path: str, patience: float) -> None:
    # `settimeout` would make it non-blocking, and such a connect fails at once where the backlog is full
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("@ll", int(patience), int(patience % 1 * 1_000_000)))
    try:
        connection.connect(path)
    except (FileNotFoundError, ConnectionRefusedError):
        raise NotRunning(
            f"nobody listens at {path}: the daemon does not run, has another [control] path, or could not make this (see its first line)"
        ) from None
    except PermissionError:
        raise NotPermitted(f"{path}: permission denied: run this as root or as the daemon's user") from None
    except BlockingIOError:
        raise ControlError(f"{path}: the daemon takes no connection: its backlog is full") from None
    except OSError as error:
        raise NotRunning(f"{path}: {error.strerror or error}") from None


def _answers(connection: socket.socket, patience: float) -> Iterator[Answer]:
    lines = Lines(MAX_ANSWER)
    until = time.monotonic() + patience
    while True:
        while (line := lines.line()) is not None:
            yield parse_answer(line)
            until = time.monotonic() + patience
        connection.settimeout(max(until - time.monotonic(), 0.001))
        data = connection.recv(_READ)
        if not data:
            return
        lines.feed(data)
