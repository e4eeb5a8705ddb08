"""The frames between front, monitor and workers: one frame is one datagram of a SOCK_SEQPACKET socket, 16 KiB at most (rule A4).

Every frame carries its own size and a checksum over all of it: what was changed on its way is Malformed as a whole, and never
some other frame. Descriptors travel beside a frame (SCM_RIGHTS), never in it.
"""

from saslauthd_py.wire.monitor.codec import MAX_FRAME, Malformed, decode, encode
from saslauthd_py.wire.monitor.frames import (
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
    Opened,
    Refusal,
    Reload,
    Retired,
    Serving,
    Stage,
    Standing,
    Switch,
    Working,
)

__all__ = [
    "MAX_FRAME",
    "Answer",
    "Begin",
    "Call",
    "Configuration",
    "Controlling",
    "Declined",
    "End",
    "Ended",
    "Failed",
    "Frame",
    "Listening",
    "Malformed",
    "Opened",
    "Refusal",
    "Reload",
    "Retired",
    "Serving",
    "Stage",
    "Standing",
    "Switch",
    "Working",
    "decode",
    "encode",
]
