"""Which SASL mechanisms a listener offers: a client takes the strongest, and throws its password away when that fails."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from saslauthd_py.config.settings import Listen
from saslauthd_py.keys import Hash
from saslauthd_py.routing import Next, Route, Routes

ALWAYS = ("PLAIN", "LOGIN")
"""First in the list: some clients look no further, and those that can do better choose by themselves."""


@dataclass(frozen=True, slots=True)
class Offered:
    """`mechanisms` in the order in which they are offered; of each SCRAM mechanism that is not, `withheld` says why in one line."""

    mechanisms: tuple[str, ...]
    withheld: Mapping[str, str] = field(default_factory=dict)


def offered(listen: Listen, routes: Routes) -> Offered:
    """What a listener offers now: what its `mechanisms` says, else PLAIN and LOGIN, and SCRAM where all who may come to it have keys.

    EXTERNAL is offered only where it is named. Who has keys changes, and with it what is offered. Never waits.
    """
    if listen.mechanisms is not None:
        unnamed = [function.mechanism for function in Hash if function.mechanism not in listen.mechanisms]
        return Offered(listen.mechanisms, dict.fromkeys(unnamed, "the listener's `mechanisms` does not name it"))
    ours = routes.of_listener(listen.name)
    if not ours:
        return Offered(ALWAYS, {function.mechanism: "no [[route]] is for this listener" for function in Hash})
    lacks = {function: "; ".join(_lacks(ours, function)) for function in Hash}
    return Offered(
        (*ALWAYS, *(function.mechanism for function, why in lacks.items() if not why)),
        {function.mechanism: why for function, why in lacks.items() if why},
    )


def _lacks(ours: Iterable[Route], function: Hash) -> Iterator[str]:
    members = {member.name: member for route in ours for member in route.members}
    for member in members.values():
        why = "it can only try a password, and has no keys" if member.keyed is None else member.keyed.lack(function)
        if why:
            yield f"backend {member.name}: {why}"
    if any(Next.REJECTED in route.next_on and len(route.members) > 1 for route in ours):
        yield 'a [[route]] has next_on = ["rejected"]: an exchange goes by the keys of one backend, and cannot ask the next'
