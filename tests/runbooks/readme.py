"""The shell that README.md tells an admin to run, by section."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]

_FENCED = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_INDENTED = re.compile(r"^ {4}(\S.*?)(?: +# .*)?$", re.MULTILINE)
_HEADING = re.compile(r"^(#+) (.*)$", re.MULTILINE)


def section(title: str) -> str:
    """What stands below the heading, up to the next of its rank or a higher one."""
    text = (ROOT / "README.md").read_text()
    headings = list(_HEADING.finditer(_without_fences(text)))
    (number,) = (number for number, heading in enumerate(headings) if heading[2] == title)
    rank = len(headings[number][1])
    following = (heading.start() for heading in headings[number + 1 :] if len(heading[1]) <= rank)
    return text[headings[number].end() : next(following, len(text))]


def subsections(title: str) -> list[str]:
    """The headings one rank below."""
    return [heading[2] for heading in _HEADING.finditer(_without_fences(section(title))) if len(heading[1]) > len("##")]


def blocks(title: str) -> list[str]:
    """Its fenced blocks of shell, as they stand there."""
    return _FENCED.findall(section(title))


def lines(title: str) -> list[str]:
    """Its indented lines, without their comments."""
    return _INDENTED.findall(section(title))


def _without_fences(text: str) -> str:
    """As long, without what looks like a heading and is a shell's or TOML's comment."""
    return re.sub(r"^```.*?^```$", lambda fenced: " " * len(fenced[0]), text, flags=re.MULTILINE | re.DOTALL)
