"""A server's side of a SASL exchange (RFC 4422 section 3) as values: each step says what it needs, and holds the function that takes it.

So nothing can be called out of turn, and an exchange that its client aborts (section 3.5) is a step with which nobody goes on.
Messages are bytes, after base64 and before it. A step shows neither a secret nor a key.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from saslauthd_py.keys import AccountKeys, Hash
from saslauthd_py.secret import Secret


@dataclass(frozen=True, slots=True)
class Challenge:
    """Send `message`, which may be empty, and give the client's response to `receive`."""

    message: bytes
    receive: Callable[[bytes], Step] = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class NeedPassword:
    """The mechanism's last word: whether `secret` is that of `authcid` decides, and the verdict on it is the exchange's."""

    authzid: str
    authcid: str
    secret: Secret


@dataclass(frozen=True, slots=True)
class NeedKeys:
    """Look up what `authcid` has for SCRAM with `function`, and give it to `resolve`.

    An account that does not exist, may not log in or has no keys gets `keys.decoy`: the exchange goes on, and fails at the proof.
    """

    authzid: str
    authcid: str
    function: Hash
    resolve: Callable[[AccountKeys], Step] = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class NeedCertificate:
    """Give `resolve` the name in the client's certificate; None where there is none, or where the listener is not trusted to know (D10)."""

    authzid: str
    resolve: Callable[[str | None], Step] = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Proved:
    """The client is `authcid`; whether it may act as `authzid` (empty: as itself) is for the caller to judge, as are restrictions.

    `message` goes to the client with the success, or before it where the protocol cannot carry both (RFC 4422 section 3.6); None:
    there is none. `credential` is the number of the secret whose keys proved it, as they were given; 0 where no keys took part.
    """

    authzid: str
    authcid: str
    message: bytes | None = None
    credential: int = 0


@dataclass(frozen=True, slots=True)
class Disproved:
    """The proof fits none of the keys: a wrong secret, which counts as a guess. `message` may go to the client with the failure."""

    authzid: str
    authcid: str
    message: bytes


@dataclass(frozen=True, slots=True)
class Failed:
    """The client does not keep to the mechanism. That depends on its messages alone, never on an account's keys: it is no guess.

    `why` is one line for the log, and holds nothing of the messages. `message` may go to the client with the failure; None: there is none.
    """

    why: str
    message: bytes | None = None


Step = Challenge | NeedPassword | NeedKeys | NeedCertificate | Proved | Disproved | Failed

Begin = Callable[[bytes | None], Step]
"""The first step of an exchange, from the initial response: None where there is none, which is not the same as an empty one."""
