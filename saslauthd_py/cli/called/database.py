"""What `saslpasswd2` and `sasldblistusers2` work on: a store of ours, or a sasldb2 of the original's."""

from __future__ import annotations

import argparse
import os
from dataclasses import dataclass

from pydantic import ValidationError

from saslauthd_py import sasldb
from saslauthd_py.cli.environment import Environment
from saslauthd_py.cli.exits import CommandFailed, Exit
from saslauthd_py.cli.user import place
from saslauthd_py.cli.user.place import Place
from saslauthd_py.config.load import DEFAULT_PATH, load
from saslauthd_py.config.settings import SasldbSettings, Settings, StoreSettings

_HEAD = 64
_SQLITE = b"SQLite format 3\0"


@dataclass(frozen=True, slots=True)
class Original:
    """A sasldb2, which is read and never written; `kind` is its format's name."""

    path: str
    kind: str


def find(named: str | None, environment: Environment) -> Place | Original:
    """The file that -f names, told by what is in it, or a store that may be made there. Without -f: what the configuration has.

    That is its store, or, where it has none, its sasldb2; without a configuration it is the default store. A file named by -f is used as
    the configuration says of it. Raises CommandFailed, ConfigurationError, OSError.
    """
    settings = load(DEFAULT_PATH) if os.path.exists(DEFAULT_PATH) else None
    if named is not None:
        return _named(os.path.abspath(named), settings or Settings())
    if settings is None:
        return place.find(argparse.Namespace(config=None, backend=None), environment, DEFAULT_PATH)
    stores = _stores(settings)
    originals = [backend.path for backend in settings.backend.values() if isinstance(backend, SasldbSettings)]
    paths = [store.path for store in stores] or originals
    if not paths:
        raise CommandFailed(Exit.CONFIGURATION, f'{DEFAULT_PATH}: no backend with type = "store" or "sasldb": users are kept elsewhere')
    if len(paths) > 1:
        raise CommandFailed(Exit.USAGE, f"{DEFAULT_PATH} has several; say which with -f, one of: {', '.join(paths)}")
    return Place(stores[0], settings) if stores else Original(paths[0], _kind(paths[0]) or "unknown")


def _named(path: str, settings: Settings) -> Place | Original:
    if not os.path.lexists(path):
        _refuse_new(path)
    elif (kind := _kind(path)) is not None:
        return Original(path, kind)
    configured = next((store for store in _stores(settings) if store.path == path), None)
    try:
        return Place(configured or StoreSettings(type="store", path=path), settings)
    except ValidationError:
        raise CommandFailed(Exit.USAGE, f"{path}: not the path of a file") from None


def _stores(settings: Settings) -> list[StoreSettings]:
    return [backend for backend in settings.backend.values() if isinstance(backend, StoreSettings)]


def _refuse_new(path: str) -> None:
    """A store is never made in a directory like /etc: whoever owns its directory owns the store (rule A7)."""
    directory = os.path.dirname(path)
    if os.geteuid() == 0 and os.path.isdir(directory) and os.stat(directory).st_uid == 0:
        raise CommandFailed(
            Exit.NO_FILE, f"{path}: no such file. A sasldb2 is not made here; a store is, in a directory of its own that is not there yet"
        )


def _kind(path: str) -> str | None:
    """The format of a sasldb2; None for a store. Raises CommandFailed for a file that is neither."""
    if not os.path.isfile(path):
        raise CommandFailed(Exit.NO_FILE, f"{path}: {'not a file' if os.path.lexists(path) else 'no such file'}")
    with open(path, "rb") as file:  # no store is open in this process yet: closing this takes no lock away
        head = file.read(_HEAD)
    found = sasldb.kind(head)
    if found is None and not head.startswith(_SQLITE):
        raise CommandFailed(Exit.BAD_INPUT, f"{path}: neither a store of saslauthd-py nor a sasldb2")
    return found
