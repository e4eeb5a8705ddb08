"""Backends that ask another machine by IMAP or HTTP, from settings: imported only where there is one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, NamedTuple

import trio

from saslauthd_py.app.directories import Unusable
from saslauthd_py.app.start import StartError
from saslauthd_py.backend import Backend
from saslauthd_py.config.settings import HttpFormSettings, ImapSettings
from saslauthd_py.remote.lookups import Lookups

if TYPE_CHECKING:
    from saslauthd_py.backends.http_form.page import Manner as PageManner
    from saslauthd_py.backends.imap.connection import Manner as MailManner

    Approach = MailManner | PageManner

RemoteSettings = ImapSettings | HttpFormSettings

_LOOKUPS = Lookups()


def prepared(settings: RemoteSettings) -> Approach:
    """What must be there before anybody is served: the modules, and certificates that can be read. Raises Unusable."""
    try:
        if isinstance(settings, ImapSettings):
            from saslauthd_py.backends.imap.connection import Manner as MailManner

            return MailManner.of(settings)
        from saslauthd_py.backends.http_form.page import Manner as PageManner

        return PageManner.of(settings)
    except ImportError as error:
        raise Unusable(("type", f'"{settings.type}" needs the Python package {error.name}: install saslauthd-py[http]')) from None
    except OSError as error:
        raise Unusable(("ca_file", f"{settings.ca_file or 'the system has none'}: {error}")) from None


def opened(name: str, settings: RemoteSettings) -> Approach:
    """As `prepared`, for a start. Raises StartError."""
    try:
        return prepared(settings)
    except Unusable as error:
        raise StartError("\n".join(f"backend.{name}.{key}: {text}" for key, text in error.complaints)) from None


class Remote(NamedTuple):
    """A backend. `warm` finds out which of its servers are down before a login does, and `down` tells it; None: it has but one."""

    backend: Backend
    warm: Callable[[], Awaitable[None]]
    down: Callable[[], Mapping[str, str]] | None


def composed(settings: RemoteSettings, manner: Approach, nursery: trio.Nursery) -> Remote:
    """The backend of these settings. `nursery` runs what nobody waits for."""
    trio.socket.set_custom_hostname_resolver(_LOOKUPS)
    if isinstance(settings, ImapSettings):
        from saslauthd_py.backends.imap import ImapBackend
        from saslauthd_py.backends.imap.connection import Manner as MailManner
        from saslauthd_py.backends.imap.servers import Servers

        assert isinstance(manner, MailManner)  # noqa: S101 - `prepared` made it of these settings
        servers = Servers(settings, manner, nursery)
        return Remote(ImapBackend(settings, servers), servers.warm, servers.down)
    from saslauthd_py.backends.http_form import HttpFormBackend
    from saslauthd_py.backends.http_form.page import Manner as PageManner
    from saslauthd_py.backends.http_form.page import Page

    assert isinstance(manner, PageManner)  # noqa: S101 - as above
    backend = HttpFormBackend(settings, Page(settings, manner), nursery)
    return Remote(backend, backend.warm, None)
