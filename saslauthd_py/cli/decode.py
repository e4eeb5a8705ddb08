"""`decode`: who logs in with a SASL message, without showing the secret to whoever looks over a shoulder."""

from __future__ import annotations

import argparse
import base64
import re
from typing import BinaryIO

from saslauthd_py.cli import scram_fields
from saslauthd_py.cli.environment import Environment
from saslauthd_py.cli.exits import CommandFailed, Exit
from saslauthd_py.cli.report import Json, Record
from saslauthd_py.mechanisms import login, plain
from saslauthd_py.secret import Secret

MAX_MESSAGE = 65536
"""Bytes read from standard input: several times what an AUTH line may have (RFC 4954 section 4: 12288)."""

_BASE64 = re.compile(r"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?")
"""RFC 4648 section 4. Python's own decoder is laxer, by how much depends on its version."""


def run(arguments: argparse.Namespace, environment: Environment) -> Record:
    """One PLAIN message, LOGIN's name and password, or one of the two, or any of SCRAM's messages.

    Otherwise raises CommandFailed, MalformedPlain, MalformedLogin or SCRAM's Malformed.
    """
    words = arguments.base64 if arguments.base64 not in ([], ["-"]) else _read(environment.stdin)
    messages = [_decoded(word, number) for number, word in enumerate(words, 1)]
    if not messages:
        raise CommandFailed(Exit.USAGE, "nothing to decode; see saslauthd-py decode --help")
    if arguments.mechanism == "scram" or (arguments.mechanism == "auto" and all(map(scram_fields.recognised, messages))):
        return Record(_scram(messages, arguments.show_secret))
    if arguments.mechanism == "plain" or (arguments.mechanism == "auto" and any(b"\0" in message for message in messages)):
        fields, secret = _plain(messages)
    elif arguments.mechanism == "auto" and len(messages) == 1:
        return _either(login.secret(messages[0]), arguments.show_secret)
    else:
        fields, secret = _login(messages)
    if secret is not None:
        fields["secret_length"] = len(secret)
        if arguments.show_secret:
            fields["secret"] = secret.reveal().decode(errors="backslashreplace")
    return Record(fields)


def _either(message: Secret, shown: bool) -> Record:
    """Nothing tells LOGIN's password from its name: it is kept as a secret."""
    fields: dict[str, Json] = {"mechanism": "LOGIN", "name_or_password_length": len(message)}
    line = f"login: name or password of {len(message)} bytes"
    if shown:
        fields["name_or_password"] = text = message.reveal().decode(errors="backslashreplace")
        return Record(fields, (f"{line}: {text}",))
    return Record(fields, (f"{line}; --show-secret shows it",))


def _plain(messages: list[bytes]) -> tuple[dict[str, Json], Secret | None]:
    if len(messages) > 1:
        raise CommandFailed(Exit.USAGE, f"PLAIN is one message, here are {len(messages)}")
    message = plain.parse(messages[0])
    return {"mechanism": "PLAIN", "authzid": message.authzid, "authcid": message.authcid}, message.secret


def _login(messages: list[bytes]) -> tuple[dict[str, Json], Secret | None]:
    if len(messages) > 2:
        raise CommandFailed(Exit.USAGE, f"LOGIN is two messages, a name and a password; here are {len(messages)}")
    return {"mechanism": "LOGIN", "authcid": login.name(messages[0])}, login.secret(messages[1]) if len(messages) == 2 else None


def _scram(messages: list[bytes], proofs: bool) -> dict[str, Json]:
    fields: dict[str, Json] = {"mechanism": "SCRAM"}
    for message in messages:
        kind, found = scram_fields.decoded(message, proofs)
        if kind in fields:
            raise CommandFailed(Exit.USAGE, f"SCRAM's {kind.replace('_', ' ')} message twice: give the messages of one exchange")
        fields[kind] = found
    return fields


def _decoded(word: str, number: int) -> bytes:
    if not _BASE64.fullmatch(word):
        why = (
            "its length is no multiple of four: is all of it here?"
            if len(word) % 4
            else "a character or padding that does not belong there"
        )
        raise CommandFailed(Exit.BAD_INPUT, f"argument {number} is not base64: {why}")
    return base64.b64decode(word)


def _read(stdin: BinaryIO) -> list[str]:
    text = stdin.read(MAX_MESSAGE + 1)
    if len(text) > MAX_MESSAGE:
        raise CommandFailed(Exit.BAD_INPUT, f"standard input is over {MAX_MESSAGE} bytes: no SASL message is")
    return text.decode(errors="surrogateescape").split()
