"""Numbers that tell an account of before its last change from one of after it."""

from __future__ import annotations

from saslauthd_py.generations import COUNTED, Generations


def test_generations_differ_after_every_change_in_bounded_memory() -> None:
    generations = Generations()
    before = {name: generations[name] for name in ("a", "b")}
    generations.count(frozenset({"a"}))
    assert generations["a"] != before["a"]
    assert generations["b"] == before["b"]
    seen = {generations["a"]}
    generations.count(None)
    assert generations["b"] != before["b"]
    for _ in range(3):
        assert generations["a"] not in seen
        seen.add(generations["a"])
        generations.count(frozenset({"a"}))
    kept = generations["a"]
    for number in range(COUNTED):
        generations.count(frozenset({f"user {number}"}))
        assert len(generations._numbers) <= COUNTED
    assert generations["a"] not in {*seen, kept}
    assert generations["never seen"] > kept
