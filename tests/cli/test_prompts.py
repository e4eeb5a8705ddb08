"""What a person is asked at a terminal, with a real one: nothing secret is shown, and the echo always comes back."""

from __future__ import annotations

import pytest

from tests.cli.commands import at_terminal
from tests.cli.sites import Site

NEW, AGAIN = "New password of alice: ", "The same again: "


def test_add_asks_twice_without_an_echo(site: Site) -> None:
    dialogue = at_terminal("user", "add", "alice", "--config", site.configuration, answers=[(NEW, b"pass word\n"), (AGAIN, b"pass word\n")])
    assert (dialogue.code, dialogue.echo) == (0, True)
    assert "pass word" not in dialogue.screen
    assert dialogue.screen.splitlines() == [NEW, AGAIN, f"{site.store}: made", "alice: added"]
    assert site.right("alice", b"pass word")


def test_passwd_asks_twice(site: Site) -> None:
    site.add("alice")
    dialogue = at_terminal("user", "passwd", "alice", "--config", site.configuration, answers=[(NEW, b"new\n"), (AGAIN, b"new\n")])
    assert (dialogue.code, dialogue.echo) == (0, True)
    assert site.right("alice", b"new")


def test_two_different_passwords_are_65_and_change_nothing(site: Site) -> None:
    site.add("alice", b"old")
    dialogue = at_terminal("user", "passwd", "alice", "--config", site.configuration, answers=[(NEW, b"one\n"), (AGAIN, b"two\n")])
    assert (dialogue.code, dialogue.echo) == (65, True)
    assert "the two passwords differ; nothing was changed" in dialogue.screen
    assert site.right("alice", b"old")


def test_empty_password_is_65(site: Site) -> None:
    dialogue = at_terminal("user", "add", "alice", "--config", site.configuration, answers=[(NEW, b"\n")])
    assert (dialogue.code, dialogue.echo) == (65, True)
    assert "empty password" in dialogue.screen


def test_an_existing_user_is_told_before_a_password_is_asked_for(site: Site) -> None:
    site.add("alice")
    dialogue = at_terminal("user", "add", "alice", "--config", site.configuration, answers=[])
    assert dialogue.code == 65
    assert "password of" not in dialogue.screen
    dialogue = at_terminal("user", "passwd", "bob", "--config", site.configuration, answers=[])
    assert dialogue.code == 67
    assert "password of" not in dialogue.screen


def test_ctrl_c_is_130_with_the_echo_back(site: Site) -> None:
    site.add("alice", b"old")
    dialogue = at_terminal("user", "passwd", "alice", "--config", site.configuration, answers=[(NEW, b"half a pass\x03")])
    assert (dialogue.code, dialogue.echo) == (130, True)
    assert "half" not in dialogue.screen
    assert "Traceback" not in dialogue.screen
    assert site.right("alice", b"old")


def test_end_of_file_is_64(site: Site) -> None:
    dialogue = at_terminal("user", "add", "alice", "--config", site.configuration, answers=[(NEW, b"\x04")])
    assert (dialogue.code, dialogue.echo) == (64, True)
    assert "no answer at the terminal" in dialogue.screen


def test_password_from_standard_input_is_not_typed_where_it_shows() -> None:
    dialogue = at_terminal("test", "alice", "--socket", "/nonexistent", "--password-stdin", answers=[])
    assert dialogue.code == 64
    assert "leave out --password-stdin" in dialogue.screen


def test_login_is_tried_with_a_password_asked_for_once() -> None:
    answers = [("Password of alice@example.org: ", b"secret\n")]
    dialogue = at_terminal("test", "alice@example.org", "--socket", "/nonexistent/mux", answers=answers)
    assert (dialogue.code, dialogue.echo) == (69, True)
    assert "secret" not in dialogue.screen


@pytest.mark.parametrize(("answer", "code"), [(b"yes\n", 0), (b"y\n", 0), (b"no\n", 65), (b"\n", 65), (b"Yes, all of them\n", 65)])
def test_remove_asks(site: Site, answer: bytes, code: int) -> None:
    site.add("Alice")
    question = "Remove Alice with every password, yes or no? "
    dialogue = at_terminal("user", "remove", "alice", "--config", site.configuration, answers=[(question, answer)])
    assert dialogue.code == code
    assert site.user("show", "alice").code == (67 if code == 0 else 0)
