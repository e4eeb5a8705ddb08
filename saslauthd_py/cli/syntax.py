"""What the definitions of commands are made with: an argparse that raises, and the words of help and man page beside the flags."""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

from saslauthd_py import __version__
from saslauthd_py.cli.exits import MEANINGS, CommandFailed, Exit

DEFAULT_CONFIGURATION = "/etc/saslauthd-py/saslauthd-py.toml"
"""`config.load.DEFAULT_PATH`, for a help text that does not import pydantic; a test compares them."""

ALWAYS = {code: MEANINGS[code] for code in (Exit.USAGE, Exit.BUG, Exit.INTERRUPTED)}
CONFIGURED = {Exit.CONFIGURATION: MEANINGS[Exit.CONFIGURATION]}


@dataclass(frozen=True, slots=True)
class Words:
    """What help and man page say of a command: a line, a paragraph, its exit codes beyond ALWAYS, and examples (line, meaning)."""

    summary: str
    description: str
    exits: Mapping[Exit, str] = field(default_factory=dict)
    examples: Sequence[tuple[str, str]] = ()

    def exit_status(self) -> list[tuple[Exit, str]]:
        """Every code of the command, in order."""
        return sorted({**ALWAYS, **self.exits}.items())


class HelpWanted(Exception):
    """--help or --version: its text is what to print."""


class Parser(argparse.ArgumentParser):
    """An argparse that never prints and never exits: a wrong command line is CommandFailed, help is HelpWanted."""

    def __init__(self, prog: str, words: Words, **inherited: Any) -> None:  # noqa: ANN401 - what add_parser hands down (3.14: color)
        super().__init__(
            prog=prog,
            description=textwrap.fill(words.description, 100),
            epilog=_epilog(words),
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
            **inherited,
        )
        self.words = words
        self.commands: dict[str, Parser] = {}
        self.name: tuple[str, ...] = ()
        self._branches: argparse._SubParsersAction[Parser] | None = None

    def error(self, message: str) -> NoReturn:
        raise CommandFailed(Exit.USAGE, f"{message}; see {self.prog} --help")

    def print_help(self, *_: object) -> NoReturn:
        raise HelpWanted(self.format_help())

    def command(self, name: str, words: Words) -> Parser:
        """A command below this one, to be given its flags."""
        if self._branches is None:
            self._branches = self.add_subparsers(metavar="COMMAND", required=True, title="commands", parser_class=Parser)
        parser = self._branches.add_parser(name, help=words.summary, prog=f"{self.prog} {name}", words=words)
        parser.name = (*self.name, name)
        parser.set_defaults(command=parser.name)
        self.commands[name] = parser
        return parser

    def arguments(self) -> list[argparse.Action]:
        """What it takes besides --help and commands, in the order of the help."""
        return [action for action in self._actions if action.dest not in {"help", argparse.SUPPRESS}]

    def walk(self) -> Iterator[Parser]:
        """Every command that does something, in the order of the help."""
        for parser in self.commands.values():
            if parser.commands:
                yield from parser.walk()
            else:
                yield parser


class Version(argparse.Action):
    """--version, as HelpWanted."""

    def __call__(self, *_: object, **__: object) -> NoReturn:
        raise HelpWanted(f"saslauthd-py {__version__}\n")


def takes_config(parser: Parser) -> None:
    """--config, for every command that opens the store or asks the daemon."""
    parser.add_argument("--config", metavar="FILE", type=_file_name, help=f"the configuration (default: {DEFAULT_CONFIGURATION})")


def takes_json(parser: Parser) -> None:
    """--json, wherever a program may read the output."""
    parser.add_argument("--json", action="store_true", help="print JSON")


def takes_secret(parser: Parser) -> None:
    """Where the secret comes from, other than a prompt."""
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--password-stdin", action="store_true", help="read the password from standard input, less one trailing newline")
    source.add_argument("--password-file", metavar="FILE", help="read the password from FILE, less one trailing newline")


def _file_name(text: str) -> str:
    if not text:
        raise argparse.ArgumentTypeError("an empty name; leave the option out for the default")
    return text


def _epilog(words: Words) -> str:
    blocks = ["exit status:\n" + "\n".join(f"  {code:<4} {text}" for code, text in words.exit_status())]
    if words.examples:
        blocks.append("examples:\n" + "\n".join(f"  {line}\n      {text}" for line, text in words.examples))
    return "\n\n".join(blocks)
