"""A good login while many wrong ones are under way: real PAM, pam_unix with its own delay of 2 s on, beside stock saslauthd.

All wrong secrets are distinct and presented at once, each by a client of its own; a moment later the good account logs in, one login
after the other, until the last of them is answered.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from itertools import count
from statistics import median
from string import digits

from saslauthd_py.config.settings.admission import AdmissionSettings
from tests.bench import ours, stock
from tests.bench.asking import Answer, Outcome, ask
from tests.bench.bench import SECRET, SHA512CRYPT, YESCRYPT, Bench, Daemon
from tests.bench.failures import BenchError
from tests.bench.report import Budget, Row, Section, at_most
from tests.bench.system import machine, system_login
from tests.interop.pam_machine import PamMachine


@dataclass(frozen=True, slots=True)
class Scheme:
    """What the accounts' passwords are stored as, and how many wrong ones are presented at once."""

    stored: str
    wrong: int


SCHEMES = {"sha512crypt": Scheme(SHA512CRYPT, 200), "yescrypt": Scheme(YESCRYPT, 100)}
"""The first is meant where none is named. Of the dearer one, no more than PAM can judge within the daemon's deadline on two cores."""

_FEW = 20
"""Wrong ones for the stock daemon, in each round."""

_QUIET = 50
"""Good logins with nothing beside them, in each round."""

_HEAD_START = 0.2
"""Seconds from the first wrong secret to the first good login."""

_GOOD = "good"
_OTHER = "other"

OURS_QUIET, STOCK_QUIET = "ours, nothing else", "stock, nothing else"
OURS_ONE, OURS_MANY = "ours, all for that account", "ours, each for another account"
STOCK_FEW, STOCK_ONE = "stock, few for that account", "stock, all for that account"
_COLUMNS = ("wrong", "NO", "closed", "seen by pam_unix", "last after s", "good OK", "first ms", "median ms", "worst ms")
"""The first good login is sent into the thick of them, the later ones while answers are held back."""


@dataclass(frozen=True, slots=True)
class Trial:
    """What became of the wrong ones, and of the good logins beside them. `seen`: pam_unix has logged as many failures as were told NO."""

    wrong: tuple[Answer, ...]
    good: tuple[Answer, ...]
    seen: bool = True


def run(bench: Bench) -> Iterator[Section]:
    """Without limits, beside the peer; and as admission comes. One round leaves out what takes the peer long: 80 s for 200 wrong ones."""
    yield section(_trials(bench), bench.scheme)
    with ExitStack() as stack:
        site = _ours(bench, stack, "")
        bench.say("flood: with the default admission")
        yield limited_section(site.flood([_GOOD] * SCHEMES[bench.scheme].wrong), bench.scheme)


def _trials(bench: Bench) -> dict[str, list[Trial]]:
    trials: dict[str, list[Trial]] = {}

    def add(name: str, trial: Trial) -> None:
        trials.setdefault(name, []).append(trial)

    wrong = SCHEMES[bench.scheme].wrong
    with ExitStack() as stack:
        own, peer = _ours(bench, stack, ours.UNLIMITED), _stock(bench, stack)
        for number in range(1, bench.rounds + 1):
            bench.say(f"flood: round {number} of {bench.rounds}, ours")
            add(OURS_QUIET, own.quiet())
            add(OURS_ONE, own.flood([_GOOD] * wrong))
            add(OURS_MANY, own.flood(_others(wrong)))
            bench.say(f"flood: round {number} of {bench.rounds}, stock")
            add(STOCK_QUIET, peer.quiet())
            add(STOCK_FEW, peer.flood([_GOOD] * _FEW))
        if bench.rounds > 1:
            bench.say(f"flood: stock, {wrong} wrong ones")
            add(STOCK_ONE, peer.flood([_GOOD] * wrong))
    return trials


def _ours(bench: Bench, stack: ExitStack, sections: str) -> _Site:
    made = stack.enter_context(machine(bench.directory, _accounts(bench)))
    return _Site(stack.enter_context(ours.started(ours.install_in(made, "pam", sections))), made)


def _stock(bench: Bench, stack: ExitStack) -> _Site:
    made = stack.enter_context(machine(bench.directory, _accounts(bench)))
    return _Site(stack.enter_context(stock.started_in(made)), made)


def _accounts(bench: Bench) -> dict[str, str]:
    scheme = SCHEMES[bench.scheme]
    return dict.fromkeys([_GOOD, *_others(scheme.wrong)], scheme.stored)


def _others(number: int) -> list[str]:
    return [f"{_OTHER}{one}" for one in range(number)]


class _Site:
    """A daemon in its machine, where the good account has logged in once."""

    def __init__(self, daemon: Daemon, made: PamMachine) -> None:
        self._daemon = daemon
        self._machine = made
        self._numbers = count()
        self._told_no: Counter[str] = Counter()
        if self._log_in().outcome is not Outcome.OK:
            raise BenchError(f"{daemon.name}: PAM does not accept a good login")

    def quiet(self) -> Trial:
        return Trial((), tuple(self._log_in() for _ in range(_QUIET)))

    def flood(self, names: Sequence[str]) -> Trial:
        """A wrong secret for each of the names, all at once."""
        requests = [system_login(name, f"{next(self._numbers):0{len(SECRET)}d}") for name in names]
        good: list[Answer] = []
        with ThreadPoolExecutor(len(requests)) as pool:
            pending = [pool.submit(ask, self._daemon.socket, request) for request in requests]
            time.sleep(_HEAD_START)
            while not (good and all(one.done() for one in pending)):
                good.append(self._log_in())
        wrong = tuple(one.result() for one in pending)
        return Trial(wrong, tuple(good), self._seen(names[0].rstrip(digits), wrong))

    def _log_in(self) -> Answer:
        return ask(self._daemon.socket, system_login(_GOOD, SECRET))

    def _seen(self, word: str, wrong: Sequence[Answer]) -> bool:
        self._told_no[word] += sum(answer.outcome is Outcome.NO for answer in wrong)
        try:
            self._machine.logged("pam_unix(smtp:auth): authentication failure", f"user={word}", count=self._told_no[word])
        except AssertionError:
            return False
        return True


def section(trials: Mapping[str, Sequence[Trial]], scheme: str) -> Section:
    """Rounds are taken together: the median is that of all their good logins."""
    limit = 2 * _median(trials[OURS_QUIET]) + 0.050
    rows = []
    for name, some in trials.items():
        budgeted = name in (OURS_ONE, OURS_MANY)
        text = f"<= 2 x quiet + 50 ms = {limit * 1e3:.0f}"
        rows.append(_row(name, some, Budget(text, _median(some) <= limit) if budgeted else None))
    faults = [fault for name, some in trials.items() for fault in _faults(name, some, {Outcome.NO})]
    return Section(f"a good login, PAM, {scheme}, admission off", _COLUMNS, tuple(rows), _figures(trials), ", ".join(faults))


def limited_section(trial: Trial, scheme: str) -> Section:
    """One flood for the good account, with admission as it comes: what is over the account's limit is told nothing (rules D2, D3)."""
    rate = AdmissionSettings().per_account
    budget = at_most(_count([trial], Outcome.NO), rate.count + 1, " NO") if rate else None  # one token more comes back within 20 s
    faults = ", ".join(_faults(OURS_ONE, [trial], {Outcome.NO, Outcome.CLOSED}))
    figures = _figures({OURS_ONE: [trial]})
    return Section(f"a good login, PAM, {scheme}, default admission", _COLUMNS, (_row(OURS_ONE, [trial], budget),), figures, faults)


def _row(name: str, trials: Sequence[Trial], budget: Budget | None) -> Row:
    good = [answer for trial in trials for answer in trial.good]
    cells = ("", "", "", "", "")
    if any(trial.wrong for trial in trials):
        cells = (
            f"{len(trials)} x {len(trials[0].wrong)}",
            str(_count(trials, Outcome.NO)),
            str(_count(trials, Outcome.CLOSED)),
            "all" if all(trial.seen for trial in trials) else "not all",
            f"{max(answer.seconds for trial in trials for answer in trial.wrong):.1f}",
        )
    accepted = sum(answer.outcome is Outcome.OK for answer in good)
    times = median(trial.good[0].seconds for trial in trials), _median(trials), max(answer.seconds for answer in good)
    return Row(name, (*cells, f"{accepted} of {len(good)}", *(f"{seconds * 1e3:,.1f}" for seconds in times)), budget)


def _median(trials: Sequence[Trial]) -> float:
    return median(answer.seconds for trial in trials for answer in trial.good)


def _count(trials: Sequence[Trial], outcome: Outcome) -> int:
    return sum(answer.outcome is outcome for trial in trials for answer in trial.wrong)


def _faults(name: str, trials: Sequence[Trial], allowed: set[Outcome]) -> Iterator[str]:
    if refused := sum(answer.outcome is not Outcome.OK for trial in trials for answer in trial.good):
        yield f"{name}: {refused} good logins were not answered OK"
    if odd := sum(answer.outcome not in allowed for trial in trials for answer in trial.wrong):
        yield f"{name}: {odd} wrong secrets were not answered {' or '.join(sorted(allowed))}"
    if not all(trial.seen for trial in trials):
        yield f"{name}: pam_unix has not logged each NO"


def _figures(trials: Mapping[str, Sequence[Trial]]) -> dict[str, list[dict[str, object]]]:
    return {name: [asdict(trial) for trial in some] for name, some in trials.items()}
