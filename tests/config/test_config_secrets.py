"""Secrets of the configuration (rule A8), shown through a kind of backend that only these tests have."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import pytest
from pydantic import ValidationError

from saslauthd_py.config import load as load_package
from saslauthd_py.config.load import ConfigurationError, check, differences, findings, load, parse, render_toml, schema, written
from saslauthd_py.config.settings import BACKENDS, BackendSettings, Settings
from saslauthd_py.config.settings.secret import ConfiguredSecret, SecretKey
from saslauthd_py.secret import Secret
from tests.config.samples import LISTEN, complaints

HIDDEN = "correct horse"
SITE = f'{LISTEN}[[route]]\nrealm = "*"\nbackends = ["vault"]\n[backend.vault]\ntype = "vault"\n'
LINE = 9
"""The line after SITE."""


class Vault(BackendSettings):
    type: Literal["vault"]
    password: SecretKey = None
    token: SecretKey = None


@pytest.fixture(autouse=True)
def vault(monkeypatch: pytest.MonkeyPatch) -> None:
    """Vault is a backend like any other, in every place that knows the whole file."""
    monkeypatch.setitem(BACKENDS, "vault", Vault)

    class WithVault(Settings):
        pass

    for module in (load_package, findings, written):
        monkeypatch.setattr(module, "Settings", WithVault)


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, str, int], str]:
    def write(name: str, text: str, mode: int) -> str:
        path = tmp_path / name
        path.write_text(text)
        path.chmod(mode)
        return str(path)

    return write


def password(settings: Settings) -> ConfiguredSecret:
    backend: BackendSettings = settings.backend["vault"]
    assert isinstance(backend, Vault)
    assert backend.password is not None
    return backend.password


def test_a8_a_secret_in_line(write: Callable[[str, str, int], str]) -> None:
    settings = load(write("a.toml", f'{SITE}password = "{HIDDEN}"\n', 0o640))
    assert password(settings) == Secret(HIDDEN.encode())
    assert password(settings).file is None


@pytest.mark.parametrize("mode", [0o644, 0o604, 0o602, 0o666])
def test_a8_a_secret_in_line_is_refused_in_a_file_that_others_can_open(write: Callable[[str, str, int], str], mode: int) -> None:
    path = write("a.toml", f'{SITE}password = "{HIDDEN}"\n', mode)
    with pytest.raises(ConfigurationError) as caught:
        load(path)
    assert str(caught.value) == (
        f"{path}:{LINE}: backend.vault.password: a secret in a file that is open to every user of this machine: chmod o= it, change the "
        "secret, or use password_file"
    )


def test_a8_it_is_refused_beside_all_other_problems(write: Callable[[str, str, int], str]) -> None:
    path = write("a.toml", f'{SITE}password = "{HIDDEN}"\nparalel = 3\n', 0o644)
    with pytest.raises(ConfigurationError) as caught:
        load(path)
    assert [problem.path for problem in caught.value.problems] == ["backend.vault.password", "backend.vault.paralel"]


def test_a8_a_file_that_others_can_open_may_name_a_secrets_file(write: Callable[[str, str, int], str]) -> None:
    path = write("secret", HIDDEN, 0o600)
    assert password(load(write("a.toml", f'{SITE}password_file = "{path}"\n', 0o644))).file == path


@pytest.mark.parametrize(
    ("written", "secret"), [("x", b"x"), ("x\n", b"x"), ("x\n\n", b"x\n"), (" x y \n", b" x y "), ("x\r\n", b"x\r"), ("\n\n", b"\n")]
)
def test_a_secrets_file_loses_one_newline(write: Callable[[str, str, int], str], written: str, secret: bytes) -> None:
    path = write("secret", written, 0o640)
    Path(path).write_bytes(written.encode())
    assert password(parse(f'{SITE}password_file = "{path}"', "")).reveal() == secret


def complaint(name: str) -> str:
    (told,) = complaints(f'{SITE}password_file = "{name}"')
    assert HIDDEN not in told
    place, _, text = told.partition(": backend.vault.password_file: ")
    assert place == str(LINE)
    return text


@pytest.mark.parametrize("mode", [0o644, 0o604, 0o602])
def test_a8_a_secrets_file_that_others_can_open_is_refused(write: Callable[[str, str, int], str], mode: int) -> None:
    path = write("secret", HIDDEN, mode)
    assert complaint(path) == f'"{path}" is open to every user of this machine: chmod o= it, and change the secret'


def test_a_secrets_file_that_is_of_no_use(write: Callable[[str, str, int], str], tmp_path: Path) -> None:
    assert complaint("/nowhere/secret") == '"/nowhere/secret": no such file or directory'
    assert complaint(str(tmp_path)) == f'"{tmp_path}": is a directory'
    assert complaint("/dev/null") == '"/dev/null" is no regular file'
    for text in ("", "\n"):
        path = write("secret", text, 0o600)
        assert complaint(path) == f'"{path}" is empty'
    assert complaint(write("secret", "x" * 65537, 0o600)) == f'"{tmp_path}/secret" has over 65536 bytes: that is no secret'


def test_a8_the_service_managers_credentials_are_found(
    write: Callable[[str, str, int], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write("vault-password", HIDDEN + "\n", 0o440)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    settings = parse(f'{SITE}password_file = "vault-password"', "")
    assert password(settings) == Secret(HIDDEN.encode())
    assert differences(settings)["backend"] == {"vault": {"type": "vault", "password_file": "vault-password"}}
    assert complaint("another") == f'"{tmp_path}/another": no such file or directory'


@pytest.mark.parametrize("name", ["", ".", "..", "../secret", "a/b"])
def test_a8_a_credential_is_a_plain_name(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert complaint(name) == f'must be an absolute path or the name of a credential, not "{name}"'


def test_a_credential_needs_a_service_manager(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    assert complaint("vault-password").startswith('"vault-password" is no absolute path, and no service manager gives credentials here')


def test_a8_a_secret_is_given_once(write: Callable[[str, str, int], str]) -> None:
    path = write("secret", HIDDEN, 0o600)
    assert complaints(f'{SITE}password = "{HIDDEN}"\npassword_file = "{path}"') == [
        f"{LINE + 1}: backend.vault.password_file: the secret is given twice, in line and as a file: keep one"
    ]


@pytest.mark.parametrize(
    ("written", "text"),
    [
        ("password = 1234", "password: must be a string in quotes, not a whole number"),
        ('password = ["correct horse"]', "password: must be a string in quotes, not a list"),
        ('password = ""', "password: is empty"),
        ("password_file = 1234", "password_file: must be a string in quotes, not a whole number"),
        ('pasword = "correct horse"', 'pasword: unknown key (did you mean "password"?)'),
        ('token_fil = "correct horse"', 'token_fil: unknown key (did you mean "token_file"?)'),
    ],
)
def test_a8_no_complaint_shows_a_secret(written: str, text: str) -> None:
    assert complaints(f"{SITE}{written}") == [f"{LINE}: backend.vault.{text}"]


def test_a8_a_secret_shows_itself_nowhere(write: Callable[[str, str, int], str]) -> None:
    settings = check(write("a.toml", f'{SITE}password = "{HIDDEN}"\n', 0o600)).settings
    changed = differences(settings)
    assert changed["backend"] == {"vault": {"type": "vault", "password": "(hidden)"}}
    shown = (repr(settings), str(settings), render_toml(changed), repr(settings.model_dump()), settings.model_dump_json())
    assert not any(HIDDEN in text or "reveal" in text for text in shown)
    with pytest.raises(TypeError, match="a secret is not pickled"):
        pickle.dumps(password(settings))


def test_a8_an_error_carries_no_secret_along(write: Callable[[str, str, int], str]) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load(write("a.toml", f'{SITE}password = "{HIDDEN}"\nparallel = "{HIDDEN}"\n', 0o600))
    error: BaseException | None = caught.value
    while error is not None:
        assert HIDDEN not in f"{error} {error!r} {error.args}"
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def test_a8_not_even_the_models_own_error_shows_a_secret() -> None:
    with pytest.raises(ValidationError) as caught:
        Vault.model_validate({"type": "vault", "password": [HIDDEN], "parallel": HIDDEN})
    assert HIDDEN not in str(caught.value)


def test_a_secrets_file_stays_named_in_what_is_shown(write: Callable[[str, str, int], str]) -> None:
    path = write("secret", HIDDEN, 0o600)
    settings = parse(f'{SITE}token_file = "{path}"\n', "")
    changed = differences(settings)
    assert changed["backend"] == {"vault": {"type": "vault", "token_file": path}}
    assert parse(render_toml(changed), "") == settings


def test_the_schema_has_both_ways() -> None:
    described = json.loads(json.dumps(schema()))["$defs"]["Vault"]
    assert {"password", "password_file", "token", "token_file"} <= set(described["properties"])
    assert described["required"] == ["type"]
