"""Services without a file of their own in /etc/pam.d: libpam asks `other` for them, and so the original did; here that is said in words."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import replace

from saslauthd_py.config.legacy.mechanisms import Backend
from saslauthd_py.config.legacy.saslauthd_lines import Note
from saslauthd_py.config.settings import PamSettings

OTHER = "other"
"""libpam's file for all services that have none."""

SERVICES: tuple[str, ...] = PamSettings.model_fields["services"].default
"""The services that a backend is asked for where nothing else is said."""


def with_other(backend: Backend, own: Set[str]) -> Backend:
    """The backend of -a pam, where `own` of SERVICES have their file, and there is an `other`."""
    if own >= set(SERVICES):
        return backend
    note = Note(
        None,
        "-a",
        "services without their own file in /etc/pam.d are asked of its `other`, as by the original: put one of conf/pam.d in its place, "
        "and an outage is no wrong password any more",
    )
    table = {**backend.table, "pam_service": OTHER, "services": []}
    if not own:
        return replace(backend, table=table, notes=(*backend.notes, note))
    services = tuple(service for service in SERVICES if service in own)
    whole = {**backend.table, "services": list(services)}
    return replace(backend, table=whole, services=services, otherwise=table, notes=(*backend.notes, note))
