"""Where in a TOML text a key stands."""

from __future__ import annotations

import tomllib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from saslauthd_py.config.load.lines import Lines, Path

Draw = Callable[[st.SearchStrategy[str]], str]


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("a = 1\n\n# b = 2\nb = 2\n", {("a",): 1, ("b",): 4}),
        ("[a]\nb = 1\n[c.d]\ne = 1", {("a",): 1, ("a", "b"): 2, ("c",): 3, ("c", "d"): 3, ("c", "d", "e"): 4}),
        ("[[a]]\nb = 1\n[[a]]\nb = 2", {("a",): 1, ("a", 0): 1, ("a", 0, "b"): 2, ("a", 1): 3, ("a", 1, "b"): 4}),
        ("[[a]]\n[a.b]\nc = 1\n[[a.d]]\n[[a]]\n[[a.d]]\ne = 1", {("a", 0, "b", "c"): 3, ("a", 0, "d", 0): 4, ("a", 1, "d", 0, "e"): 7}),
        ("a.b.c = 1\na . 'b' . \"d\" = 1", {("a",): 1, ("a", "b", "c"): 1, ("a", "b", "d"): 2}),
        ("a = { b = 1, c = { d = 2 } }", {("a", "b"): 1, ("a", "c", "d"): 1}),
        ("a = [\n  1, # x = 2\n  [ 2,\n 3 ],\n]\nb = 1", {("a", 0): 2, ("a", 1): 3, ("a", 1, 1): 4, ("b",): 6}),
        ("a = [ { b = 1 },\n { b = 2 } ]", {("a", 0, "b"): 1, ("a", 1, "b"): 2}),
        ('a = """\nb = 1\n"""\nb = 2', {("b",): 4}),
        ('a = """x""""\nb = """\\"""\n"""""\nc = 1', {("b",): 2, ("c",): 4}),
        ("a = '''\nb = '1'\n'''''\nb = 2", {("b",): 4}),
        ('a = \'#\'\nb = "#\\"#" # c = 1\nc = 1979-05-27 07:32:00 # d\nd = 1', {("b",): 2, ("c",): 3, ("d",): 4}),
        ('"a b" = 1\n"\\u0061" = 1\n"#" = 2\n"" = 3', {("a b",): 1, ("a",): 2, ("#",): 3, ("",): 4}),
        ("a = 1\r\nb = 2\r\n", {("b",): 2}),
        ("\ta\t=\t1\n [ b ] # x\n c=2", {("a",): 1, ("b",): 2, ("b", "c"): 3}),
        ("[a.b]\n[a]\nc = 1", {("a",): 2, ("a", "b"): 1}),
    ],
)
def test_lines_of_a_text(text: str, lines: dict[Path, int]) -> None:
    tomllib.loads(text)
    found = Lines(text)
    assert {path: found.of(path) for path in lines} == lines


def test_what_is_not_there_has_the_line_of_what_contains_it() -> None:
    lines = Lines("a = 1\n[[b]]\nc = [1,\n2]")
    assert lines.of(("b", 0, "missing")) == 2
    assert lines.of(("b", 0, "c", 1, "deeper", 7)) == 4
    assert lines.of(("missing", "a")) is None
    assert lines.of(()) is None


NOISE = ("", "# comment", "# [x]", "# x = 1", '# """', "# '''", "   ", "\t# = {")
SCALARS = (
    "1", "0x1F", "-1.5e3", "true", "inf", "1979-05-27T07:32:00Z", "1979-05-27 07:32:00", "07:32:00",
    '"plain"', '"\\"# [x]\\\\"', '"= { ] ,"', "'lit\"eral # x'", "''", '""',
    '"""one"""', '"""\nx = 1\n[y]\n"""', '"""\\"""\n""\\\\"""', '""""quoted" x"""""', "'''\n[[z]]\nx = '1'\n'''", "''''x'''''",
)  # fmt: skip


class Writer:
    """Writes a document piece by piece, and notes on which line each path of it begins."""

    def __init__(self, draw: Draw) -> None:
        self.draw = draw
        self.text = ""
        self.lines: dict[Path, int] = {}
        self.keys = 0

    def one_of(self, *choices: str) -> str:
        return self.draw(st.sampled_from(choices))

    def mark(self, path: Path) -> None:
        self.lines.setdefault(path, self.text.count("\n") + 1)

    def noise(self) -> None:
        while self.one_of("", "more"):
            self.text += self.one_of(*NOISE) + "\n"

    def name(self) -> tuple[str, str]:
        """A key that is new, and a spelling of it."""
        self.keys += 1
        name = self.one_of(f"k{self.keys}", f"k {self.keys}.#=[", f"{self.keys}\u00e4\u2028")
        quoted = '"' + "".join(f"\\u{ord(letter):04x}" for letter in name) + '"'
        return name, self.one_of(*([name] if name.isalnum() and name.isascii() else []), f"'{name}'", f'"{name}"', quoted)

    def pair(self, table: Path, depth: int = 0) -> None:
        path, spelling = table, list[str]()
        for _ in range(len(self.one_of("x", "x", "xx", "xxx"))):
            name, spelt = self.name()
            path, spelling = (*path, name), [*spelling, spelt]
        for end in range(len(table) + 1, len(path) + 1):
            self.mark(path[:end])
        self.text += self.one_of(".", " . ").join(spelling) + self.one_of(" = ", "=", "\t=  ")
        self.value(path, depth)

    def value(self, path: Path, depth: int) -> None:
        kind = self.one_of("scalar", "list", "inline") if depth < 3 else "scalar"
        if kind == "scalar":
            self.text += self.one_of(*SCALARS)
        elif kind == "list":
            self.text += "["
            for place in range(len(self.one_of("", "x", "xxx"))):
                self.text += self.one_of("", " ", "\n", " # ] x\n\t")
                self.mark((*path, place))
                self.value((*path, place), depth + 1)
                self.text += self.one_of(",", " ,", "\n,")
            self.text += self.one_of("", "\n", "# ]\n") + "]"
        else:
            self.text += "{"
            for place in range(len(self.one_of("", "x", "xx"))):
                self.text += "," if place else ""
                self.pair(path, depth + 1)
            self.text += self.one_of("", " ") + "}"

    def pairs(self, table: Path) -> None:
        while self.one_of("", "more"):
            self.noise()
            self.text += self.one_of("", "  ")
            self.pair(table)
            self.text += self.one_of("", " # = '''") + "\n"

    def header(self, parent: Path, spelt_parent: str) -> tuple[Path, str]:
        """`[parent.new]` with some pairs."""
        self.noise()
        name, spelt = self.name()
        spelt = f"{spelt_parent}.{spelt}" if spelt_parent else spelt
        self.mark((*parent, name))
        self.text += f"[{self.one_of('', ' ')}{spelt}]\n"
        self.pairs((*parent, name))
        return (*parent, name), spelt

    def array(self) -> None:
        """Some `[[new]]`, each with pairs and tables below it."""
        name, spelt = self.name()
        for place in range(len(self.one_of("x", "xx", "xxx"))):
            self.noise()
            self.mark((name,))
            self.mark((name, place))
            self.text += f"[[{spelt}]]{self.one_of('', ' # [[')}\n"
            self.pairs((name, place))
            if self.one_of("", "table"):
                self.header((name, place), spelt)

    def document(self) -> None:
        self.pairs(())
        while kind := self.one_of("", "table", "below", "array"):
            if kind == "array":
                self.array()
            else:
                table, spelt = self.header((), "")
                if kind == "below":
                    self.header(table, spelt)


@given(st.data())
def test_lines_of_any_text(data: st.DataObject) -> None:
    writer = Writer(data.draw)
    writer.document()
    tomllib.loads(writer.text)
    found = Lines(writer.text)
    assert {path: found.of(path) for path in writer.lines} == writer.lines


@given(st.text("ab=[]{}\"'#.,\\\n 1", max_size=60))
def test_a_text_that_is_not_understood_does_no_harm(text: str) -> None:
    line = Lines(text).of(("a",))
    assert line is None or 1 <= line <= text.count("\n") + 1
