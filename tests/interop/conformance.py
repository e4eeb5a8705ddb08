"""Do stock saslauthd and our daemon, with the same accounts, answer alike? python -m tests.interop.conformance

`saslauthd -a sasldb` and `-a shadow`, and beside each our daemon twice, without compat_limits and with: the same few thousand conversations
to all three sockets. Differences of the kinds that conformance_differences.py lists are counted; any other is a fault, and told with both
answers, together with those like it.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.bench import stock
from tests.interop import conformance_accounts as accounts
from tests.interop.conformance_conversations import Conversation, conversations, counted, silences
from tests.interop.conformance_differences import KINDS, SASLDB, SHADOW, Seen, kind_of
from tests.interop.daemon import GROUP, USER, Daemon, listener, searchable
from tests.interop.differing import Difference, Kind, summed, told_faults
from tests.interop.mux_client import LEFT, RESET, Ending, converse
from tests.interop.pam_machine import PamMachine, pam_machine
from tests.interop.waiting import PATIENCE

CLIENTS = 4
"""Conversations at once: one less than stock has processes, for one of ours may wait."""

SILENCE = 1.5
"""Seconds that are long enough to see that stock waits: as it does for ever, no time could be too short."""

_OURS = """\
{listener}
[backend.system]
type = "{mechanism}"
{backend}
[[route]]
realm = "*"
backends = ["system"]
ignore_realm = {ignore_realm}

[server]
user = "{user}"
group = "{group}"
compat_limits = {compat_limits}
deadline = "{deadline}"

[log]
to = "stderr"

[control]
path = "{directory}/control"

[failure]
delay = "0s"

[admission]
per_account = "off"
per_network = "off"
per_pair = "off"
"""


@dataclass(frozen=True, slots=True)
class Ours:
    """One of our daemons."""

    mechanism: str
    compat: bool
    deadline: str = "8s"

    def __str__(self) -> str:
        return f"{self.mechanism}{', compat_limits' if self.compat else ''}"


@dataclass(frozen=True, slots=True)
class Outcome:
    """All conversations with stock and one of ours. `told`: stock's answers."""

    ours: Ours
    told: Counter[str]
    differences: tuple[Difference[Conversation], ...]

    def meant(self) -> Counter[str]:
        """How many differences there are of each kind that is meant."""
        kinds = (self._kind(difference) for difference in self.differences)
        return Counter(kind.name for kind in kinds if kind is not None)

    def faults(self) -> list[Difference[Conversation]]:
        """The others."""
        return [difference for difference in self.differences if self._kind(difference) is None]

    def _kind(self, difference: Difference[Conversation]) -> Kind[Seen] | None:
        return kind_of(Seen(self.ours.mechanism, self.ours.compat, difference.attempt, (difference.one, difference.other)))


@dataclass(frozen=True, slots=True)
class Place:
    """Where stock and ours have the same accounts."""

    mechanism: str
    directory: Path
    machine: PamMachine

    @property
    def people(self) -> tuple[accounts.Person, ...]:
        return accounts.SASLDB if self.mechanism == SASLDB else accounts.SHADOW

    @contextmanager
    def stock(self) -> Iterator[Path]:
        """Stock's socket."""
        if self.mechanism == SASLDB:
            with stock.started_sasldb(str(self.directory)) as daemon:
                yield Path(daemon.socket)
        else:
            with stock.started_in(self.machine, self.mechanism) as daemon:
                yield Path(daemon.socket)

    @contextmanager
    def serving(self, ours: Ours) -> Iterator[Path]:
        """The socket of one of ours."""
        with searchable(self.directory) as directory:
            configuration, mux = directory / "saslauthd-py.toml", directory / "mux"
            sasldb = self.mechanism == SASLDB
            keys = {
                "listener": listener(mux),
                "backend": f'path = "{self.directory}/sasldb2"\n' if sasldb else "",
                "ignore_realm": str(not sasldb).lower(),
                "compat_limits": str(ours.compat).lower(),
                "deadline": ours.deadline,
                "user": USER,
                "group": GROUP,
            }
            configuration.write_text(_OURS.format(mechanism=ours.mechanism, directory=directory, **keys))
            daemon = Daemon(configuration, [*([] if sasldb else self.machine.prefix), *Daemon.PROGRAM])
            daemon.start()
            try:
                yield mux
            finally:
                daemon.stop()


@contextmanager
def places(directory: Path) -> Iterator[tuple[Place, Place]]:
    """A sasldb2 and a machine with accounts, below `directory`."""
    with pam_machine(directory) as machine, searchable(directory) as below:
        accounts.write_sasldb(below / SASLDB_FILE, accounts.SASLDB)
        shutil.chown(below / SASLDB_FILE, USER, GROUP)
        accounts.write_passwd(machine, accounts.SHADOW)
        yield Place(SASLDB, below, machine), Place(SHADOW, below, machine)


SASLDB_FILE = "sasldb2"


def compare(place: Place, beside: Sequence[Ours], said: Sequence[Conversation], silence: float | None = None) -> list[Outcome]:
    """Every conversation with stock and with each of ours, CLIENTS of them at once. `silence`: how long stock is waited for."""
    alice = accounts.ALICE
    good = b"".join(map(counted, (alice.login, alice.secret, b"smtp", alice.realm.encode())))

    def answer(socket: Path, one: Conversation, patience: float | None) -> str:
        word = converse(socket, one.writes, one.ending, patience or PATIENCE)
        if one.more:  # who goes on sending is reset by whoever has closed meanwhile, once the answer has been read
            word = word.removesuffix(RESET)
        return f"{LEFT}, then {converse(socket, [good], Ending.WAIT)}" if word == LEFT else word

    with ExitStack() as stack:
        original = stack.enter_context(place.stock())
        sockets = [stack.enter_context(place.serving(ours)) for ours in beside]
        clients = stack.enter_context(ThreadPoolExecutor(CLIENTS))

        def asked(one: Conversation) -> tuple[str, list[str]]:
            return answer(original, one, silence), [answer(socket, one, None) for socket in sockets]

        answers = list(clients.map(asked, said))
    told = Counter(stocks for stocks, _ in answers)
    outcomes = []
    for number, ours in enumerate(beside):
        pairs = ((one, stocks, theirs[number]) for one, (stocks, theirs) in zip(said, answers, strict=True))
        outcomes.append(Outcome(ours, told, tuple(Difference(*three) for three in pairs if three[1] != three[2])))
    return outcomes


def run(directory: Path, number: int, seed: int) -> Iterator[Outcome]:
    """Everybody's login and `number` more conversations with each mechanism; then those whose client falls silent."""
    with places(directory) as (sasldb, shadow):
        for place in (sasldb, shadow):
            beside = [Ours(place.mechanism, compat) for compat in (False, True)]
            yield from compare(place, beside, list(conversations(seed, number, place.people)))
        yield from compare(sasldb, [Ours(SASLDB, compat, "1s") for compat in (False, True)], list(silences(sasldb.people)), SILENCE)


def told(outcome: Outcome) -> str:
    """The outcome as lines: the sums, what differs as it is meant, then each group of other differences that are alike, with examples."""
    counts = ", ".join(f"{count} {answer}" for answer, count in sorted(outcome.told.items()))
    faults = outcome.faults()
    lines = [f"{outcome.ours}: {outcome.told.total()} conversations, stock says {counts}; {len(faults)} differ"]
    lines += [f"    {count} x as meant: {name}" for name, count in outcome.meant().items()]
    return "\n".join((*lines, *told_faults(faults)))


def main() -> int:
    """0 where nothing differs that should not."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--conversations", type=int, default=2000, help="with each mechanism (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of the conversations (default: %(default)s)")
    arguments = parser.parse_args()
    said = faults = 0
    meant: Counter[str] = Counter()
    with searchable(Path("/run")) as directory:
        for outcome in run(directory, arguments.conversations, arguments.seed):
            print(told(outcome), flush=True)
            said += outcome.told.total()
            faults += len(outcome.faults())
            meant += outcome.meant()
    print(f"{said} answers compared, {faults} differ; as meant {meant.total()}:\n{summed(KINDS, meant)}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
