"""What front, monitor and workers tell each other, as values."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from saslauthd_py.secret import Secret


class Stage(IntEnum):
    """How far a worker's call came, and so what the `code` of its Answer is."""

    REFUSED = 0
    """Refused by the worker itself: a Refusal. No module, no hash has seen the secret."""
    AUTHENTICATE = 1
    """PAM: the code that pam_authenticate(3) or pam_start(3) returned."""
    ACCOUNT = 2
    """PAM: the code that pam_acct_mgmt(3) returned, after pam_authenticate(3) had accepted."""
    SHADOW = 3
    """Shadow or getpwent: a Standing."""


class Refusal(IntEnum):
    """Why a worker did not even ask."""

    SERVICE = 1
    """The service is not on the backend's list."""
    NO_SERVICE_FILE = 2
    """PAM has no file of that name, and would take its `other`."""
    DENIED = 3
    """A user that `deny` names or `min_uid` excludes."""
    SECRET = 4
    """A secret that cannot be given: longer than the system takes, or with a NUL."""
    NAME = 5
    """A login that no system has: with a NUL, say."""


class Standing(IntEnum):
    """What the shadow database says of an account and a secret."""

    RIGHT = 0
    WRONG = 1
    UNKNOWN = 2
    LOCKED = 3
    NO_PASSWORD = 4
    ACCOUNT_EXPIRED = 5
    PASSWORD_EXPIRED = 6
    CHANGE_FORCED = 7
    BROKEN = 8
    """A stored hash that cannot be verified."""
    UNREADABLE = 9
    """The database could not be asked."""


@dataclass(frozen=True, slots=True)
class Configuration:
    """Monitor to front, with a descriptor of the text: the configuration that both go by, and the name of the file it was read from.

    `first_pool`: the number of its first backend with workers. `asked`: the Reload that it answers, 0 where nobody in the front asked.
    """

    path: bytes
    first_pool: int = 0
    asked: int = 0


@dataclass(frozen=True, slots=True)
class Listening:
    """Monitor to front, with a listening socket: the one for the `[[listen]]` at this place."""

    place: int


@dataclass(frozen=True, slots=True)
class Controlling:
    """Monitor to front, with a listening socket: the one for `[control]`."""


@dataclass(frozen=True, slots=True)
class Working:
    """Monitor to front, with the front's end of a worker: the one in `slot`, for the backend whose number is `pool`."""

    pool: int
    slot: int
    generation: int


@dataclass(frozen=True, slots=True)
class Begin:
    """Monitor to front: at the start, all has been handed over; later, all but the listeners, and the front is to open what it needs."""


@dataclass(frozen=True, slots=True)
class Serving:
    """Front to monitor: every listener answers. At a reload: and the configuration of before serves no new request."""


@dataclass(frozen=True, slots=True)
class Reload:
    """Front to monitor: read the configuration again. `asked` numbers the requests, from 1."""

    asked: int


@dataclass(frozen=True, slots=True)
class Opened:
    """Front to monitor: the new configuration could be opened; its listeners may be bound."""


@dataclass(frozen=True, slots=True)
class Switch:
    """Monitor to front: the new listeners have been sent, and all others are kept."""


@dataclass(frozen=True, slots=True)
class Declined:
    """Front to monitor: the new configuration cannot be opened, for this reason; all stays as it is."""

    text: bytes


@dataclass(frozen=True, slots=True)
class Failed:
    """Monitor to front: the new configuration cannot be used, for this reason; all stays as it is."""

    text: bytes
    asked: int = 0


@dataclass(frozen=True, slots=True)
class Retired:
    """Front to monitor: the last request of the configuration whose workers begin at this pool is answered."""

    first_pool: int


@dataclass(frozen=True, slots=True)
class End:
    """Front to monitor: the worker that was in `slot` as `generation` is of no more use; put another one in its place."""

    slot: int
    generation: int


@dataclass(frozen=True, slots=True)
class Ended:
    """Monitor to front: the worker that was in `slot` of the backend whose number is `pool` ended by itself; `status` as of wait(2)."""

    pool: int
    slot: int
    status: int


@dataclass(frozen=True, slots=True)
class Call:
    """Front to worker. `urgent`: run at full priority. `address` is the mail client's as text, empty: nobody knows."""

    id: int
    service: bytes
    login: bytes
    secret: Secret
    address: bytes = b""
    urgent: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """Worker to front: how the call `id` went.

    `delay`: microseconds that a module wants a failure to be held back. `took`: microseconds of the call itself. `expires`: Unix
    time from which on the account is no longer good, 0: never. `last`: this worker takes no more calls. `account`: the login that
    the system confirmed.
    """

    id: int
    stage: Stage
    code: int
    delay: int = 0
    took: int = 0
    expires: int = 0
    last: bool = False
    account: bytes = b""


Frame = (
    Configuration
    | Listening
    | Working
    | Begin
    | Serving
    | End
    | Ended
    | Call
    | Answer
    | Reload
    | Opened
    | Switch
    | Declined
    | Failed
    | Retired
    | Controlling
)
