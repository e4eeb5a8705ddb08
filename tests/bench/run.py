"""`python tests/bench/run.py`: our daemon against the budgets, beside stock saslauthd and Dovecot. Linux; comparisons need root."""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict

# Last, so that an installed saslauthd_py is the one that is measured.
sys.path.append(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from tests.bench import causes, compare, dovecot, flood, growth, hotspots, importing, ldap, stalls, starting
from tests.bench.bench import Bench
from tests.bench.failures import BenchError
from tests.bench.generator import Generator
from tests.bench.report import Section, render

SCENARIOS: dict[str, Callable[[Bench], Iterator[Section]]] = {
    "compare": compare.run,
    "dovecot": dovecot.run,
    "ldap": ldap.run,
    "stalls": stalls.run,
    "flood": flood.run,
    "causes": causes.run,
    "memory": growth.run,
    "start": starting.run,
    "import": importing.run,
}

_TRIES = "; ".join(f"{tries:,} for {subject}" for subject, tries in causes.TRIES.items())
_DIRECTORY = tempfile.gettempdir() if os.geteuid() else "/var/lib"
"""As root, one whose whole path only root can write, as on a real site."""


def main(arguments: Sequence[str] | None = None) -> int:
    """0 when everything was measured, even what is short; 1 when a section is void; 69 when nothing can be measured."""
    options = _options().parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))  # by way of every `finally`, so that no daemon stays behind
    directory = tempfile.mkdtemp(prefix="saslauthd-py-bench-", dir=options.directory)
    os.chmod(directory, 0o755)  # noqa: S103 - the daemon's user passes through it
    sections: list[Section] = []
    try:
        amounts = (options.identities, options.rounds, options.requests, options.tries)
        bench = Bench(directory, Generator(directory), *amounts, options.scheme, _say)
        for section in _sections(bench, options):
            sections.append(section)
            _say("")
            print(render(section), flush=True)
    except BenchError as error:
        _say("")
        print(f"bench: {error}", file=sys.stderr)
        return 69
    finally:
        if not options.keep:
            shutil.rmtree(directory)
        if options.json:
            _save(options, sections)
    return _conclude(sections)


def _sections(bench: Bench, options: argparse.Namespace) -> Iterator[Section]:
    for name in options.only or ([] if options.profile else SCENARIOS):
        yield from SCENARIOS[name](bench)
    if options.profile:
        yield hotspots.run(bench, options.profile)


def _conclude(sections: list[Section]) -> int:
    for section in sections:
        if section.void:
            print(f"VOID: {section.title}: {section.void}")
        if section.short:
            print(f"short of its budget: {section.title}: {', '.join(section.short)}")
    return 1 if any(section.void for section in sections) else 0


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    add = parser.add_argument
    add("--only", type=_scenarios, metavar="LIST", help=f"of {','.join(SCENARIOS)} (default: all)")
    add("--rounds", type=int, default=5, help="runs of each kind, turn about (default: %(default)s)")
    add(
        "--requests",
        type=int,
        default=100_000,
        help="in one run of a comparison, a quarter with one client and with LDAP, twice as many with Dovecot (default: %(default)s)",
    )
    add("--identities", type=int, default=10_000, help="accounts that log in (default: %(default)s)")
    add("--tries", type=float, default=1.0, metavar="PART", help=f"of the tries a cause: {_TRIES} (default: %(default)s)")
    add("--scheme", choices=flood.SCHEMES, default=next(iter(flood.SCHEMES)), help="of the passwords in the flood (default: %(default)s)")
    add(
        "--profile",
        type=int,
        nargs="?",
        const=8,
        metavar="CLIENTS",
        help="only where our time goes, or after what --only names (default: 8)",
    )
    add("--json", metavar="FILE", help="everything that was measured, for a program")
    add("--directory", metavar="DIR", default=_DIRECTORY, help="where to make stores and sockets (default: %(default)s)")
    add("--keep", action="store_true", help="leave them there")
    return parser


def _scenarios(text: str) -> list[str]:
    names = text.split(",")
    if unknown := set(names) - set(SCENARIOS):
        raise argparse.ArgumentTypeError(f"no such scenario: {', '.join(sorted(unknown))}")
    return names


def _say(text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)


def _save(options: argparse.Namespace, sections: list[Section]) -> None:
    machine = {"cores": os.cpu_count(), "kernel": platform.release(), "python": platform.python_version()}
    found = {"machine": machine, "options": vars(options), "sections": [asdict(section) for section in sections]}
    with open(options.json, "w") as file:
        json.dump(found, file, indent=1)


if __name__ == "__main__":
    sys.exit(main())
