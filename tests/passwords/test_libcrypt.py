"""The call of crypt_rn: what it leaves behind, what it does without libcrypt, and that others run meanwhile."""

from __future__ import annotations

import ctypes
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from saslauthd_py import passwords
from saslauthd_py.passwords import BrokenRecord, UnknownScheme, libcrypt
from saslauthd_py.secret import Secret

MD5 = "$1$RgV/4LJN$zJ46IK2TUsSsUKCWg0CS00"


@pytest.fixture
def anew() -> Iterator[None]:
    """libcrypt is looked for once more, in the test and after it."""
    libcrypt.load.cache_clear()
    yield
    libcrypt.load.cache_clear()


@pytest.fixture
def absent(anew: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A system that has no libxcrypt."""
    monkeypatch.setattr(libcrypt, "_SONAMES", ("libnowhere.so.1", "libc.so.6"))


def test_buffer_is_wiped_after_use() -> None:
    assert libcrypt.crypt(b"test", MD5) == MD5
    assert libcrypt._thread.buffer.raw == bytes(32768)


def test_buffer_is_wiped_after_a_refusal() -> None:
    with pytest.raises(BrokenRecord, match=r"^libcrypt refuses the record: Invalid argument$"):
        libcrypt.crypt(b"test", "!" + MD5)
    assert libcrypt._thread.buffer.raw == bytes(32768)
    with pytest.raises(BrokenRecord, match=r"^libcrypt refuses the record: Numerical result out of range$"):
        libcrypt.crypt(b"x" * 512, MD5)


def test_each_thread_has_one_buffer() -> None:
    together = threading.Barrier(2)

    def address() -> tuple[int, int]:
        libcrypt.crypt(b"test", MD5)
        first = ctypes.addressof(libcrypt._thread.buffer)
        together.wait()
        libcrypt.crypt(b"test", MD5)
        return first, ctypes.addressof(libcrypt._thread.buffer)

    with ThreadPoolExecutor(2) as pool:
        (one, one_again), (other, other_again) = (run.result() for run in [pool.submit(address), pool.submit(address)])
    assert one == one_again
    assert other == other_again
    assert one != other


def test_failure_token_is_no_digest(monkeypatch: pytest.MonkeyPatch) -> None:
    for token in (b"*0", b"*1", None):
        monkeypatch.setattr(libcrypt, "load", lambda token=token: lambda *_: token)
        with pytest.raises(BrokenRecord):
            libcrypt.crypt(b"test", "*1")


def test_without_libcrypt_its_records_are_broken_and_argon2_works(absent: None) -> None:
    passwords.preload()
    with pytest.raises(BrokenRecord, match=r"^crypt\(3\) records need libxcrypt"):
        passwords.verify(passwords.recognise(MD5), Secret(b"test"))
    with pytest.raises(UnknownScheme, match=r"^no bcrypt on this system: crypt\(3\) records need libxcrypt"):
        passwords.make("bcrypt", Secret(b"test"))
    assert passwords.verify(passwords.make("argon2id", Secret(b"test")), Secret(b"test"))


def others_ran(busy: Callable[[], object], calls: int) -> bool:
    """Whether another thread, which waits for the interpreter lock, gets it within that many calls of `busy`.

    No time slice ends meanwhile, so the lock moves only where it is released.
    """
    ready, waiting, ran = threading.Event(), threading.Lock(), threading.Event()

    def other() -> None:
        ready.set()
        waiting.acquire()
        ran.set()

    waiting.acquire()
    thread = threading.Thread(target=other)
    thread.start()
    ready.wait()
    slice_before = sys.getswitchinterval()
    sys.setswitchinterval(3600)
    try:
        waiting.release()
        return any(ran.is_set() for _ in range(calls) if busy() is not None)
    finally:
        sys.setswitchinterval(slice_before)
        thread.join()


@pytest.mark.parametrize(
    "profile",
    [
        "argon2id m=19456,t=2,p=1",
        "yescrypt N=4096,r=32",
        "bcrypt cost=8",
        "sha512crypt rounds=20000",
        "md5crypt",
        "pbkdf2-sha256 rounds=20000",
    ],
)
def test_others_run_while_a_hash_does(profile: str) -> None:
    decoy = passwords.decoy(profile)
    passwords.preload()
    assert others_ran(lambda: passwords.verify(decoy, Secret(b"x")), calls=1000)


def test_others_do_not_run_while_the_lock_is_held(anew: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", ctypes.PyDLL)  # the same library, called with the lock
    libcrypt.load()
    decoy = passwords.decoy("bcrypt cost=8")
    assert not others_ran(lambda: passwords.verify(decoy, Secret(b"x")), calls=5)
