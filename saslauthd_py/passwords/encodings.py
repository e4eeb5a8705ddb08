"""What can be done with an encoding: verify it, make it, tell what it costs. The only way from the rest of the program to a scheme.

Everything here blocks for as long as a hash takes, and whatever takes over 2 ms releases the interpreter lock meanwhile: the daemon
calls it through `hashing.Hashing`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache

from saslauthd_py.credential import Encoding
from saslauthd_py.passwords import plain
from saslauthd_py.passwords.scheme import MAX_MEMORY, BrokenRecord, Cost, Scheme, SecretTooLong, UnknownScheme
from saslauthd_py.passwords.table import BY_LABEL, SCHEMES, makeable, strength
from saslauthd_py.passwords.written import Written, read
from saslauthd_py.secret import Secret

_UNMADE, _MADE_ELSEWHERE = "verified, but no longer made, is scheme", "made for other programs only, by `saslauthd-py hash`, is scheme"

_REFUSED = {
    "DIGEST-MD5": "it holds a name beside the password",
    "LANMAN": "it is blind to case, and to all after 14 letters",
    "OTP": "it is for one-time passwords",
    "PLAIN-TRUNC": "it lets whoever knows the beginning in",
    "SASL": "it names another system that is to be asked",
}
"""What other programs have that is no stored password, or accepts others than the right one."""

_PROFILE = re.compile(r"(?P<scheme>[0-9a-z-]+)(?: (?P<parameters>[A-Za-z]+=[0-9]{1,10}(?:,[A-Za-z]+=[0-9]{1,10})*))?")


def verify(encoding: Encoding, secret: Secret) -> bool:
    """Whether `secret` is the one that was encoded.

    A secret that the scheme would cut is never the one: it gets False, after the work of the longest secret (rule D7).
    Raises BrokenRecord, before any work for what costs too much (rule D11); its text never holds the record.
    """
    scheme = _scheme_of(encoding)
    _price(scheme, encoding.text)
    presented = secret.reveal()
    whole = _takes_whole(scheme, presented)
    matched = scheme.matches(encoding.text, presented if whole else b"x" * scheme.longest)
    return matched and whole


def strongest(encodings: Iterable[Encoding]) -> Encoding:
    """The one of a secret's encodings by which a presented one is verified: its strongest hash, SCRAM's keys only where it has no hash.

    Raises BrokenRecord where there is none at all.
    """
    found = min(encodings, key=lambda encoding: strength(encoding.scheme), default=None)
    if found is None:
        raise BrokenRecord("no encoding")
    return found


def clear_text(encodings: Iterable[Encoding]) -> Secret | None:
    """The secret itself, where one of its encodings is that; None where none is, or that one is malformed."""
    for encoding in encodings:
        if encoding.scheme == plain.SCHEME.name:
            password = plain.SCHEME.password(encoding.text)
            return Secret(password) if password else None
    return None


def make(scheme: str, secret: Secret, *, elsewhere: bool = False) -> Encoding:
    """A new encoding, with a random salt and the scheme's usual cost; with `elsewhere` for another program, in what that one can read.

    Raises as `check_fits` does.
    """
    wanted = check_fits(scheme, secret, elsewhere=elsewhere)
    try:
        return Encoding(scheme, wanted.make(secret.reveal()))
    except BrokenRecord as fault:
        raise UnknownScheme(f"no {scheme} on this system: {fault}") from None


def check_fits(scheme: str, secret: Secret, *, elsewhere: bool = False) -> Scheme:
    """The scheme by which `make` would encode this secret. Does no work.

    Raises UnknownScheme, and SecretTooLong for a secret that `verify` could never find right.
    """
    wanted = _makeable(scheme, elsewhere)
    presented = secret.reveal()
    if len(presented) > wanted.longest:
        raise SecretTooLong(f"{scheme} takes a password of at most {wanted.longest} bytes: choose a shorter one, or another scheme")
    if not _takes_whole(wanted, presented):
        raise SecretTooLong(f"{scheme} ends a password at its first NUL byte: choose one without, or another scheme")
    return wanted


def cost(encoding: Encoding) -> Cost:
    """What verifying takes. Raises BrokenRecord for an unknown scheme, a malformed text, and one that costs too much (rule D11)."""
    return _price(_scheme_of(encoding), encoding.text)


def cost_to_make(scheme: str, *, elsewhere: bool = False) -> Cost:
    """What `make` takes, and verifying what it made. Raises UnknownScheme."""
    wanted = _makeable(scheme, elsewhere)
    return _bounded(wanted, tuple((wanted.usual or {}).items()))


def needs_rehash(encoding: Encoding, scheme: str) -> bool:
    """Whether `make(scheme, ...)` would give something better: another scheme, an older form of it, or a higher cost.

    Raises UnknownScheme for a `scheme` that is not made, BrokenRecord for an encoding of it that `verify` could not have found right.
    """
    usual = cost_to_make(scheme)
    if encoding.scheme != scheme:
        return True
    present = cost(encoding)
    newest_form = SCHEMES[scheme].sigils[:1]
    older = bool(newest_form) and not encoding.text.startswith(newest_form)
    return older or present.work < usual.work or present.memory < usual.memory


def decoy(profile: str) -> Encoding:
    """An encoding that costs what `profile` (of a `Cost`) says, and that no secret matches (rule D6). BrokenRecord: no such profile."""
    found = _PROFILE.fullmatch(profile)
    scheme = SCHEMES.get(found["scheme"]) if found else None
    if found is None or scheme is None:
        raise BrokenRecord(f"unknown password profile {profile[:64]!a}")
    pairs = (pair.split("=") for pair in (found["parameters"] or "").split(",") if pair)
    try:
        encoding = Encoding(scheme.name, scheme.decoy({name: int(value) for name, value in pairs}))
    except (KeyError, ValueError, IndexError):
        raise BrokenRecord(f"unknown password profile {profile[:64]!a}") from None
    if cost(encoding).profile != profile:
        raise BrokenRecord(f"unknown password profile {profile[:64]!a}")
    return encoding


def recognise(text: str) -> Encoding:
    """The encoding in a whole password field of another program: `$y$...` and the like, or `{SCHEME}...` as LDAP and Dovecot write it.

    Bytes of the field that are no UTF-8 are expected as `surrogateescape` shows them. A field without a label is never taken for a
    password in clear. The encoding's text is ASCII, and the same for all spellings of label and coding; recognised again it is itself.

    Raises BrokenRecord: empty, no scheme of ours, or malformed; its text never holds the field. What it costs is not judged here.
    """
    written = read(text)
    if not written.body:
        raise BrokenRecord("empty password record")
    for scheme in _candidates(written):
        adopted = scheme.adopt(written)
        if adopted is not None:
            return Encoding(scheme.name, adopted)
    raise BrokenRecord(
        f"malformed {written.label} record" if written.label else "no password record of a scheme we know, or a malformed one"
    )


def labelled(encoding: Encoding) -> str:
    """With the label that the scheme goes by in a Dovecot passwd-file and in LDAP. Raises BrokenRecord for an unknown scheme."""
    if encoding.text.startswith("{"):
        return encoding.text
    scheme = _scheme_of(encoding)
    return f"{{{next(iter(scheme.labels), scheme.name.upper())}}}{encoding.text}"


def _candidates(written: Written) -> Iterator[Scheme]:
    """Those that a label or a sigil points to, in the order of the table. Raises BrokenRecord for a label that nobody has."""
    if not written.label:
        yield from (scheme for scheme in SCHEMES.values() if written.body.startswith(scheme.sigils))
        return
    found = BY_LABEL.get(written.label)
    if found is None:
        why = _REFUSED.get(written.label)
        raise BrokenRecord(f"scheme {written.label} is not verified: {why}" if why else f"unknown scheme {written.label[:32]!a}")
    yield from found


def _scheme_of(encoding: Encoding) -> Scheme:
    if not encoding.text:
        raise BrokenRecord("empty password record")
    try:
        return SCHEMES[encoding.scheme]
    except KeyError:
        raise BrokenRecord(f"unknown scheme {encoding.scheme[:32]!a}") from None


def _makeable(name: str, elsewhere: bool) -> Scheme:
    scheme = SCHEMES.get(name)
    choice = makeable(elsewhere=elsewhere)
    if scheme is None or name not in choice:
        why = "unknown scheme" if scheme is None else _UNMADE if scheme.usual is None else _MADE_ELSEWHERE
        raise UnknownScheme(f"{why} {name[:32]!a}: choose one of {', '.join(choice)}")
    return scheme


def _price(scheme: Scheme, text: str) -> Cost:
    parameters = scheme.parameters(text)
    if parameters is None:
        raise BrokenRecord(f"malformed {scheme.name} record")
    return _bounded(scheme, tuple(parameters.items()))


@lru_cache(maxsize=1024)
def _bounded(scheme: Scheme, parameters: tuple[tuple[str, int], ...]) -> Cost:
    work, memory = scheme.price(dict(parameters))
    shown = ",".join([f"{name}={value}" for name, value in parameters])
    profile = f"{scheme.name} {shown}" if shown else scheme.name
    if memory > MAX_MEMORY:
        raise BrokenRecord(f"a record of {profile} takes {memory >> 20} MiB to verify: over 128 MiB is refused")
    if work > scheme.most_work:
        raise BrokenRecord(f"a record of {profile} could take over 2 s to verify: refused")
    return Cost(profile, memory, work)


def _takes_whole(scheme: Scheme, presented: bytes) -> bool:
    return len(presented) <= scheme.longest and not (scheme.ends_at_nul and b"\0" in presented)
