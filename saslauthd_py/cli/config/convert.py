"""`config convert`: the original's configuration, written as our own: what starts it, or its saslauthd.conf alone."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Iterable, Iterator
from typing import Any

from pydantic import ValidationError

from saslauthd_py.cli.config import convert_started
from saslauthd_py.cli.environment import Environment
from saslauthd_py.cli.exits import CommandFailed, Exit
from saslauthd_py.cli.render import printable
from saslauthd_py.cli.report import Text
from saslauthd_py.config.legacy.saslauthd_conf import SaslauthdConf
from saslauthd_py.config.legacy.saslauthd_lines import Note
from saslauthd_py.config.load import DEFAULT_PATH, render_toml
from saslauthd_py.config.load.findings import from_validation
from saslauthd_py.config.load.original import Unreadable, taken_over
from saslauthd_py.config.settings import LdapSettings, Settings
from saslauthd_py.config.settings.secret import ConfiguredSecret

PASSWORDS = "/etc/saslauthd-py/{name}.password"
"""Where the password of a backend is to be kept."""

_GROUP = "saslauthd-py"


def run(arguments: argparse.Namespace, _: Environment) -> Text:
    """The sections that the files stand for; what the original was silent about is said in comments. Its password is in neither."""
    if arguments.file or arguments.saslauthd_conf is None:
        if arguments.backend is not None:
            raise CommandFailed(Exit.USAGE, "--backend is for --saslauthd-conf alone: what is started has its backends named by their type")
        return convert_started.run(arguments)
    file, name = arguments.saslauthd_conf, arguments.backend or "ldap"
    try:
        found = taken_over(file, secretly=False, whole_logins=arguments.whole_logins)
    except Unreadable as error:
        if isinstance(error.__cause__, OSError):
            raise error.__cause__ from None
        raise CommandFailed(Exit.BAD_INPUT, str(error)) from None
    document = _document(found, name, _settings(found, name, file))
    text = "".join(f"{printable(f'# {line}'.rstrip())}\n" for line in _head(found, name, file)) + "\n" + render_toml(document)
    return Text(text, {"configuration": document, "notes": [_placed(note, file) for note in found.notes]})


def _head(found: SaslauthdConf, name: str, file: str) -> Iterator[str]:
    yield f"{file}, as it is written here. It belongs into {DEFAULT_PATH}, beside a [[listen]] and whatever else there is;"
    yield f'where "*" takes more than those whom {name} has, name the realms.'
    if found.password_line is not None:
        yield ""
        yield "Its password is not here. As root, this keeps it in a file of its own:"
        yield _moving(found.password_line, name, file)
    if found.notes:
        yield ""
        yield "What the original did not say:"
        yield from (_placed(note, file) for note in found.notes)


def _moving(line: int, name: str, file: str) -> str:
    """A command of the shell that takes the password out of its line as the original did, and shows it to nobody."""
    script = f"{line}{{s/^[^:]*:[[:space:]]*//;s/\\r$//;p}}"
    kept = PASSWORDS.format(name=name)
    return f"LC_ALL=C sed -n '{script}' {shlex.quote(file)} | install -m 0640 -g {_GROUP} /dev/stdin {kept}"


def _placed(note: Note, file: str) -> str:
    return f"{file}:{note}" if note.line else f"{file}: {note}"


def _settings(found: SaslauthdConf, name: str, file: str) -> LdapSettings:
    """As they will be. Raises CommandFailed: the file says what the original took, and no login could ever have used."""
    from saslauthd_py.app.directories import Unusable, prepared

    table: dict[str, Any] = {"type": "ldap", **found.keys}
    if found.password is not None:
        table["password"] = ConfiguredSecret(found.password.reveal(), file)
    document = {"backend": {name: table}, "identity": {"default_realm": found.default_realm}}
    try:
        settings = Settings.model_validate(document).backend[name]
        if not isinstance(settings, LdapSettings):
            raise TypeError(settings)
        prepared(settings.model_copy(update={"ca_file": None}))  # the certificates are another machine's, perhaps
    except ValidationError as error:
        wrong = [(str((*finding.path, "")[2] or finding.path[-1]), finding.text) for finding in from_validation(error, document)]
        raise _unusable(file, wrong) from None
    except Unusable as error:
        raise _unusable(file, error.complaints) from None
    return settings


def _unusable(file: str, complaints: Iterable[tuple[str, str]]) -> CommandFailed:
    return CommandFailed(Exit.BAD_INPUT, "\n".join(f"{file}: makes {key}, which {text}" for key, text in complaints))


def _document(found: SaslauthdConf, name: str, settings: LdapSettings) -> dict[str, Any]:
    """Sections in the order of conf/saslauthd-py.toml. The original asked for everybody, of any realm."""
    table: dict[str, Any] = {"type": "ldap", **found.keys}
    if found.password is not None:
        table["password_file"] = PASSWORDS.format(name=name)
    route: dict[str, Any] = {"realm": "*", "backends": [name]}
    if settings.drops_realm:
        route["ignore_realm"] = True
    identity = {"identity": {"default_realm": found.default_realm}} if found.default_realm else {}
    return {**identity, "backend": {name: table}, "route": [route]}
