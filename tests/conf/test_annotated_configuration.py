"""conf/saslauthd-py.toml, the manual that an admin reads first: it loads, and says of every key what is true."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from saslauthd_py.config.load import check, differences, parse
from saslauthd_py.config.settings import BACKENDS, BackendSettings, LdapSettings, Listen, Route, Settings
from saslauthd_py.config.settings.proxy_user import ProxyUser

FILE = Path(__file__).parent.parent.parent / "conf" / "saslauthd-py.toml"
TEXT = FILE.read_text()
ORIGINALS_FILE = "/etc/saslauthd.conf"

SINGLE = {name: type(section) for name, section in Settings() if isinstance(section, BaseModel)}


MODELS: list[tuple[str, type[BaseModel]]] = [
    *((f"[{name}]", model) for name, model in SINGLE.items()),
    ("[[route]]", Route),
    ("[backend.users]", BACKENDS["store"]),
]
"""The header under which the keys of each model are explained."""

OTHER_BACKENDS = {
    "#[backend.system]": BACKENDS["pam"],
    "#[backend.machine]": BACKENDS["shadow"],
    "#[backend.nis]": BACKENDS["getpwent"],
    "#[backend.realm]": BACKENDS["kerberos"],
    "#[backend.old]": BACKENDS["saslauthd"],
    "#[backend.file]": BACKENDS["passwd_file"],
    "#[backend.mail]": BACKENDS["imap"],
    "#[backend.page]": BACKENDS["http_form"],
    "#[backend.original_users]": BACKENDS["sasldb"],
}
"""They stand behind a `#`, with those of their keys that the one before has not explained."""

LDAP_TABLES = TEXT[TEXT.index("#[backend.directory]") : TEXT.index("# Who is asked for whom.")]
"""One after the other: keys of LDAP exclude each other."""

SWITCHED_OFF: dict[str, type[BaseModel]] = {**OTHER_BACKENDS, "#[[proxy_user]]": ProxyUser}


@pytest.fixture
def switched_on(tmp_path: Path) -> str:
    """The same with every key and table that stands behind a `#` without a space, and with the original's file, which is read."""
    original = tmp_path / "saslauthd.conf"
    original.write_text("ldap_search_base: dc=example,dc=org\n")
    return re.sub(r"^#(?=\S)", "", TEXT, flags=re.MULTILINE).replace(ORIGINALS_FILE, str(original))


def table(text: str, header: str) -> str:
    """The lines from the first active `header` up to the next table."""
    start = re.search(rf"^{re.escape(header)}$", text, re.MULTILINE)
    assert start is not None, header
    rest = text[start.end() :]
    return re.split(r"^\[", rest, maxsplit=1, flags=re.MULTILINE)[0]


def explained(header: str) -> dict[str, str]:
    """Each key of a table as it is before anything is switched on, `#` or not, and the comment that stands above it."""
    found: dict[str, str] = {}
    comment: list[str] = []
    block = re.split(r"^#\[", table(TEXT, header), maxsplit=1, flags=re.MULTILINE)[0]
    for line in block.splitlines():
        if key := re.match(r"#?(\w+) = ", line):
            found[key[1]] = " ".join(comment)
            comment = []
        elif line.startswith("# "):
            comment.append(line.removeprefix("# "))
        else:
            comment = []
    return found


def explanations(text: str) -> list[tuple[str, str, str]]:
    """Comment, key and value of each key with a comment above it; a key without one was explained before."""
    return re.findall(r"((?:^# .*\n)+)#?(\w+) = (.*)$", text, re.MULTILINE)


def written_of_listeners() -> list[tuple[str, str, str]]:
    """Those of a [[listen]]; those of "dovecot" stand behind a `#`, in tables below."""
    return explanations(table(TEXT, "[[listen]]"))


def test_every_key_of_a_listener_is_there_once_with_its_explanation() -> None:
    assert sorted(key for _, key, _ in written_of_listeners()) == sorted(Listen.model_fields)
    for comment, key, _ in written_of_listeners():
        description = Listen.model_fields[key].description
        assert description
        assert comment.replace("\n# ", " ").removeprefix("# ").startswith(description), key


def test_every_key_of_a_listener_that_has_a_default_stands_at_it() -> None:
    defaults = Listen(protocol="dovecot", path="/a").model_dump(mode="json", exclude={"path"})
    for _, key, value in written_of_listeners():
        if key != "protocol" and defaults.get(key) is not None:
            assert tomllib.loads(f"{key} = {value}") == {key: defaults[key]}


def test_every_kind_of_backend_is_explained() -> None:
    single = {model for _, model in MODELS if issubclass(model, BackendSettings)} | set(OTHER_BACKENDS.values())
    assert single | {LdapSettings} == set(BACKENDS.values())


def own_keys(model: type[BaseModel]) -> list[str]:
    return [key for key in model.model_fields if key in model.__annotations__]


def explained_truly(model: type[BaseModel], written: list[tuple[str, str, str]]) -> None:
    """Each comment begins with the key's description, and the value is the default where there is one."""
    for comment, key, value in written:
        field = model.model_fields[key]
        assert field.description
        assert comment.replace("\n# ", " ").removeprefix("# ").startswith(field.description), key
        if not field.is_required() and field.default is not None and field.default_factory is None:
            default = model.model_construct(**{key: field.default}).model_dump(mode="json", include={key})
            assert tomllib.loads(f"{key} = {value}") == default


def test_every_key_of_a_directory_is_there_once_with_its_explanation() -> None:
    written = explanations(LDAP_TABLES)
    assert sorted(key for _, key, _ in written) == sorted(own_keys(LdapSettings))
    explained_truly(LdapSettings, written)


@pytest.mark.parametrize(("header", "model"), SWITCHED_OFF.items())
def test_own_keys_of_a_table_stand_at_their_defaults_with_their_explanation(header: str, model: type[BaseModel]) -> None:
    block = table(TEXT, header).split("\n\n")[0]
    written = explanations(block)
    assert sorted(key for _, key, _ in written) == sorted(own_keys(model))
    explained_truly(model, written)


def test_it_loads_without_a_warning(switched_on: str, tmp_path: Path) -> None:
    file = tmp_path / "saslauthd-py.toml"
    file.touch(mode=0o600)  # switched on, it holds a secret in line
    for text in (TEXT, switched_on):
        file.write_text(text)
        assert check(str(file)).warnings == ()


def test_switching_on_adds_examples(switched_on: str) -> None:
    examples = parse(switched_on, "")
    assert len(examples.listen) > len(parse(TEXT, "").listen)
    assert len(examples.route) > len(parse(TEXT, "").route)


def test_as_it_is_nothing_differs_from_the_defaults() -> None:
    assert differences(parse(TEXT, "")) == {
        "listen": [{"protocol": "saslauthd", "path": "/run/saslauthd/mux"}],
        "backend": {"users": {"type": "store"}},
        "route": [{"realm": "*", "backends": ["users"]}],
    }


@pytest.mark.parametrize(("header", "model"), MODELS)
def test_every_key_is_there_with_its_explanation(header: str, model: type[BaseModel]) -> None:
    keys = explained(header)
    assert list(keys) == list(model.model_fields)
    for key, field in model.model_fields.items():
        assert field.description
        assert keys[key].startswith(field.description), key


def written_defaults(model: type[BaseModel]) -> dict[str, Any]:
    """The default of each key that has one which can be written."""
    given = {"protocol": "saslauthd", "path": "/a", "realm": "*", "backends": ["a"], "type": "store"}
    required = {key: given[key] for key, field in model.model_fields.items() if field.is_required()}
    written = model.model_validate(required).model_dump(mode="json")
    return {key: value for key, value in written.items() if key not in required and value is not None}


@pytest.mark.parametrize(("header", "model"), MODELS)
def test_every_key_stands_at_its_default(header: str, model: type[BaseModel]) -> None:
    keys = tomllib.loads(table(TEXT, header))
    defaults = written_defaults(model)
    assert {key: keys[key] for key in defaults} == defaults


def test_defaults_that_depend_on_the_machine_are_shown_switched_off(switched_on: str) -> None:
    off = {key for key in explained("[[listen]]") if key not in tomllib.loads(table(TEXT, "[[listen]]"))}
    assert off == {"user", "group", "trust"}
    assert (
        Listen.model_validate(tomllib.loads(TEXT)["listen"][0]).trusted_up_to.name.lower()
        == tomllib.loads(switched_on)["listen"][0]["trust"]
    )


def test_it_is_readable() -> None:
    assert max(map(len, TEXT.splitlines())) <= 140
    assert not re.search(r"[ \t]$|\t", TEXT, re.MULTILINE)
