"""A snapshot of a made-up daemon, and the way back from the text."""

from __future__ import annotations

from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from saslauthd_py.identity import Identity
from saslauthd_py.metrics import Counters, Where
from saslauthd_py.metrics.families import text
from saslauthd_py.metrics.process import Process
from saslauthd_py.metrics.snapshot import Comparison, Pool, Requests, Snapshot, Turns
from saslauthd_py.verdict import Accepted, Reason, Rejected, Unavailable, UnknownUser

MUX, PWCHECK, AUTH = "/run/saslauthd/mux", "/run/pwcheck/pwcheck", "127.0.0.1:12345"


def busy() -> Counters:
    """A daemon of three listeners that has seen everything there is."""
    counters, alice = Counters(), Identity("alice", "example.test")
    counters.serves(MUX, "saslauthd")
    counters.serves(PWCHECK, "pwcheck")
    counters.serves(AUTH, "dovecot")
    counters.inline_cell(MUX, "users")[0] += 1000
    for mechanism in ("PLAIN", "SCRAM-SHA-256"):
        counters.decided(Accepted(alice), 0.03, Where(AUTH, "hosted", mechanism=mechanism))
    counters.decided(Accepted(alice), 0.001, Where(AUTH, "hosted", cached=True, mechanism="PLAIN"))
    counters.decided(Rejected(Reason.WRONG_SECRET), 0.03, Where(AUTH, "hosted", mechanism="SCRAM-SHA-256"))
    counters.decided(Accepted(alice), 0.03, Where(MUX, "users"))
    counters.decided(Accepted(alice), 0.0001, Where(PWCHECK, "users", cached=True))
    for reason in Reason:
        counters.decided(Rejected(reason), 0.02, Where(MUX, "" if reason is Reason.NO_ROUTE else "system"))
    counters.decided(UnknownUser(), 0.02, Where(MUX, "system"))
    counters.decided(Unavailable("down"), 11.0, Where(MUX, "system"))
    counters.decided(Unavailable("too many", limited=True), 0.0, Where(MUX))
    counters.refused_at[MUX] += 3
    counters.incomplete_at[PWCHECK] += 4
    counters.faults += 1
    return counters


def snapshot(counters: Counters) -> Snapshot:
    return Snapshot(
        requests=Requests.of(counters),
        backends={"users": Turns(64, 3, 0), "system": Turns(4, 4, 17)},
        hashing=Turns(2, 2, 5),
        failing={"users": 0, "system": 6},
        readable={"users": True},
        workers={"system": Pool(1, 3, 20, 2)},
        proofs=123,
        most_proofs=100000,
        limits={"account": 5, "pair": 0},
        tickets=42,
        connections={"incomplete": 7, "whole": 9},
        most_connections=10000,
        lines_dropped=11,
        generation=3,
        reload_failed=True,
        compared={"old": Comparison(31, 2, 5, 7)},
    )


def families(page: bytes) -> dict[str, Metric]:
    """What a Prometheus client reads out of a page."""
    return {family.name: family for family in text_string_to_metric_families(page.decode())}


def samples(page: bytes) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Every number by its name and labels."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value for family in families(page).values() for sample in family.samples
    }


def number(page: bytes, name: str, **labels: str) -> float:
    """One number, of our own names."""
    return samples(page)[f"saslauthd_py_{name}", frozenset(labels.items())]


def page(counters: Counters) -> bytes:
    return text(snapshot(counters), Process())
