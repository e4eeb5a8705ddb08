"""What the loop answers from memory, and by what key: no request has another one's (rules C1, C2)."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from saslauthd_py.cache import Cache, Proof
from saslauthd_py.front.inline import Inline
from saslauthd_py.wire import pwcheck, saslauthd

SPANS = {"saslauthd": saslauthd.span, "pwcheck": pwcheck.span, "dovecot": len}

frames = st.lists(
    st.one_of(
        st.lists(st.sampled_from([b"", b"a", b"ab", b"\0\1"]), min_size=2, max_size=6).map(
            lambda fields: b"".join(len(field).to_bytes(2, "big") + field for field in fields)
        ),
        st.lists(st.sampled_from([b"a", b"b", b"\0"]), max_size=7).map(b"".join),
    ).flatmap(lambda frame: st.integers(0, len(frame)).map(lambda cut: frame[cut:] or frame)),
    max_size=20,
)


@pytest.mark.parametrize("span", SPANS.values(), ids=SPANS)
@pytest.mark.parametrize("exact", [False, True])
@given(frames=frames, rules=st.booleans())
def test_c2_request_is_answered_by_a_proof_of_its_own_bytes_alone(
    span: Callable[[bytes], int], exact: bool, frames: list[bytes], rules: bool
) -> None:
    cache = Cache(100, lambda: 0.0)
    mine, other = (Inline(cache, number, span, exact=exact) for number in (1, 2))
    proved: dict[bytes, Proof] = {}
    for frame in frames:
        asked = frame[: span(frame)]
        proof, key = mine.decide(frame)
        assert other.decide(frame)[0] is None, "a proof is its listener's alone"
        if not asked:
            assert (proof, key) == (None, b""), "nobody can tell yet who asks what"
        elif asked in proved and not rules and not (exact and asked != frame):
            assert (proof, key) == (proved[asked], b"")
        else:
            assert (proof, key) == (None, mine.key(frame))
            proved[asked] = Proof(9.0, 0.0 if rules else 9.0, ("alice@",), b"", "alice", ("users",))
            cache.remember(key, proved[asked], sole=False)


def test_c2_nothing_is_told_of_a_request_while_the_cache_cannot_be_sure(monkeypatch: pytest.MonkeyPatch) -> None:
    cache = Cache(100, lambda: 0.0)
    inline = Inline(cache, 1, len)
    cache.remember(inline.key(b"asked"), Proof(9.0, 9.0, ("alice@",), b"", "alice", ("users",)), sole=False)
    monkeypatch.setattr(cache, "look", lambda _: False)
    assert inline.decide(b"asked") == (None, b"")
