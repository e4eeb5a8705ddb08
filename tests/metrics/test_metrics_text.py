"""The page, read back as Prometheus reads it: names, numbers, and how many series there may ever be."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from saslauthd_py.identity import Identity
from saslauthd_py.metrics import Counters, Where
from saslauthd_py.metrics.counters import BOUNDS, OUTCOMES
from saslauthd_py.metrics.process import Process
from saslauthd_py.verdict import Accepted, Reason, Rejected, Verdict
from tests.metrics.snapshots import AUTH, MUX, PWCHECK, busy, families, number, page, samples

COUNTERS = {
    "requests": ("protocol", "listener", "verdict", "reason"),
    "backend_requests": ("backend", "verdict", "reason"),
    "mechanism_requests": ("listener", "mechanism", "verdict"),
    "cache_hits": ("by",),
    "cache_misses": (),
    "admission_refused": ("limit",),
    "workers_ended": ("backend", "how"),
    "compared": ("backend", "result"),
    "log_lines_dropped": (),
    "faults": (),
}
GAUGES = {
    "build_info": ("version", "python"),
    "backend_places": ("backend",),
    "backend_calls": ("backend",),
    "backend_waiting": ("backend",),
    "backend_failing": ("backend",),
    "backend_readable": ("backend",),
    "workers": ("backend", "state"),
    "hash_places": (),
    "hash_running": (),
    "hash_waiting": (),
    "cache_entries": (),
    "cache_max_entries": (),
    "admission_tickets": (),
    "connections": ("state",),
    "max_connections": (),
    "configuration_generation": (),
    "configuration_reload_failed": (),
}


def test_names_kinds_and_labels_are_what_rules_and_dashboards_rely_on() -> None:
    found = families(page(busy()))
    ours = {name.removeprefix("saslauthd_py_"): family for name, family in found.items() if name.startswith("saslauthd_py_")}
    assert {name for name, family in ours.items() if family.type == "counter"} == set(COUNTERS)
    assert {name for name, family in ours.items() if family.type == "gauge"} == set(GAUGES)
    assert [name for name, family in ours.items() if family.type == "histogram"] == ["request_duration_seconds"]
    for name, labels in {**COUNTERS, **GAUGES}.items():
        assert ours[name].documentation
        assert {tuple(sample.labels) for sample in ours[name].samples} == {tuple(sorted(labels))}, name


def test_numbers_are_those_that_were_counted() -> None:
    text = page(busy())
    assert number(text, "requests_total", protocol="saslauthd", listener=MUX, verdict="accepted", reason="") == 1001
    assert number(text, "requests_total", protocol="pwcheck", listener=PWCHECK, verdict="accepted", reason="") == 1
    assert number(text, "requests_total", protocol="saslauthd", listener=MUX, verdict="unavailable", reason="limit") == 1
    assert number(text, "requests_total", protocol="saslauthd", listener=MUX, verdict="refused", reason="") == 3
    assert number(text, "requests_total", protocol="pwcheck", listener=PWCHECK, verdict="incomplete", reason="") == 4
    assert number(text, "requests_total", protocol="dovecot", listener=AUTH, verdict="accepted", reason="") == 3
    assert number(text, "mechanism_requests_total", listener=AUTH, mechanism="PLAIN", verdict="accepted") == 2
    assert number(text, "mechanism_requests_total", listener=AUTH, mechanism="SCRAM-SHA-256", verdict="rejected") == 1
    assert number(text, "backend_requests_total", backend="users", verdict="accepted", reason="") == 1002
    assert number(text, "backend_requests_total", backend="system", verdict="rejected", reason="locked") == 1
    assert number(text, "backend_requests_total", backend="system", verdict="unavailable", reason="outage") == 1
    assert number(text, "cache_hits_total", by="loop") == 1000
    assert number(text, "cache_hits_total", by="task") == 2
    assert number(text, "cache_misses_total") == len(Reason) + 4
    assert number(text, "backend_waiting", backend="system") == 17
    assert number(text, "backend_readable", backend="users") == 1
    assert number(text, "compared_total", backend="old", result="alike") == 31
    assert number(text, "compared_total", backend="old", result="different") == 2
    assert number(text, "compared_total", backend="old", result="unanswered") == 5
    assert number(text, "compared_total", backend="old", result="left-out") == 7
    assert number(text, "backend_failing", backend="system") == 6
    assert number(text, "workers", backend="system", state="busy") == 3
    assert number(text, "workers_ended_total", backend="system", how="failed") == 2
    assert number(text, "workers_ended_total", backend="system", how="used-up") == 20
    assert number(text, "admission_refused_total", limit="account") == 5
    assert number(text, "connections", state="incomplete") == 7
    assert number(text, "log_lines_dropped_total") == 11
    assert number(text, "configuration_reload_failed") == 1


def test_what_has_not_happened_yet_is_there_as_zero_so_that_its_first_time_is_an_increase() -> None:
    counters = Counters()
    counters.serves(MUX, "saslauthd")
    text = page(counters)
    outcomes = [*OUTCOMES, ("refused", ""), ("incomplete", "")]
    for verdict, reason in outcomes:
        assert number(text, "requests_total", protocol="saslauthd", listener=MUX, verdict=verdict, reason=reason) == 0
    for verdict, reason in OUTCOMES:
        assert number(text, "backend_requests_total", backend="system", verdict=verdict, reason=reason) == 0


def test_histogram_is_cumulative_and_its_count_is_that_of_the_requests() -> None:
    text = page(busy())
    buckets = {
        dict(labels)["le"]: value
        for (name, labels), value in samples(text).items()
        if name == "saslauthd_py_request_duration_seconds_bucket" and {("backend", "users"), ("verdict", "accepted")} <= labels
    }
    assert list(buckets) == [*map(str, BOUNDS), "+Inf"]
    assert list(buckets.values()) == sorted(buckets.values())
    assert (buckets["0.0005"], buckets["0.025"], buckets["0.05"], buckets["+Inf"]) == (1001, 1001, 1002, 1002)
    assert number(text, "request_duration_seconds_count", backend="users", verdict="accepted") == 1002
    assert number(text, "request_duration_seconds_sum", backend="users", verdict="accepted") == pytest.approx(0.0301)
    assert number(text, "request_duration_seconds_bucket", backend="system", verdict="unavailable", le="10.0") == 0
    assert number(text, "request_duration_seconds_bucket", backend="system", verdict="unavailable", le="+Inf") == 1


def test_sums_over_labels_agree() -> None:
    found = samples(page(busy()))

    def total(name: str, *verdicts: str) -> float:
        return sum(value for (one, labels), value in found.items() if one == f"saslauthd_py_{name}" and dict(labels)["verdict"] in verdicts)

    for verdict in ("accepted", "rejected", "unavailable"):
        assert total("requests_total", verdict) == total("request_duration_seconds_count", verdict)
    nobody_was_asked = 2  # no route, and over a limit
    every_verdict = ("accepted", "rejected", "unavailable")
    assert total("backend_requests_total", *every_verdict) == total("requests_total", *every_verdict) - nobody_was_asked


def test_users_make_no_series() -> None:
    counters = busy()
    before = samples(page(counters)).keys()
    for user in range(1000):
        counters.decided(Accepted(Identity(f"user{user}", "example.test")), 0.1, Where(MUX, "users"))
    text = page(counters)
    assert samples(text).keys() == before
    assert b"user1" not in text


def test_series_are_bounded_by_listeners_and_backends() -> None:
    counters, listeners, backends = Counters(), [f"/run/{number}" for number in range(10)], ["users", "system"]
    for listener in listeners:
        counters.serves(listener, "saslauthd")
    verdicts: list[Verdict] = [Accepted(Identity("alice", "")), *map(Rejected, Reason)]
    for verdict in verdicts:
        for listener in listeners:
            for backend in backends:
                for cached in (True, False):
                    counters.decided(verdict, 0.1, Where(listener, backend, cached))
                counters.inline_cell(listener, backend)
    found = samples(page(counters))
    per_listener = len(OUTCOMES) + 2
    assert sum(name == "saslauthd_py_requests_total" for name, _ in found) == len(listeners) * per_listener
    assert sum(name == "saslauthd_py_backend_requests_total" for name, _ in found) == len(backends) * len(OUTCOMES)
    histograms = sum(name.startswith("saslauthd_py_request_duration") for name, _ in found)
    assert histograms == len(backends) * 2 * (len(BOUNDS) + 3)


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_any_path_of_a_listener_is_read_back(path: str) -> None:
    counters = Counters()
    counters.serves(f"/{path}", "saslauthd")
    text = page(counters)
    listeners = {dict(labels)["listener"] for name, labels in samples(text) if name == "saslauthd_py_requests_total"}
    assert listeners == {f"/{path}"}


def test_usual_names_of_the_process_are_there() -> None:
    found = {name: value for (name, _), value in samples(page(busy())).items() if name.startswith("process_")}
    assert set(found) == {
        "process_cpu_seconds_total",
        "process_start_time_seconds",
        "process_max_fds",
        "process_open_fds",
        "process_threads",
        "process_resident_memory_bytes",
        "process_virtual_memory_bytes",
    }
    assert 1 << 20 < found["process_resident_memory_bytes"] < found["process_virtual_memory_bytes"]
    assert 3 <= found["process_open_fds"] <= found["process_max_fds"]
    assert found["process_threads"] >= 1


def test_start_of_the_process_is_that_of_proc() -> None:
    boot = next(float(line.split()[1]) for line in Path("/proc/stat").read_text().splitlines() if line.startswith("btime "))
    ticks = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
    found = next(family for family in Process().collect() if family.name == "process_start_time_seconds")
    assert found.samples[0].value == pytest.approx(boot + ticks / 100, abs=2)


def test_what_proc_hides_is_left_out(tmp_path: Path) -> None:
    assert [family.name for family in Process(tmp_path).collect()] == ["process_cpu_seconds", "process_max_fds"]


@pytest.mark.peer("promtool")
def test_promtool_has_nothing_to_say_of_the_page() -> None:
    done = subprocess.run(["promtool", "check", "metrics"], input=page(busy()), capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
