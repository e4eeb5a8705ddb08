"""The steps of a decision, as lines for people."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from saslauthd_py.cli.report import counted
from saslauthd_py.trace import Step

SEEN = {
    "saslauthd": {
        "OK": "OK: Postfix says 235, the client is in",
        "NO": "NO: Postfix says 535, wrong name or password",
        "unavailable": "closed without an answer: Postfix says 454, try later",
    },
    "pwcheck": {
        "OK": "OK: the client is in",
        "NO": "a text that begins otherwise than OK: wrong name or password",
        "unavailable": "closed without an answer: libsasl takes that for a wrong password (535), this protocol knows no other",
    },
    "dovecot": {
        "OK": "OK: Postfix says 235, the client is in",
        "NO": "FAIL: Postfix says 535, wrong name or password",
        "unavailable": "closed without an answer: Postfix says 454, try later",
    },
}
"""What the one who asked would see of a verdict, by protocol."""

_FREE = {
    "accepted": "the password was right",
    "unjudged": "nobody could say whether the password is right",
    "repeated": "the same wrong password counted within the last 10 min already",
}
"""Why a login does not count towards a limit."""

_SUCCESS = "success (0)"
"""An LDAP server's result where all is well; that of a compare is its answer."""

_NARROWEST = 10
"""Columns that the name of a step has at least."""

_FAIL = 'FAIL with code=temp_fail, as on_unavailable = "fail" says: Postfix takes that for a wrong password (535)'


def lines(steps: Sequence[Step], protocol: str, verdict: str) -> tuple[str, ...]:
    """A line for each step, with its time, and what the client would see."""
    width = max([_NARROWEST, *(len(step.name) for step in steps)])
    shown = [f"{step.seconds * 1000:8.1f} ms  {step.name:<{width}}  {_words(step)}" for step in steps]
    return (*shown, f"{'':>11}  {'client':<{width}}  {seen(steps, protocol, verdict)}")


def seen(steps: Iterable[Step], protocol: str, verdict: str) -> str:
    """What the client would see of a verdict. The listener knows better than the command what is spoken there."""
    facts = next((step.facts for step in steps if step.name == "asked"), {})
    if verdict == "unavailable" and facts.get("on_unavailable") == "fail":
        return _FAIL
    return SEEN.get(str(facts.get("protocol")), SEEN[protocol])[verdict]


def _words(step: Step) -> str:
    """A step that is not known, from a daemon of another version, is shown as it is."""
    try:
        return _STEPS[step.name](step.facts)
    except (KeyError, TypeError, ValueError, AttributeError):
        return ", ".join(f"{name} {value}" for name, value in step.facts.items())


def _asked(facts: Mapping[str, Any]) -> str:
    client = "no client address"
    if facts["client"]:
        client = f"client {facts['client']}" + ("" if facts["believed"] else ", which this listener is not trusted to name")
    realm = f"realm {facts['realm']}" if facts["realm"] else "no realm of its own"
    service = f"service {facts['service']}" if facts["service"] else "no service"
    how = f", {_sasl(facts)}" if "mechanism" in facts else ""
    return f"{facts['listener']} ({facts['protocol']}): login {facts['login']}, {realm}, {service}, {client}{how}"


def _sasl(facts: Mapping[str, Any]) -> str:
    acting = f" as {facts['authzid']}" if facts["authzid"] else ""
    tls = "without TLS"
    if facts["secured"]:
        tls = "over TLS" if facts["secured_believed"] else "over TLS, which this listener is not trusted to say"
    return f"{facts['mechanism']}{acting}, {tls}"


def _split(facts: Mapping[str, Any]) -> str:
    realm = f"realm {facts['realm']}" if facts["realm"] else "no realm"
    acting = f", wants to act as {facts['authzid']}" if facts.get("authzid") else ""
    return f"local part {facts['local']}, {realm}, service {facts['service']}{acting}"


def _route(facts: Mapping[str, Any]) -> str:
    matched = ", ".join(f"{key} {_list(facts[key])}" for key in ("realm", "service", "listener"))
    backends = f"{'backend' if len(facts['backends']) == 1 else 'backends'} {_list(facts['backends'])}"
    return f"route[{facts['number']}] of {counted(facts['of'], 'route')} takes it ({matched}); {backends}"


def _no_route(facts: Mapping[str, Any]) -> str:
    if "why" in facts:
        return f"none takes it: {facts['why']}"
    missed = [
        f"route[{number}] wants " + " and ".join(f"{key} {_list(wanted)}, not {_name(facts[key])}" for key, wanted in one.items())
        for number, one in enumerate(facts["missed"])
    ]
    return "none takes it: " + "; ".join(missed)


def _cache(facts: Mapping[str, Any]) -> str:
    if facts["hit"]:
        return f"proved lately, by {facts['backend']} for {facts['user']}; counts for {facts['left']:g} s more"
    if unreadable := facts.get("unreadable"):
        return "not used, nobody can tell what has changed: " + "; ".join(f"backend {name}: {why}" for name, why in unreadable.items())
    return "not used: another process holds the data" if facts.get("busy") else "this password is not proved yet"


def _admission(facts: Mapping[str, Any]) -> str:
    if facts["refused"]:
        return f"refused, and nobody is asked: {facts['refused'].removeprefix('admission: ')}; `unblock` ends it"
    return "has a ticket: no limit, and it goes first" if facts["ticket"] else "let in: no limit is reached"


def _limits(facts: Mapping[str, Any]) -> str:
    if facts["met"]:
        return f"over a limit, so only a password that was right lately counts: {facts['met'].removeprefix('admission: ')}"
    return "none is reached"


def _keys(facts: Mapping[str, Any]) -> str:
    refused = "" if facts["verdict"] == "keys" else f", and whoever proves one of them will hear: {_verdict(facts)}"
    return f"{facts['backend']} has keys of {counted(facts['secrets'], 'password')}, of {facts['rounds']} rounds{refused}"


def _decoy(facts: Mapping[str, Any]) -> str:
    return f"made up, for the proof to fail by: {_verdict(facts)}"


def _authzid(facts: Mapping[str, Any]) -> str:
    if facts["granted"]:
        return f"{facts['authcid']} may act as {facts['authzid']}"
    return f"{facts['authcid']} may not act as {facts['authzid']}: no [[proxy_user]] says so"


def _signature(facts: Mapping[str, Any]) -> str:
    return "right: the client knows that this server has its keys" if facts["right"] else f"the client hangs up: {facts['why']}"


def _counted(facts: Mapping[str, Any]) -> str:
    if facts["limited"]:
        return "over a limit by now: right and wrong hear the same"
    return "counts as a failed login" if facts["failure"] else f"costs nothing: {_FREE[facts['free']]}"


def _not_asked(facts: Mapping[str, Any]) -> str:
    return f"{facts['name']} is not asked: its services are {_list(facts['services'])}, not {_name(facts['service'])}"


def _backend(facts: Mapping[str, Any]) -> str:
    found = "it has keys" if facts["verdict"] == "keys" else _verdict(facts)
    return f"{facts['name']}: {found}, {facts['ms']:.1f} ms"


def _rules(facts: Mapping[str, Any]) -> str:
    accepted = facts["verdict"] == "accepted"
    return "may be used here and now" if accepted else f"the password is right, and may not be used: {facts['reason']}"


def _ldap_search(facts: Mapping[str, Any]) -> str:
    found = " and ".join(map(_name, facts["found"])) if facts.get("found") else "nothing"
    return _ldap(facts, f"{facts['filter']} below {facts['base'] or 'the root'} ({facts['scope']})", f"finds {found}")


def _ldap_bind(facts: Mapping[str, Any]) -> str:
    taken = "is taken" if facts.get("result") == _SUCCESS else "is refused"
    return _ldap(facts, f"as {facts['dn']}", taken)


def _ldap_compare(facts: Mapping[str, Any]) -> str:
    return _ldap(facts, f"is {facts['value']} in {facts['attribute']} of {facts['dn']}?", str(facts.get("result")))


def _ldap(facts: Mapping[str, Any], question: str, answer: str) -> str:
    """What was asked, what was said, by whom and how fast; a result that is no success in the server's own words."""
    if "failed" in facts:
        return f"{question.removesuffix('?')}: {facts['failed']}, {facts['ms']:.1f} ms"
    said = answer if facts["result"] in {_SUCCESS, answer} else f"{answer}: {facts['result']}"
    diagnostic = f" ({facts['diagnostic']})" if facts["diagnostic"] else ""
    return f"{question} {said}{diagnostic}, says {facts['server']}, {facts['ms']:.1f} ms"


def _ldap_group(facts: Mapping[str, Any]) -> str:
    how = "remembered" if facts["remembered"] else f"{facts['ms']:.1f} ms"
    return f"{facts['dn']} {'is' if facts['member'] else 'is not'} in the group that may log in, {how}"


def _ldap_stored(facts: Mapping[str, Any]) -> str:
    return f"{facts['dn']} has {counted(facts['values'], 'value')} in {facts['attribute']}"


def _imap_login(facts: Mapping[str, Any]) -> str:
    if "failed" in facts:
        return f"{facts['server']}: {facts['failed']}, {facts['ms']:.1f} ms"
    code = f" [{facts['code']}]" if facts["code"] else ""
    words = f" {facts['words']}" if facts["words"] else ""
    return f"{facts['method']}: {facts['result']}{code}{words}, says {facts['server']}, {facts['ms']:.1f} ms"


def _http_post(facts: Mapping[str, Any]) -> str:
    return f"{facts['url']}: {facts.get('failed') or facts['status']}, {facts['ms']:.1f} ms"


def _decided(facts: Mapping[str, Any]) -> str:
    by = f", said {facts['backend']}" if facts.get("backend") else ""
    who = f"{facts['authcid']} as {facts['user']}" if facts.get("authcid") else facts["user"]
    return f"{_verdict(facts)}, for {who}{by}{' and the cache' if facts.get('cached') else ''}"


def _verdict(facts: Mapping[str, Any]) -> str:
    why = facts.get("reason") or facts.get("cause")
    return f"{facts['verdict']}: {why}" if why else str(facts["verdict"])


def _list(values: Any) -> str:  # noqa: ANN401 - strings, as JSON has them
    return ", ".join(_name(value) for value in values)


def _name(value: str) -> str:
    return value or '""'


_STEPS: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "asked": _asked,
    "refused": lambda facts: f"before anybody is asked: {facts['why']}",
    "split": _split,
    "route": _route,
    "no-route": _no_route,
    "cache": _cache,
    "joined": lambda _: "the same is being asked already: one answer for both",
    "admission": _admission,
    "not-asked": _not_asked,
    "unable": lambda facts: f"{facts['name']} is passed by: it can only try a password, and none was sent",
    "asking": lambda facts: f"{facts['name']}, whose turn has come",
    "backend": _backend,
    "ldap-refused": lambda facts: f"no entry can have this login: {facts['why']}",
    "ldap-remembered": lambda facts: f"{facts['dn']} was found lately: no search",
    "ldap-search": _ldap_search,
    "ldap-group": _ldap_group,
    "ldap-compare": _ldap_compare,
    "ldap-bind": _ldap_bind,
    "ldap-stored": _ldap_stored,
    "imap-login": _imap_login,
    "http-post": _http_post,
    "rules": _rules,
    "limits": _limits,
    "keys": _keys,
    "decoy": _decoy,
    "proof": lambda facts: "right, and that password was right lately: no limit" if facts["ticket"] else "right",
    "authzid": _authzid,
    "signature": _signature,
    "counted": _counted,
    "remembered": lambda facts: f"in the cache for {facts['seconds']:g} s",
    "verdict": _decided,
}
