"""The frames of front, monitor and workers: what was changed on its way is no frame, whatever was changed (rule A4)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from saslauthd_py.secret import Secret
from saslauthd_py.wire.monitor import (
    MAX_FRAME,
    Answer,
    Begin,
    Call,
    Configuration,
    Controlling,
    Declined,
    End,
    Ended,
    Failed,
    Frame,
    Listening,
    Malformed,
    Opened,
    Reload,
    Retired,
    Serving,
    Stage,
    Switch,
    Working,
    decode,
    encode,
)

u16, u32 = st.integers(0, 0xFFFF), st.integers(0, 0xFFFFFFFF)
fields = st.binary(max_size=600)
frames: st.SearchStrategy[Frame] = st.one_of(
    st.builds(Configuration, st.binary(max_size=300), u16, u32),
    st.builds(Reload, u32),
    st.just(Opened()),
    st.just(Switch()),
    st.just(Controlling()),
    st.builds(Declined, st.binary(max_size=300)),
    st.builds(Failed, st.binary(max_size=300), u32),
    st.builds(Retired, u16),
    st.builds(Listening, u16),
    st.builds(Working, u16, u16, u32),
    st.just(Begin()),
    st.just(Serving()),
    st.builds(End, u16, u32),
    st.builds(Ended, u16, u16, u32),
    st.builds(Call, u32, fields, fields, st.builds(Secret, fields), fields, st.booleans()),
    st.builds(
        Answer,
        u32,
        st.sampled_from(Stage),
        st.integers(0, 255),
        u32,
        u32,
        st.integers(0, (1 << 64) - 1),
        st.booleans(),
        st.binary(max_size=300),
    ),
)

SAMPLES: list[Frame] = [
    Configuration(b"/etc/saslauthd-py/saslauthd-py.toml", 3, 1),
    Reload(2),
    Opened(),
    Switch(),
    Controlling(),
    Declined(b"no such store"),
    Failed(b"line 3", 2),
    Retired(3),
    Listening(3),
    Working(0, 2, 77),
    Begin(),
    Serving(),
    End(2, 77),
    Ended(1, 2, 11),
    Call(9, b"smtp", b"alice", Secret(b"pw1"), b"192.0.2.1", urgent=True),
    Answer(9, Stage.ACCOUNT, 0, 2_000_000, 27_000, 0, last=True, account=b"alice"),
]


@given(frames)
def test_what_is_encoded_is_decoded(frame: Frame) -> None:
    assert decode(encode(frame)) == frame


@pytest.mark.parametrize("frame", SAMPLES, ids=lambda frame: type(frame).__name__)
def test_a4_a_frame_with_any_bit_changed_is_none(frame: Frame) -> None:
    whole = encode(frame)
    for at in range(len(whole)):
        for bit in range(8):
            changed = bytearray(whole)
            changed[at] ^= 1 << bit
            with pytest.raises(Malformed):
                decode(bytes(changed))


@pytest.mark.parametrize("frame", SAMPLES, ids=lambda frame: type(frame).__name__)
def test_a4_a_frame_that_is_cut_or_goes_on_is_none(frame: Frame) -> None:
    whole = encode(frame)
    for end in range(len(whole)):
        with pytest.raises(Malformed):
            decode(whole[:end])
    with pytest.raises(Malformed):
        decode(whole + b"\0")


@given(st.binary(max_size=400))
def test_a4_other_bytes_are_no_frame(data: bytes) -> None:
    with pytest.raises(Malformed):
        decode(data)


def test_a4_no_frame_is_longer_than_the_limit() -> None:
    room = MAX_FRAME - len(encode(Call(1, b"", b"", Secret(b""))))
    assert len(encode(Call(1, b"", b"", Secret(b"x" * room)))) == MAX_FRAME
    with pytest.raises(Malformed):
        encode(Call(1, b"", b"", Secret(b"x" * (room + 1))))


@pytest.mark.parametrize("frame", [Listening(1 << 16), Working(0, 0, 1 << 32), End(-1, 0), Call(1, b"", b"x" * 70000, Secret(b""))])
def test_a_number_without_room_is_malformed(frame: Frame) -> None:
    with pytest.raises(Malformed):
        encode(frame)


def test_a_long_delay_is_the_longest_there_is() -> None:
    answer = decode(encode(Answer(1, Stage.AUTHENTICATE, 7, delay=1 << 40, took=1 << 40)))
    assert isinstance(answer, Answer)
    assert (answer.delay, answer.took) == (0xFFFFFFFF, 0xFFFFFFFF)


def test_a_call_shows_no_secret() -> None:
    assert "pw1" not in repr(SAMPLES)
