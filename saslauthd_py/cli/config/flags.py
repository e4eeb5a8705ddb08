"""The flags of `config ...`."""

from __future__ import annotations

from saslauthd_py.cli.exits import Exit
from saslauthd_py.cli.syntax import CONFIGURED, Parser, Words, takes_config, takes_json

_NO_FILE = {Exit.NO_FILE: "no such configuration"}

_CONFIG = Words(summary="look at the configuration", description="Checks, shows and describes the configuration; changes nothing.")
_CHECK = Words(
    summary="every problem of the configuration at once",
    description="Prints every problem with file, line, key and, where a key is unknown, the nearest one; else that the file is ok.",
    exits={Exit.DONE: "no problem (warnings count as none)"} | CONFIGURED | _NO_FILE,
    examples=(("saslauthd-py config check --config new.toml", "before it is put in place"),),
)
_SHOW = Words(
    summary="what differs from the defaults",
    description="Prints as TOML only what the configuration changes, with secrets masked.",
    exits={Exit.DONE: "shown"} | CONFIGURED | _NO_FILE,
    examples=(("saslauthd-py config show --json", "for programs"),),
)
_SCHEMA = Words(
    summary="the JSON Schema of the configuration",
    description="Prints the JSON Schema of the configuration, for editors that complete and check TOML.",
    exits={Exit.DONE: "printed"},
    examples=(("saslauthd-py config schema > saslauthd-py.schema.json", "for an editor"),),
)


def add_config(program: Parser) -> None:
    """Everything below `config`."""
    config = program.command("config", _CONFIG)
    for name, words in (("check", _CHECK), ("show", _SHOW)):
        command = config.command(name, words)
        takes_config(command)
        takes_json(command)
    config.command("schema", _SCHEMA)
