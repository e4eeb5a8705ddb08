"""4: how a name becomes a user, a realm and what each backend looks up; where a realm is lost on the way, or made up."""

from __future__ import annotations

from collections.abc import Iterator

from saslauthd_py.config.settings import ANY, Settings
from saslauthd_py.doctor import postfix_lines
from saslauthd_py.doctor.case import Case
from saslauthd_py.doctor.lookups import Lookup, look_up
from saslauthd_py.doctor.said import Said, failed, passed, skipped, warned
from saslauthd_py.identity import InvalidIdentity
from saslauthd_py.mta.caller import Caller

_BARE = "alice"


def find(case: Case) -> Iterator[Said]:
    """Faults of the configuration's routes, those of what mail servers add to a name, and then the traces."""
    if case.settings is None:
        yield skipped("the configuration cannot be used", case.command("config check"))
        return
    callers: dict[tuple[str, ...], Caller | None] = {(one.caller.realm, one.caller.realm_taken_off): one.caller for one in case.targets}
    callers = callers or {(): None}
    faults = (*_collapsing(case, case.settings), *(said for caller in callers.values() for said in _of_caller(case, caller)))
    yield from faults
    if not faults:
        traces = dict.fromkeys(str(found) for caller in callers.values() for found in _traced(case, case.settings, caller))
        yield passed("; ".join(traces))


def _collapsing(case: Case, settings: Settings) -> Iterator[Said]:
    """Rule B2 refuses it, unless a route says that it is meant: then two people may be one account, and the admin should know."""
    for number, route in enumerate(settings.route):
        several = ANY in route.realm or len(route.realm) > 1
        for name in route.backends if several else ():
            backend = settings.backend[name]
            if "{realm}" not in backend.login and not getattr(backend, "realm_in_path", False):
                cause = (
                    f'route[{number}] loses the realm: backend {name} is asked for "{backend.login}", '
                    "so alice@a.example and alice@b.example are one account"
                )
                yield warned(
                    cause, f'in {case.path}: [backend.{name}] login = "{{local}}@{{realm}}", or name the one realm in the [[route]]'
                )


def _of_caller(case: Case, caller: Caller | None) -> Iterator[Said]:
    settings = case.settings
    if settings is None or caller is None:
        return
    try:
        bare, without = look_up(settings, _BARE, caller, case.listener(caller)), look_up(settings, _BARE, None, case.listener(caller))
        mine = look_up(settings, case.account.name, caller, case.listener(caller)) if case.account is not None else None
    except InvalidIdentity as error:
        yield failed(f"{caller.name}: no account can have such a name: {error}", "correct the name, or smtpd_sasl_local_domain")
        return
    if caller.realm and not bare.logins and without.logins:
        cause = f"{caller.name} sends a name without @ with realm {caller.realm}, which no [[route]] takes; without a realm one would"
        yield failed(cause, _no_local_domain(case, caller))
    if (own := caller.realm_taken_off) and _logins(look_up(settings, f"{_BARE}@{own}", caller, None)) != _logins(
        look_up(settings, f"{_BARE}@{own}", None, None)
    ):
        cause = f"{caller.name} takes its defaultdomain off a name: {_BARE}@{own} is asked for as {_BARE}, without a realm"
        yield warned(cause, f'in {case.path}: [identity] default_realm = "{own}"; then {case.reload()}')
    if mine is not None and not mine.logins:
        wanted = sorted({realm or "(none)" for route in settings.route for realm in route.realm})
        cause = f"{mine}; the routes are for realms {', '.join(wanted)}"
        yield failed(cause, f'in {case.path}: add "{mine.identity.realm}" to a [[route]], or log in with another name')


def _logins(found: Lookup) -> list[tuple[str, str]]:
    return [(name, str(login)) for name, _, login in found.logins]


def _no_local_domain(case: Case, caller: Caller) -> str:
    if case.machine.postfix is not None and caller.service == "smtp":
        return postfix_lines.setting(case.machine.postfix, "smtpd_sasl_local_domain", "")
    return f'in {case.path}: a [[route]] with realm = "{caller.realm}"'


def _traced(case: Case, settings: Settings, caller: Caller | None) -> Iterator[Lookup]:
    names = (case.account.name,) if case.account is not None else (_BARE, f"{_BARE}@{_example(settings)}")
    listen = case.listener(caller) if caller is not None else None
    return (look_up(settings, name, caller, listen) for name in names)


def _example(settings: Settings) -> str:
    """A realm that a route names."""
    return next((realm for route in settings.route for realm in route.realm if realm not in (ANY, "")), "example.org")
