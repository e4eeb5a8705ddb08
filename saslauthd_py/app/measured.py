"""The daemon as Prometheus is told of it: every number read where it is kept, at one moment."""

from __future__ import annotations

from saslauthd_py.app.operations import Run, Serving
from saslauthd_py.hashing import Hashing
from saslauthd_py.metrics.snapshot import Comparison, Pool, Requests, Snapshot, Turns
from saslauthd_py.queue import Queue
from saslauthd_py.routing import Compared
from saslauthd_py.workers import Workers


def measured(run: Run, serving: Serving, *, lines_dropped: int, reload_failed: bool) -> Snapshot:
    """As it is now. Called on the loop. `serving` is the configuration that new requests meet."""
    parts, admission = serving.parts, run.shared.admission
    whole = run.connections.whole()
    return Snapshot(
        requests=Requests.of(run.counters),
        backends={name: _turns(member.queue) for name, member in parts.members.items()},
        hashing=_turns(run.shared.hashing),
        failing={name: member.health.failing for name, member in parts.members.items() if member.compared is None},
        readable={name: name not in parts.cache.unreadable for name, member in parts.members.items() if member.watched is not None},
        workers={name: _pool(workers) for name, workers in serving.resources.workers.items()},
        proofs=len(parts.cache.proofs),
        most_proofs=parts.cache.most,
        limits=admission.refused(),
        tickets=admission.tickets(),
        connections={"incomplete": len(run.connections) - whole, "whole": whole},
        most_connections=min(serving.settings.server.max_connections, run.descriptors),
        lines_dropped=lines_dropped,
        generation=serving.number,
        reload_failed=reload_failed,
        compared={name: _comparison(member.compared) for name, member in parts.members.items() if member.compared is not None},
    )


def _turns(queue: Queue | Hashing) -> Turns:
    return Turns(queue.places, *queue.counts())


def _comparison(compared: Compared) -> Comparison:
    return Comparison(compared.alike, compared.different, compared.unanswered, compared.left_out)


def _pool(workers: Workers) -> Pool:
    return Pool(*workers.counts(), workers.used_up, workers.failed)
