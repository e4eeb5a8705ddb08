"""How a Postfix is changed: the exact commands."""

from __future__ import annotations

from saslauthd_py.mta.master_cf import Service
from saslauthd_py.mta.postfix import DEFAULT_DIRECTORY, Postfix


def setting(postfix: Postfix, name: str, value: str, service: Service | None = None) -> str:
    """The commands that set a parameter, where it was said: in main.cf, or for a service that has its own in master.cf."""
    if service is not None and name in service.overrides:
        return f"{_at('postconf', postfix)} -P '{service.key}/{name}={value}' && {reload(postfix)}"
    return f"{_at('postconf', postfix)} -e '{name} = {value}' && {reload(postfix)}"


def unchrooted(postfix: Postfix, service: Service) -> str:
    """The commands that take a service out of its chroot."""
    return f"{_at('postconf', postfix)} -F '{service.key}/chroot=n' && {reload(postfix)}"


def reload(postfix: Postfix) -> str:
    """The command by which it starts its processes anew."""
    return f"{_at('postfix', postfix)} reload"


def _at(program: str, postfix: Postfix) -> str:
    return program if postfix.config_directory == DEFAULT_DIRECTORY else f"{program} -c {postfix.config_directory}"
