"""The keys that SCRAM needs of a store and of a password file."""

from __future__ import annotations

from pathlib import Path

import pytest

from saslauthd_py import keying
from saslauthd_py.config.load import ConfigurationError, check, differences, parse
from saslauthd_py.config.settings import PasswdFileSettings, StoreSettings
from tests.config.samples import LISTEN, complaints

RANDOM = "0123456789abcdef"


def site(backend: str) -> str:
    return f"{LISTEN}[backend.users]\n{backend}\n[[route]]\nrealm = '*'\nbackends = ['users']\n"


def store(keys: str) -> StoreSettings:
    found = parse(site(f"type = 'store'\n{keys}"), "FILE").backend["users"]
    assert isinstance(found, StoreSettings)
    return found


def test_a_store_makes_no_keys_by_itself() -> None:
    found = store("")
    assert (found.scram_upgrade, found.scram_rounds) == (False, keying.ROUNDS)
    found = store("scram_upgrade = true\nscram_rounds = 4096")
    assert (found.scram_upgrade, found.scram_rounds) == (True, 4096)
    assert store("scram_rounds = 10000000").scram_rounds == keying.MOST_ROUNDS


@pytest.mark.parametrize("key", ["scram_rounds = 4095", "scram_rounds = 10000001", "scram_rounds = '5000'", "scram_upgrade = 1"])
def test_what_a_store_s_keys_cannot_be(key: str) -> None:
    (complaint,) = complaints(site(f"type = 'store'\n{key}"))
    assert f"backend.users.{key.split()[0]}" in complaint


def test_decoy_key_of_a_password_file_is_a_secret_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / "decoy"
    file.write_text(f"{RANDOM}\n")
    file.chmod(0o640)
    settings = parse(site(f"type = 'passwd_file'\npath = '/x'\ndecoy_key_file = '{file}'"), "FILE")
    found = settings.backend["users"]
    assert isinstance(found, PasswdFileSettings)
    assert found.decoy_key is not None
    assert found.decoy_key.reveal() == RANDOM.encode()
    assert differences(settings)["backend"]["users"]["decoy_key_file"] == str(file)
    assert RANDOM not in repr(settings)
    file.write_text("short")
    (complaint,) = complaints(site(f"type = 'passwd_file'\npath = '/x'\ndecoy_key_file = '{file}'"))
    assert "backend.users.decoy_key_file" in complaint
    assert "too short to be random" in complaint
    assert 'short"' not in complaint


def test_a8_decoy_key_in_a_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "saslauthd-py.toml"
    file.write_text(site(f"type = 'passwd_file'\npath = '/x'\ndecoy_key = '{RANDOM}'"))
    file.chmod(0o644)
    with pytest.raises(ConfigurationError, match="decoy_key_file"):
        check(str(file))
    file.chmod(0o640)
    assert check(str(file)).settings.backend["users"].type == "passwd_file"


def test_without_a_decoy_key_there_is_none() -> None:
    found = parse(site("type = 'passwd_file'\npath = '/x'"), "FILE").backend["users"]
    assert isinstance(found, PasswdFileSettings)
    assert found.decoy_key is None
