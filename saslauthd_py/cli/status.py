"""`status`: how the running daemon is, for people, for programs, for Nagios."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from typing import Any

from saslauthd_py.cli.daemon_control import socket_of
from saslauthd_py.cli.environment import Environment
from saslauthd_py.cli.exits import CommandFailed, Exit, code_of, line_of
from saslauthd_py.cli.report import Record, Text, counted
from saslauthd_py.control import client
from saslauthd_py.control.client import State

Fields = dict[str, Any]
"""A Status as JSON has it."""

_FULL = 0.9
_OUTAGES = {"close": "closes the connection", "fail": "FAIL with code=temp_fail"}
_UNITS = (("d", 86400), ("h", 3600), ("min", 60), ("s", 1))
_WORDS = {Exit.DONE: "OK", Exit.WARNING: "WARNING", Exit.CRITICAL: "CRITICAL", Exit.UNKNOWN: "UNKNOWN"}


def run(arguments: argparse.Namespace, _: Environment) -> Record | Text:
    """Raises ConfigurationError, ControlError; with --check nothing: what goes wrong is a state like others."""
    if not arguments.check:
        fields = _asked(arguments)
        return Record(fields, tuple(_shown(fields)))
    try:
        return _checked(_asked(arguments))
    except Exception as error:
        code = code_of(error)
        if code is Exit.BUG:
            raise
        state = Exit.CRITICAL if code is Exit.NOT_RUNNING else Exit.UNKNOWN
        return _plugin(state, [line_of(error).partition("\n")[0]], {})


def _asked(arguments: argparse.Namespace) -> Fields:
    fields = dict(client.status(socket_of(arguments)))
    if not {"version", "backends", "listeners", "admission"} <= fields.keys():
        raise CommandFailed(Exit.UNAVAILABLE, "no status that this command knows: is the daemon of another version?")
    return fields


def _shown(status: Fields) -> Iterator[str]:
    monitor = f", monitor {status['monitor_pid']}" if status["monitor_pid"] else ""
    logins, cache, turns = status["logins"], status["cache"], status["hashing"]
    hits = "" if cache["hit_rate"] is None else f", {cache['hit_rate']:.1%} of all logins answered from it"
    yield f"saslauthd-py {status['version']}, up {_time(status['uptime'])}, generation {status['generation']}, pid {status['pid']}{monitor}"
    yield f"logins       {logins['accepted']} accepted, {logins['rejected']} rejected, {logins['unavailable']} unavailable"
    yield f"connections  {status['connections']['open']} of {status['connections']['most']}"
    yield f"cache        {cache['entries']} of {cache['most']}{hits}"
    yield f"hashes       {_turns(turns)}"
    yield from _below("listeners", status["listeners"], _listener, _withheld)
    yield from _below("backends", status["backends"], _backend, _down)
    admission = status["admission"]
    known = counted(admission["tickets"], "user") + (" has" if admission["tickets"] == 1 else " have")
    free = "is" if admission["tickets"] == 1 else "are"
    yield f"admission    {known} logged in lately and {free} not limited, {counted(admission['limited'], 'login')} refused by a limit"
    yield from _table("near a limit", [_near(one) for one in admission["top"]])


_Row = Callable[[Fields], tuple[str, ...]]


def _below(title: str, found: list[Fields], row: _Row, more: Callable[[Fields], Iterator[str]]) -> Iterator[str]:
    """Each in a line, and below it whatever more there is to say of it."""
    if not found:
        return
    heading, *lines = _table(title, [row(one) for one in found])
    yield heading
    for line, one in zip(lines, found, strict=True):
        yield line
        for said in more(one):
            yield f"    {said}"


def _withheld(one: Fields) -> Iterator[str]:
    for mechanism, why in one["withheld"].items():
        yield f"no {mechanism}: {why}"


def _down(one: Fields) -> Iterator[str]:
    for server, why in one.get("down", {}).items():
        yield f"{server} is down: {why}"


def _listener(one: Fields) -> tuple[str, ...]:
    outage = f"an outage: {_OUTAGES[one['on_unavailable']]}" if one["on_unavailable"] else ""
    return one["protocol"], one["name"], ", ".join(one["mechanisms"]), outage


def _backend(one: Fields) -> tuple[str, ...]:
    workers = one["workers"]
    return (
        one["name"],
        one["type"],
        one["state"],
        "-" if one["ms"] is None else f"{one['ms']:.1f} ms",
        f"{one['asked']} asked, {counted(one['outages'], 'outage')}",
        _turns(one["turns"]) + ("" if workers is None else f"; workers {workers['busy']} busy, {workers['idle']} idle"),
        _compared(one) + one["cause"],
    )


def _compared(one: Fields) -> str:
    compared = one.get("compared")
    if compared is None:
        return ""
    asked = compared["alike"] + compared["different"]
    return f"compared only: {compared['different']} of {counted(asked, 'login')} decided otherwise" + ("; " if one["cause"] else "")


def _turns(turns: Fields) -> str:
    return f"{turns['busy']} of {turns['places']} places, {turns['waiting']} waiting"


def _near(one: Fields) -> tuple[str, ...]:
    return one["kind"], one["name"] or "names without a route", f"{one['failures']:.1f} of {one['limit']} failed logins"


def _table(title: str, rows: list[tuple[str, ...]]) -> Iterator[str]:
    """A heading, and the rows in columns; nothing where there is none."""
    if rows:
        yield title
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  " + "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()


def _time(seconds: float) -> str:
    """The two largest units."""
    whole = int(seconds)
    words: list[str] = []
    for unit, size in _UNITS:
        if whole >= size or (unit == "s" and not words):
            words.append(f"{whole // size} {unit}")
            whole %= size
    return " ".join(words[:2])


def _checked(status: Fields) -> Record:
    found = sorted(_faults(status), key=lambda fault: -fault[0])
    backends = ", ".join(f"{one['name']} {one['state']}" for one in status["backends"])
    well = f"up {_time(status['uptime'])}, generation {status['generation']}, {backends}"
    return _plugin(found[0][0] if found else Exit.DONE, [text for _, text in found] or [well], status)


def _faults(status: Fields) -> Iterator[tuple[Exit, str]]:
    for one in status["backends"]:
        name, workers = one["name"], one["workers"]
        match one["state"]:
            case State.UNAVAILABLE:
                yield Exit.WARNING if one.get("compared") else Exit.CRITICAL, f"backend {name} is unavailable: {one['cause']}"
            case State.FAILING:
                yield Exit.WARNING, f"backend {name} had an outage: {one['cause']}"
            case State.OK | State.UNASKED:
                for said in _down(one):
                    yield Exit.WARNING, f"backend {name}: {said}"
        if workers is not None and not workers["idle"] + workers["busy"]:
            yield Exit.CRITICAL, f"backend {name} has no worker"
        if one["turns"]["waiting"] > one["turns"]["places"]:
            yield Exit.WARNING, f"backend {name}: {one['turns']['waiting']} logins wait for {one['turns']['places']} places"
    if status["hashing"]["waiting"] > 10 * status["hashing"]["places"]:
        yield Exit.WARNING, f"{status['hashing']['waiting']} hashes wait for {status['hashing']['places']} places"
    connections = status["connections"]
    if connections["open"] >= _FULL * connections["most"]:
        yield Exit.WARNING, f"{connections['open']} of {connections['most']} connections are open"


def _plugin(state: Exit, texts: list[str], status: Fields) -> Record:
    """One line as monitoring-plugins write it: state, words, and behind a `|` the figures."""
    words = "; ".join(texts).replace("|", "/")
    figures = " ".join(f"{name}={value}" for name, value in _figures(status).items()) if status else ""
    line = f"SASLAUTHD-PY {_WORDS[state]} - {words}" + (f" | {figures}" if figures else "")
    return Record({"state": _WORDS[state], "text": words, **status}, (line,), state)


def _figures(status: Fields) -> dict[str, str]:
    logins, connections = status["logins"], status["connections"]
    found = {
        "uptime": f"{status['uptime']:.0f}s",
        "generation": str(status["generation"]),
        **{name: f"{count}c" for name, count in logins.items()},
        "limited": f"{status['admission']['limited']}c",
        "connections": f"{connections['open']};{int(_FULL * connections['most'])};;0;{connections['most']}",
        "cache_entries": f"{status['cache']['entries']};;;0;{status['cache']['most']}",
        "hashes_waiting": str(status["hashing"]["waiting"]),
    }
    for one in status["backends"]:
        if one["ms"] is not None:
            found[f"{one['name']}_time"] = f"{one['ms'] / 1000:.6f}s"
        found[f"{one['name']}_waiting"] = str(one["turns"]["waiting"])
    return found
