"""Whether another daemon takes connections at its socket. Nothing is asked: it would count a login."""

from __future__ import annotations

import socket
from collections.abc import Iterator

from saslauthd_py.app.online.findings import Said, failed, passed, unreachable
from saslauthd_py.config.settings import SaslauthdSettings


def connected(settings: SaslauthdSettings) -> Iterator[Said]:
    """The socket, as this process's user finds it."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(settings.timeout)
        try:
            client.connect(settings.path)
        except PermissionError:
            yield failed("connect", f"{settings.path}: this process's user may not open the socket")
        except TimeoutError:
            yield unreachable("connect", f"{settings.path}: nobody takes the connection within {settings.timeout:g} s")
        except OSError as error:
            yield unreachable("connect", f"{settings.path}: {(error.strerror or 'no connection').lower()}: does the other daemon run?")
        else:
            yield passed("connect", f"{settings.path} takes connections")
