"""Writes packaging/man/saslauthd-py.1 from the command's own parser (`make man`): no date, no terminal's width leaves a trace in it."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from saslauthd_py import __version__
from saslauthd_py.cli.exits import MEANINGS
from saslauthd_py.cli.parser import build
from saslauthd_py.cli.syntax import Parser

PAGE = Path(__file__).parent / "man" / "saslauthd-py.1"

COMMON = 3
"""An option that this many commands have, in the same words, is described once, in OPTIONS."""

FILES = (
    ("/etc/saslauthd-py/saslauthd-py.toml", "The configuration, unless --config names another."),
    ("/var/lib/saslauthd-py/users.db", "The users, unless the configuration says otherwise; in a directory of the daemon's own (0700)."),
    ("/var/lib/saslauthd-py/usage.db", "When each password was last used."),
    ("/run/saslauthd/mux", "Where libsasl on Debian looks for the socket by itself; the configuration says where it is."),
)
SEE_ALSO = (("postconf", 5), ("saslauthd", 8), ("systemd.service", 5), ("testsaslauthd", 8))


def page() -> str:
    """The whole page, in the man(7) language."""
    return "\n".join(_page(build())) + "\n"


def _page(program: Parser) -> Iterator[str]:
    name, words = _text(program.prog), program.words
    commands = list(program.walk())
    counts = Counter(_key(action) for command in commands for action in command.arguments())
    yield f'.TH "{name.upper()}" "1" "" "saslauthd\\-py {_text(__version__)}" "User Commands"'
    yield from (".nh", ".ad l")
    yield from (".SH NAME", f"{name} \\- {_text(words.summary)}")
    yield from (".SH SYNOPSIS", f".B {name}", ".I COMMAND", "[\\fIOPTIONS\\fR] [\\fIARGUMENTS\\fR]")
    yield from (".br", f".B {name} \\-\\-help", "|", ".B \\-\\-version")
    yield from (".SH DESCRIPTION", _text(words.description))
    yield from (".PP", f"\\fB{name}\\fR \\fICOMMAND\\fR \\fB\\-\\-help\\fR explains a command, with its exit status.")
    yield ".SH COMMANDS"
    for command in commands:
        yield from _command(command, [action for action in command.arguments() if counts[_key(action)] < COMMON])
    yield ".SH OPTIONS"
    seen = {_key(action): action for command in commands for action in command.arguments() if counts[_key(action)] >= COMMON}
    for action in (*(action for action in seen.values() if action.option_strings), *program.arguments()):
        yield from _argument(action)
    yield ".SH EXIT STATUS"
    for code, meaning in sorted(MEANINGS.items()):
        yield from (".TP", f".B {code.value}", _sentence(meaning))
    yield ".SH FILES"
    for path, meaning in FILES:
        yield from (".TP", f".I {_text(path)}", _text(meaning))
    yield ".SH EXAMPLES"
    examples = {line: meaning for command in (program, *commands) for line, meaning in command.words.examples}
    for line, meaning in examples.items():
        yield from (".TP", f"\\fB{_text(line)}\\fR", _sentence(meaning))
    yield from (".SH SEE ALSO", ",\n".join(f".BR {_text(title)} ({section})" for title, section in SEE_ALSO).replace(",\n", " ,\n"))


def _command(command: Parser, own: list[argparse.Action]) -> Iterator[str]:
    usage = " ".join(f"[{_flag(action)}]".replace(" ", "\\ ") for action in command.arguments() if action.option_strings)
    operands = " ".join(_operand(action) for action in command.arguments() if not action.option_strings)
    yield f".SS {_text(' '.join(command.name))}"
    yield from (f"\\fB{_text(command.prog)}\\fR {usage} {operands}".rstrip(), ".PP", _text(command.words.description))
    for action in own:
        if action.option_strings:
            yield from _argument(action)


def _argument(action: argparse.Action) -> Iterator[str]:
    yield from (".TP", _flag(action), _sentence((action.help or "").replace("%(default)s", str(action.default))))


def _flag(action: argparse.Action) -> str:
    words = [f"\\fB{_text(action.option_strings[-1])}\\fR"]
    if action.choices:
        words.append("|".join(f"\\fB{_text(str(choice))}\\fR" for choice in action.choices))
    elif action.nargs != 0:
        words.append(f"\\fI{_text(str(action.metavar))}\\fR")
    return " ".join(words)


def _operand(action: argparse.Action) -> str:
    name = f"\\fI{_text(str(action.metavar))}\\fR"
    return {"*": f"[{name} ...]", "?": f"[{name}]"}.get(str(action.nargs), name)


def _key(action: argparse.Action) -> tuple[str, str]:
    return " ".join(action.option_strings), action.help or ""


def _sentence(text: str) -> str:
    return _text(text[:1].upper() + text[1:] + ("" if text.endswith(("?", ".")) else "."))


def _text(text: str) -> str:
    """Plain text: no backslash, hyphen or leading dot or quote of it means anything to troff."""
    escaped = text.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq").replace('"', "\\(dq")
    return f"\\&{escaped}" if escaped.startswith(".") else escaped


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
