"""Do stock `saslauthd -a ldap` and our daemon, given the same saslauthd.conf, answer alike? python -m tests.interop.ldap_differential

A slapd, and for each of the configurations both daemons and the same few hundred logins to both sockets. Differences of the kinds that
ldap_differences.py lists are counted; any other is a fault, and told with both answers, together with those like it. `--beside stock` puts
a second stock daemon in our place: then nothing may differ.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.bench import stock
from tests.interop import directory_tree as tree
from tests.interop.addresses import free_ports
from tests.interop.daemon import GROUP, USER, Daemon, listener, searchable
from tests.interop.differing import Difference, summed, told_faults
from tests.interop.ldap_differences import KINDS, Kind, Seen, kind_of
from tests.interop.ldap_logins import USERS, Attempt, attempts
from tests.interop.mux import exchange
from tests.interop.slapd import Slapd, slapd

CLIENTS = 32
"""Logins at once: an outage is told a second after its request at the earliest."""

_OURS = """\
{listener}
[backend.directory]
type = "ldap"
saslauthd_conf = "{saslauthd_conf}"

[[route]]
realm = "*"
backends = ["directory"]
ignore_realm = true

[server]
user = "{user}"
group = "{group}"

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

[identity]
default_realm = "{default_realm}"
"""
"""A default realm is for all backends: of a saslauthd.conf's keys the one that belongs elsewhere, as a note says."""


@dataclass(frozen=True, slots=True)
class Configuration:
    """A saslauthd.conf. `fails`: with it the original accepts nobody."""

    name: str
    text: str
    fails: bool = False

    @property
    def keys(self) -> dict[str, str]:
        """Its keys, without their `ldap_`, and their values."""
        return dict(line.removeprefix("ldap_").split(": ", 1) for line in self.text.splitlines())


@dataclass(frozen=True, slots=True)
class Outcome:
    """All logins of one configuration. `told`: the answers of the first daemon."""

    configuration: Configuration
    told: Counter[str]
    differences: tuple[Difference[Attempt], ...]

    def meant(self) -> Counter[str]:
        """How many differences there are of each kind that is meant."""
        kinds = (self._kind(difference) for difference in self.differences)
        return Counter(kind.name for kind in kinds if kind is not None)

    def faults(self) -> list[Difference[Attempt]]:
        """The others."""
        return [difference for difference in self.differences if self._kind(difference) is None]

    def _kind(self, difference: Difference[Attempt]) -> Kind | None:
        answers = difference.one, difference.other
        return kind_of(Seen(self.configuration.keys, self.configuration.fails, difference.attempt, answers))


Start = Callable[[Path, Configuration], AbstractContextManager[Path]]
"""Starts a daemon in a new directory with a saslauthd.conf, and gives its socket."""


def configurations(server: Slapd) -> tuple[Configuration, ...]:
    """Each way in which the original asks a directory, those of its keys that change an answer among them."""
    (dead,) = free_ports(1)
    people = {"servers": server.ldap, "bind_dn": server.service, "password": server.service_password, "search_base": tree.PEOPLE}
    member = {"group_attr": "member", "group_dn": f"cn=mail,{tree.GROUPS}"}
    found = {"group_match_method": "filter", "group_search_base": tree.GROUPS}
    fast = {"auth_method": "fastbind", "filter": f"uid=%u,{tree.PEOPLE}"}
    trusting = {"tls_cacert_file": str(server.ca), "tls_check_peer": "yes"}
    kinds: dict[str, Mapping[str, str]] = {
        "defaults": {},
        "login and realm": {"filter": "(mail=%u@%r)"},
        "user and domain": {"filter": "(mail=%U@%d)"},
        "login and @realm": {"filter": "(mail=%u%R)"},
        "labels of the realm": {"filter": "(mail=%U@%2.%1)"},
        "a default realm": {"filter": "(mail=%u@%r)", "default_realm": tree.DOMAIN},
        "a whole filter": {"filter": "(&(objectClass=inetOrgPerson)(|(uid=%u)(mail=%u))(!(sn=nobody)))"},
        "two people of one name": {"search_base": tree.BASE},
        "one level": {"scope": "one"},
        "realm in the base": {"search_base": "dc=%2,dc=%1"},
        "service in the filter": {"filter": "(&(uid=%u)(!(cn=%s)))"},
        "StartTLS": {"start_tls": "yes", **trusting},
        "StartTLS, written otherwise": {"start_tls": "Yes", **trusting},
        "ldaps": {"servers": server.ldaps, **trusting},
        "ldapi": {"servers": server.ldapi},
        "the second server": {"servers": f"ldap://127.0.0.1:{dead}/ {server.ldap}"},
        "member of a group": member,
        "unique member of a group": {"group_dn": f"cn=unique,{tree.GROUPS}"},
        "a filter finds the group": {**found, "group_filter": "(&(cn=posixmail)(memberUid=%u))"},
        "a filter finds groups": {**found, "group_filter": "(memberUid=%u)"},
        "a filter finds groups by DN": {**found, "group_filter": "(member=%D)"},
        "fastbind": fast,
        "fastbind and a group": {**fast, **member},
        "custom": {"auth_method": "custom", "bind_dn": server.admin, "password": server.admin_password},
    }
    failing: dict[str, Mapping[str, str]] = {
        "nobody listens": {"servers": f"ldap://127.0.0.1:{dead}/"},
        "another CA": {"servers": server.ldaps, **trusting, "tls_cacert_file": str(server.other_ca)},
        "another password for the service": {"password": "wrong"},
        "nobody searches": {"bind_dn": "", "password": ""},
        "a group's filter without its method": {"group_search_base": tree.GROUPS, "group_filter": "(memberUid=%u)"},
        "no such base": {"search_base": f"ou=nowhere,{tree.BASE}"},
    }
    return (
        *(Configuration(name, _written({**people, **keys})) for name, keys in kinds.items()),
        *(Configuration(name, _written({**people, **keys}), fails=True) for name, keys in failing.items()),
    )


def _written(keys: Mapping[str, str]) -> str:
    return "".join(f"ldap_{key}: {value}\n" for key, value in keys.items() if value)


def compare(configuration: Configuration, sockets: Sequence[Path], logins: Sequence[Attempt]) -> Outcome:
    """Every login to both sockets, one after the other at each, CLIENTS of them at once."""

    def asked(attempt: Attempt) -> tuple[str, str]:
        one, other = (_answer(path, attempt) for path in sockets)
        return one, other

    with ThreadPoolExecutor(CLIENTS) as clients:
        answers = list(clients.map(asked, logins))
    differing = (Difference(attempt, *both) for attempt, both in zip(logins, answers, strict=True) if both[0] != both[1])
    return Outcome(configuration, Counter(one for one, _ in answers), tuple(differing))


def _answer(path: Path, attempt: Attempt) -> str:
    try:
        answer = exchange(path, attempt.encoded())
    except OSError as error:  # silence too long, or a connection that was reset
        return type(error).__name__
    return answer[2:4].decode("latin-1") if answer else "closed"


@contextmanager
def stock_with(directory: Path, configuration: Configuration) -> Iterator[Path]:
    """Stock saslauthd."""
    with stock.started_ldap(str(directory), configuration.text) as daemon:
        yield Path(daemon.socket)


@contextmanager
def ours_with(directory: Path, configuration: Configuration) -> Iterator[Path]:
    """Our daemon, which reads the same file."""
    directory.mkdir()
    directory.chmod(0o755)
    saslauthd_conf, toml, mux = (directory / name for name in ("saslauthd.conf", "saslauthd-py.toml", "mux"))
    saslauthd_conf.touch(0o600)
    saslauthd_conf.write_text(configuration.text)
    if os.geteuid() == 0:
        shutil.chown(saslauthd_conf, USER, GROUP)
    names = {"user": USER, "group": GROUP, "directory": directory, "default_realm": configuration.keys.get("default_realm", "")}
    toml.write_text(_OURS.format(listener=listener(mux), saslauthd_conf=saslauthd_conf, **names))
    daemon = Daemon(toml)
    daemon.start()
    try:
        yield mux
    finally:
        daemon.stop()


BESIDE: dict[str, Start] = {"ours": ours_with, "stock": stock_with}


def run(directory: Path, beside: Start, number: int, seed: int) -> Iterator[Outcome]:
    """One outcome for each configuration: the plain logins and `number` more, or a tenth of that where none can be accepted."""
    with slapd(directory / "slapd", USERS) as server:
        for turn, configuration in enumerate(configurations(server)):
            logins = list(attempts(seed + turn, number // 10 if configuration.fails else number))
            place = directory / f"{turn}"
            place.mkdir()
            place.chmod(0o755)
            with stock_with(place / "stock", configuration) as one, beside(place / "other", configuration) as other:
                yield compare(configuration, (one, other), logins)


def told(outcome: Outcome) -> str:
    """The outcome as lines: the sums, what differs as it is meant, then each group of other differences that are alike, with examples."""
    counts = ", ".join(f"{count} {answer}" for answer, count in sorted(outcome.told.items()))
    faults = outcome.faults()
    lines = [f"{outcome.configuration.name}: {outcome.told.total()} logins, stock says {counts}; {len(faults)} differ"]
    lines += [f"    {count} x as meant: {name}" for name, count in outcome.meant().items()]
    return "\n".join((*lines, *told_faults(faults)))


def main() -> int:
    """0 where nothing differs that should not."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--beside", choices=BESIDE, default="ours", help="whom to put beside stock (default: %(default)s)")
    parser.add_argument("--logins", type=int, default=300, help="for each configuration, beside the plain ones (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of the logins (default: %(default)s)")
    arguments = parser.parse_args()
    logins = faults = 0
    meant: Counter[str] = Counter()
    with searchable(Path("/run")) as directory:
        for outcome in run(directory, BESIDE[arguments.beside], arguments.logins, arguments.seed):
            print(told(outcome), flush=True)
            logins += outcome.told.total()
            faults += len(outcome.faults() if arguments.beside == "ours" else outcome.differences)
            meant += outcome.meant()
    print(f"{logins} logins, {faults} differ; as meant {meant.total()}:\n{summed(KINDS, meant)}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
