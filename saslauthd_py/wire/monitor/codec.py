"""The bytes of a frame: a head, the frame's numbers in network order, its texts; one table says which, for both directions."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from typing import Any, NamedTuple

from saslauthd_py.secret import Secret
from saslauthd_py.wire.monitor import frames
from saslauthd_py.wire.monitor.frames import Frame

MAX_FRAME = 16384
"""Bytes of one frame; what is longer is no frame."""

_VERSION = 1
_HEAD = struct.Struct("!BBHI")  # version, kind, size of the whole frame, checksum of all but these four bytes
_START = struct.Struct("!BBH")
_CHECKSUM = struct.Struct("!I")


class Malformed(ValueError):
    """Bytes that are no frame. The text says why, and holds none of them."""


def encode(frame: Frame) -> bytes:
    """The bytes of a frame. Raises Malformed where it has over MAX_FRAME of them, or a number that its place cannot hold."""
    kind = _KINDS[type(frame)]
    try:
        body = _LAYOUTS[kind].body(frame)
    except struct.error:
        raise Malformed("a number out of range") from None
    size = _HEAD.size + len(body)
    if size > MAX_FRAME:
        raise Malformed(f"{size} bytes, over {MAX_FRAME}")
    start = _START.pack(_VERSION, kind, size)
    return start + _CHECKSUM.pack(zlib.crc32(body, zlib.crc32(start))) + body


def decode(data: bytes) -> Frame:
    """The frame in one datagram. Raises Malformed."""
    if len(data) < _HEAD.size:
        raise Malformed("shorter than any frame")
    version, kind, size, checksum = _HEAD.unpack_from(data)
    if version != _VERSION or size != len(data) or size > MAX_FRAME:
        raise Malformed("not the size or version of a frame")
    body = data[_HEAD.size :]
    if zlib.crc32(body, zlib.crc32(data[: _START.size])) != checksum:
        raise Malformed("changed on its way")
    if kind not in _LAYOUTS:
        raise Malformed("no kind of frame")
    try:
        return _LAYOUTS[kind].frame_in(body)
    except (struct.error, ValueError) as error:
        raise Malformed(str(error)) from None


class _Number(NamedTuple):
    """A place in the struct: its format, and the field's value from the number in it and back."""

    format: str
    read: Callable[[int], object] = int
    write: Callable[[int], int] = int


class _Text(NamedTuple):
    """The field's value from its bytes and back."""

    read: Callable[[bytes], object] = bytes
    write: Callable[[Any], bytes] = bytes


class _Layout:
    """A frame's fields by name, in the order of their bytes. A single text is the rest; the sizes of several stand before the first."""

    def __init__(self, frame: type[Frame], numbers: dict[str, _Number] | None = None, texts: dict[str, _Text] | None = None) -> None:
        self.frame = frame
        self._numbers = numbers or {}
        self._texts = texts or {}
        self._sized = len(self._texts) if len(self._texts) > 1 else 0
        self._struct = struct.Struct("!" + "".join(number.format for number in self._numbers.values()) + "H" * self._sized)

    def body(self, frame: Frame) -> bytes:
        """What follows the head. Raises struct.error."""
        numbers = [number.write(getattr(frame, name)) for name, number in self._numbers.items()]
        texts = [text.write(getattr(frame, name)) for name, text in self._texts.items()]
        return self._struct.pack(*numbers, *map(len, texts[: self._sized])) + b"".join(texts)

    def frame_in(self, body: bytes) -> Frame:
        """The frame with this body. Raises struct.error, ValueError."""
        found = self._struct.unpack_from(body)
        fields: dict[str, Any] = {name: number.read(value) for (name, number), value in zip(self._numbers.items(), found, strict=False)}
        at = self._struct.size
        sizes = found[len(self._numbers) :] if self._sized else [len(body) - at] * len(self._texts)
        if at + sum(sizes) != len(body):
            raise ValueError("fields of another size")
        for (name, text), size in zip(self._texts.items(), sizes, strict=True):
            fields[name] = text.read(body[at : at + size])
            at += size
        return self.frame(**fields)


def _flag(number: int) -> bool:
    if number > 1:
        raise ValueError("an unknown flag")
    return bool(number)


_U8, _U16, _U32, _U64 = map(_Number, "BHIQ")
_FLAG = _Number("B", read=_flag)
_STAGE = _Number("B", read=frames.Stage)
_MICROSECONDS = _Number("I", write=lambda number: min(number, 0xFFFFFFFF))  # what is over an hour is an hour
_BYTES = _Text()
_SECRET = _Text(Secret, Secret.reveal)

_LAYOUTS = {
    1: _Layout(frames.Listening, {"place": _U16}),
    2: _Layout(frames.Working, {"pool": _U16, "slot": _U16, "generation": _U32}),
    3: _Layout(frames.Begin),
    4: _Layout(frames.Serving),
    5: _Layout(frames.End, {"slot": _U16, "generation": _U32}),
    6: _Layout(frames.Call, {"id": _U32, "urgent": _FLAG}, {"service": _BYTES, "login": _BYTES, "secret": _SECRET, "address": _BYTES}),
    7: _Layout(
        frames.Answer,
        {"id": _U32, "last": _FLAG, "stage": _STAGE, "code": _U8, "delay": _MICROSECONDS, "took": _MICROSECONDS, "expires": _U64},
        {"account": _BYTES},
    ),
    8: _Layout(frames.Configuration, {"first_pool": _U16, "asked": _U32}, {"path": _BYTES}),
    9: _Layout(frames.Ended, {"pool": _U16, "slot": _U16, "status": _U32}),
    10: _Layout(frames.Reload, {"asked": _U32}),
    11: _Layout(frames.Opened),
    12: _Layout(frames.Switch),
    13: _Layout(frames.Declined, texts={"text": _BYTES}),
    14: _Layout(frames.Failed, {"asked": _U32}, {"text": _BYTES}),
    15: _Layout(frames.Retired, {"first_pool": _U16}),
    16: _Layout(frames.Controlling),
}
"""By the kind that a head says."""

_KINDS = {layout.frame: kind for kind, layout in _LAYOUTS.items()}
