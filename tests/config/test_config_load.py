"""Reading the configuration: every problem at once, each with its line, its key and what to do."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from saslauthd_py.config.load import DEFAULT_PATH, ConfigurationError, Problem, check, load, parse
from saslauthd_py.config.settings import BACKENDS, Listen, Settings
from tests.config.samples import BACKEND, LISTEN, ROUTE, SMALL, complaints

SECOND_LISTEN = LISTEN.replace("mux", "mux2")

KINDS = " or ".join(", ".join(f'"{name}"' for name in BACKENDS).rsplit(", ", 1))


def test_the_default_path() -> None:
    assert DEFAULT_PATH == "/etc/saslauthd-py/saslauthd-py.toml"


def test_a_file_is_loaded(tmp_path: Path) -> None:
    file = tmp_path / "a.toml"
    file.write_text(SMALL)
    assert load(str(file)) == check(str(file)).settings == parse(SMALL, "")


def test_a_problem_is_one_line_that_says_where() -> None:
    assert str(Problem("a.toml", 3, "server.user", "wrong")) == "a.toml:3: server.user: wrong"
    assert str(Problem("a.toml", 3, "", "wrong")) == "a.toml:3: wrong"
    assert str(Problem("a.toml", None, "", "wrong")) == "a.toml: wrong"


LONG_DELAY = ": each delayed answer holds a process of the mail server, and guessing is not limited by longer delays"


def test_all_problems_are_told_at_once_in_the_order_of_the_file() -> None:
    text = """\
[server]
deadlin = "8s"
max_connections = "many"

[[listen]]
protocol = "saslauth"
path = "mux"
mode = 660

[failure]
delay = "5s"

[backend.users]
type = "sotre"
fold = true

[[route]]
realm = "*"
service = 1
backends = ["usres"]
password = "hunter2"

[cahce]
max_entries = 5
"""
    assert complaints(text) == [
        '2: server.deadlin: unknown key (did you mean "deadline"?)',
        "3: server.max_connections: must be a whole number, not a string",
        '6: listen[0].protocol: must be "saslauthd", "pwcheck" or "dovecot", not "saslauth" (did you mean "saslauthd"?)',
        '7: listen[0].path: must be an absolute path, not "mux"',
        '8: listen[0].mode: must be an octal mode in quotes, such as "0660", not a whole number',
        f"11: failure.delay: must be at most 4s, not 5s{LONG_DELAY}",
        f'14: backend.users.type: must be {KINDS}, not "sotre" (did you mean "store"?)',
        "19: route[0].service: must be a string in quotes or a list of them, not a whole number",
        '20: route[0].backends[0]: there is no [backend.usres] (did you mean "users"?)',
        "21: route[0].password: unknown key; known here: realm, service, listener, backends, next_on, ignore_realm",
        '23: cahce: unknown table (did you mean "cache"?)',
    ]


def test_a_missing_key_has_the_line_of_its_table() -> None:
    assert complaints(f"{LISTEN}\n[[listen]]\n\n{BACKEND}[[route]]\n") == [
        "5: listen[1].protocol: is missing; it has no default",
        "5: listen[1].path: is missing; it has no default",
        "9: route[0].realm: is missing; it has no default",
        "9: route[0].backends: is missing; it has no default",
    ]
    assert complaints(f"{LISTEN}[backend.users]\n{ROUTE}") == [f"4: backend.users.type: is missing; it must be {KINDS}"]


def test_a_key_of_another_section_is_sent_there() -> None:
    assert complaints(f'{SMALL}[server]\nlevel = "info"') == ["10: server.level: unknown key (did you mean log.level?)"]
    assert complaints(f'{SMALL}[server]\npath = "/a"') == ["10: server.path: unknown key (did you mean listen.path or control.path?)"]
    assert complaints(f'deadline = "8s"\n{SMALL}') == ["1: deadline: unknown key (did you mean server.deadline?)"]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (f"server = 3\n{SMALL}", "1: server: must be one table: write [server], not a whole number"),
        (f"{SMALL}[[server]]\n", "9: server: must be one table: write [server], not a list"),
        (f"{SMALL.replace('[[listen]]', '[listen]')}", "1: listen: must be a list of tables: write [[listen]] for each, not a table"),
        (f"listen = [1]\n{BACKEND}{ROUTE}", "1: listen[0]: must be a list of tables: write [[listen]] for each, not a whole number"),
        (f"{LISTEN}{BACKEND}[route]\n", "6: route: must be a list of tables: write [[route]] for each, not a table"),
        (f"{SMALL}[backend]\nextra = 1\n", "10: backend.extra: must be tables with a name each: write [backend.NAME], not a whole number"),
        (f"backend = 'store'\n{LISTEN}", "1: backend: must be tables with a name each: write [backend.NAME], not a string"),
        (f"{LISTEN}allow_users = 'a'\n{BACKEND}{ROUTE}", "4: listen[0].allow_users: must be a list, not a string"),
    ],
)
def test_a_section_of_another_shape_is_told_how_it_is_written(text: str, complaint: str) -> None:
    assert complaint in complaints(text)


def test_keys_are_shown_as_an_admin_writes_them() -> None:
    assert complaints(SMALL + '"a b".c = 1\n"\\n[31m" = 1\n')[:2] == [
        '9: route[0]."a b": unknown key; known here: realm, service, listener, backends, next_on, ignore_realm',
        '10: route[0]."\\u000a[31m": unknown key; known here: realm, service, listener, backends, next_on, ignore_realm',
    ]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("a = b", "1: not TOML: invalid value; a string stands in quotes"),
        ("[server]\nuser = saslauthd", "2: not TOML: invalid value; a string stands in quotes"),
        ("\n\nkey", "3: not TOML: expected '=' after a key in a key/value pair"),
        ("a = [1,\n2,\n", "2: not TOML: the file ends in the middle of a value"),
        ("a = 1\n\n\na = 2", "4: not TOML: this key or table is there already"),
        ("[a]\n[a]", "2: not TOML: this key or table is there already"),
        ("a = {}\n[a.b]\n", "2: not TOML: this key or table is there already"),
        ("a = " + "9" * 5000, "not TOML: a number with too many digits"),
        ("a = " + "[" * 100_000, "nested too deeply: that is no configuration"),
    ],
)
def test_what_is_not_toml_is_told_with_its_line(text: str, complaint: str) -> None:
    (told,) = complaints(text)
    assert told == complaint


def test_a_file_that_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    for path, reason in ((tmp_path / "none.toml", "no such file or directory"), (tmp_path, "is a directory")):
        with pytest.raises(ConfigurationError) as caught:
            load(str(path))
        assert str(caught.value) == f"{path}: cannot be read: {reason}"
        assert isinstance(caught.value.__cause__, OSError)


def test_a_file_that_is_not_utf_8_is_told_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "a.toml"
    file.write_bytes(SMALL.encode() + b"# caf\xe9\n")
    with pytest.raises(ConfigurationError) as caught:
        load(str(file))
    assert str(caught.value) == f"{file}:9: not UTF-8: save the file as UTF-8"


def test_a_file_with_a_byte_order_mark_and_crlf_is_taken(tmp_path: Path) -> None:
    file = tmp_path / "a.toml"
    file.write_bytes(b"\xef\xbb\xbf" + SMALL.replace("\n", "\r\n").encode())
    assert load(str(file)) == parse(SMALL, "")


def test_a_file_that_never_ends_is_refused() -> None:
    with pytest.raises(ConfigurationError) as caught:
        load("/dev/zero")
    assert str(caught.value) == "/dev/zero: has over 1048576 bytes: that is no configuration"


def test_an_empty_configuration_is_told_what_it_lacks() -> None:
    assert complaints("") == [
        "no listener, so nobody could ask: add a [[listen]] with protocol and path",
        "no backend, so nobody could be known: add a [backend.NAME] with its type",
        "no route, so every login would be refused: add a [[route]] with realm and backends",
    ]
    assert [line.split(",")[0] for line in complaints(LISTEN + BACKEND)] == ["no route"]
    assert [line.split(",")[0] for line in complaints(LISTEN)] == ["no backend", "no route"]
    assert [line.split(",")[0] for line in complaints(BACKEND + ROUTE)] == ["no listener"]


def test_two_listeners_on_one_path_are_refused() -> None:
    text = LISTEN + LISTEN.replace("/run/saslauthd", "/run//saslauthd/.") + SECOND_LISTEN + BACKEND + ROUTE
    assert complaints(text) == ['6: listen[1].path: "/run//saslauthd/./mux" is the path of listen[0] already']


def test_a_route_names_backends_and_listeners_that_there_are() -> None:
    text = f'{LISTEN}{BACKEND}{ROUTE}listener = ["/run/saslauthd/mux",\n"/run/saslauthd/mx"]\n' + ROUTE.replace(
        '"users"', '"users", "pam-1"'
    )
    assert complaints(text) == [
        '10: route[0].listener[1]: no [[listen]] has the path "/run/saslauthd/mx" (did you mean "/run/saslauthd/mux"?)',
        "13: route[1].backends[1]: there is no [backend.pam-1]",
    ]


def test_what_is_wrong_in_itself_is_there_all_the_same() -> None:
    """A backend or listener with an error in it must not be reported as missing where a route names it."""
    text = f'{LISTEN}mod = "0660"\n[backend.users]\ntipe = "store"\n{ROUTE}listener = "/run/saslauthd/mux"\n'
    assert complaints(text) == [
        '4: listen[0].mod: unknown key (did you mean "mode"?)',
        f"5: backend.users.type: is missing; it must be {KINDS}",
    ]
    text = f'[[listen]]\nprotocol = "saslauthd"\npth = "/run/a"\n{BACKEND}{ROUTE}listener = "/run/a"\n'
    assert complaints(text) == ["1: listen[0].path: is missing; it has no default", '3: listen[0].pth: unknown key (did you mean "path"?)']


def test_b2_a_backend_that_drops_the_realm_does_not_stand_under_any_realm() -> None:
    backend = BACKEND + 'login = "{local}"\n'
    expected = (
        '8: route[0].realm: "*" takes every realm, and backend "users" drops it (login = "{local}"): alice@any.example would be its alice. '
        "Name the realms here, put {realm} into login, or say ignore_realm = true on this route if that is meant"
    )
    assert complaints(LISTEN + backend + ROUTE) == [expected]
    assert complaints(LISTEN + backend + ROUTE.replace('"*"', '["example.org", "*"]')) == [expected]
    assert complaints(LISTEN + backend + ROUTE + "ignore_realm = false") == [expected]
    for realm in ('"example.org"', '""', '["", "example.org"]'):
        assert parse(LISTEN + backend + ROUTE.replace('"*"', realm), "")
    assert parse(LISTEN + backend + ROUTE + "ignore_realm = true", "").route[0].ignore_realm
    assert parse(LISTEN + BACKEND + 'login = "{realm}+{local}"\n' + ROUTE, "")


def test_b2_every_backend_of_a_chain_is_looked_at() -> None:
    fixed = '[backend.fixed]\ntype = "store"\nlogin = "{local}@example.org"\n'
    text = LISTEN + BACKEND + fixed + ROUTE.replace('"users"', '"users", "fixed"')
    (complaint,) = complaints(text)
    assert complaint.startswith('10: route[0].realm: "*" takes every realm, and backend "fixed" drops it')


def warned(text: str, path: Path) -> list[str]:
    file = path / "a.toml"
    file.write_text(text)
    return [str(problem).removeprefix(f"{file}:") for problem in check(str(file)).warnings]


def test_a_backend_that_no_route_uses_is_a_warning(tmp_path: Path) -> None:
    assert warned(SMALL, tmp_path) == []
    text = SMALL + '[backend.spare]\ntype = "store"\n'
    assert warned(text, tmp_path) == ["9: backend.spare: no route uses this backend"]


@pytest.mark.parametrize(
    ("first", "second", "covered"),
    [
        ("realm = '*'", "realm = 'example.org'", True),
        ("realm = '*'", "realm = ''", True),
        ("realm = '*'", "realm = '*'", True),
        ("realm = ['a.example', 'b.example']", "realm = 'B.example'", True),
        ("realm = 'a.example'", "realm = ['a.example', 'b.example']", False),
        ("realm = 'a.example'", "realm = '*'", False),
        ("realm = ''", "realm = 'a.example'", False),
        ("realm = '*'\nservice = 'smtp'", "realm = 'a.example'", False),
        ("realm = '*'\nservice = 'pop3'", "realm = 'a.example'\nservice = 'pop'", True),
        ("realm = '*'\nservice = 'smtp'", "realm = 'a.example'\nservice = 'imap'", False),
        ("realm = '*'\nlistener = '/run/saslauthd/mux'", "realm = 'a.example'", False),
        ("realm = '*'", "realm = 'a.example'\nlistener = '/run/saslauthd/mux'", True),
    ],
)
def test_a_route_that_is_never_taken_is_a_warning(first: str, second: str, covered: bool, tmp_path: Path) -> None:
    text = LISTEN + BACKEND + "".join(f"[[route]]\nbackends = ['users']\n{route}\n" for route in (first, second))
    line = 8 + first.count("\n") + 1
    expected = [f"{line}: route[1]: never taken: route[0] stands before it and takes all of this"] if covered else []
    assert warned(text, tmp_path) == expected


def test_warnings_do_not_stop_loading() -> None:
    assert isinstance(parse(SMALL + ROUTE, ""), Settings)


KEYS = {
    "server": ("user", "group", "deadline", "compat_limits", "max_connections", "max_connections_per_peer"),
    "log": ("to", "level"),
    "identity": ("default_realm",),
    "[listen]": tuple(Listen.model_fields),
    "backend.x": ("type", "login", "fold_case", "cache", "parallel", "services", "path", "scheme", "rehash"),
    "[route]": ("realm", "service", "listener", "backends", "next_on", "ignore_realm"),
    "cache": ("max_entries",),
    "failure": ("delay", "max_held_per_listener"),
}
PLACES = [(section, key) for section, keys in KEYS.items() for key in (*keys, "other")]
VALUES = (
    "1", "-1", "0", "1e400", "nan", "true", '""', '"x"', '"{"', '"2s"', '"hidden-secret"', "1979-05-27", "07:32:00", "[]", "[1]", '["x"]',
    "[[]]", "[{}]", "{}", "{a = 1}", '{type = "store"}', "9" * 400, '"\\u0000"', '"\\r\\n"',
)  # fmt: skip
PYDANTICS = ("Input", "Field required", "Extra inputs", "Unable to", "has no value that can be used")
"""How pydantic begins; and what we say where we know no better, which is for no one to read."""


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize(("section", "key"), PLACES)
def test_every_problem_is_told_in_our_words(section: str, key: str, value: str) -> None:
    kind = 'type = "store"\n' if section == "backend.x" and key != "type" else ""
    for problem in complaints(f"[{section}]\n{kind}{key} = {value}\n"):
        assert problem.isprintable()
        assert not any(words in problem for words in PYDANTICS)


@pytest.mark.parametrize("section", ["server", "log", "identity", "listen", "backend", "backend.x", "route", "cache", "failure", "other"])
@pytest.mark.parametrize("value", VALUES)
def test_a_section_may_hold_anything_and_is_told_in_our_words(section: str, value: str) -> None:
    for problem in complaints(f"{section} = {value}\n"):
        assert problem.isprintable()
        assert not any(words in problem for words in PYDANTICS)


@given(st.text(max_size=80) | st.text("ab=[]{}\"'#.,\\\n 1", max_size=80))
def test_any_text_is_a_configuration_or_a_configuration_error(text: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse(text, "FILE")
    assert all("\n" not in str(problem) for problem in caught.value.problems)


SITE = {
    "server": {"user": "'daemon'", "deadline": '"""9s"""', "compat_limits": "true", "max_connections": "0x20"},
    "log": {"to": '"""\nstderr"""', "level": "'''\ndebug'''"},
    "failure": {"delay": "'1s'", "max_held_per_listener": "+7"},
    "listen": {"protocol": '"saslauthd"', "path": "'''\n/run/a'''", "allow_users": "[ # wrong = 1\n 'a', ]", "mode": '"06\\u00360"'},
    "backend": {"type": '"""store"""', "services": '[\n"smtp",\n\n"imap"\n]', "cache": '"0s"'},
    "route": {"realm": "['', '''*''']", "backends": "['users']", "next_on": '["unknown"]'},
}
"""A right configuration in many of TOML's spellings."""
HEADERS = {"listen": "[[listen]]", "route": "[[ 'route' ]]", "backend": '[backend . "users"]'}
PATHS = {"listen": "listen[0]", "backend": "backend.users", "route": "route[0]"}
WRONG_VALUES = ("1", '"x"', "[\n1]", "{ a = 1 }", "'''\nwrong = 1\n'''")
NOISE = ("", "\n", "# wrong = 1\n", "  # [x]\n\n", '# """\n')
SPOT = "\0"


@st.composite
def planted(draw: st.DrawFn) -> tuple[str, int, str]:
    """SITE in any order and layout, with one wrong key in it; the line where that stands, and the path by which it is known."""
    home = draw(st.sampled_from(list(SITE)))
    above, tables = "", ""
    for section in draw(st.permutations(list(SITE))):
        keys = list(SITE[section].items()) + ([("wrong", draw(st.sampled_from(WRONG_VALUES)))] if section == home else [])
        pairs = [(_spelt(key, draw), value) for key, value in draw(st.permutations(keys))]
        if draw(st.booleans()):
            tables += _table(section, pairs, draw)
        else:
            above += _without_header(section, pairs, draw)
    text = above + tables
    return text.replace(SPOT, ""), text[: text.index(SPOT)].count("\n") + 1, f"{PATHS.get(home, home)}.wrong"


def _spelt(key: str, draw: st.DrawFn) -> str:
    quote = draw(st.sampled_from(["", "'", '"']))
    return (SPOT if key == "wrong" else "") + quote + key + quote


def _table(section: str, pairs: list[tuple[str, str]], draw: st.DrawFn) -> str:
    lines = [HEADERS.get(section, f"[{section}]"), *(f"{key} = {value}" for key, value in pairs)]
    return "".join(f"{draw(st.sampled_from(NOISE))}{line}{draw(st.sampled_from(['', ' # wrong = 1']))}\n" for line in lines)


def _without_header(section: str, pairs: list[tuple[str, str]], draw: st.DrawFn) -> str:
    noise, name = draw(st.sampled_from(NOISE)), PATHS["backend"] if section == "backend" else section
    inline = "{ " + ", ".join(f"{key} = {value}" for key, value in pairs) + " }"
    if section in ("listen", "route"):
        return f"{noise}{section} = [{noise}{inline}]\n"
    if draw(st.booleans()):
        return f"{noise}{name} = {inline}\n"
    return "".join(f"{noise}{name}.{key} = {value}\n" for key, value in pairs)


@given(planted())
def test_a_wrong_key_is_found_on_its_line(case: tuple[str, int, str]) -> None:
    text, line, path = case
    (complaint,) = complaints(text)
    assert complaint.startswith(f"{line}: {path}: unknown key; known here: ")


def test_what_the_configuration_does_not_use_is_not_imported() -> None:
    """Commands that never open a store do not pay for hashes, and nothing pays for trio."""
    program = (
        "import sys, saslauthd_py.config.load; print(sorted({'argon2', 'trio', 'ldap3', 'sqlite3', 'ctypes.util'} & set(sys.modules)))"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout == "[]\n"
