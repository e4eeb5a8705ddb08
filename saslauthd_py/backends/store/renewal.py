"""What is stored of a password that was just right, made better in the background: another hash, SCRAM keys (rule F2)."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import trio

from saslauthd_py import keying, passwords
from saslauthd_py.backends.store.options import StoreOptions
from saslauthd_py.credential import Credential, Encoding
from saslauthd_py.hashing import Hashing
from saslauthd_py.keying import Salts
from saslauthd_py.keys import Hash
from saslauthd_py.mechanisms.scram.keys import Unusable
from saslauthd_py.queue import CALLER
from saslauthd_py.secret import Secret
from saslauthd_py.store import rehash

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Proved:
    """A login: `secret`, in the form that is stored, is that of `credential` by its `encoding`.

    `credentials` are those of the account that may be used, the main one first; `account` is what `identity.account` calls it.
    """

    account: str
    credentials: Sequence[Credential]
    credential: Credential
    encoding: Encoding
    secret: Secret


class Renewal:
    """Of the store at `path`. `nursery` runs it: no login waits for it, and it is done once for a credential at a time."""

    def __init__(self, path: str, hashing: Hashing, nursery: trio.Nursery, options: StoreOptions) -> None:
        self._path = path
        self._hashing = hashing
        self._nursery = nursery
        self._options = options
        self._under_way: set[int] = set()

    def consider(self, proved: Proved, salts: Salts) -> None:
        """Begin what the options ask for. A clear text that gets a hash gets keys too: by it SCRAM worked, and shall go on to."""
        weak = self._options.rehash and passwords.needs_rehash(proved.encoding, self._options.scheme)
        keyed = self._options.scram_upgrade or (weak and passwords.clear_text((proved.encoding,)) is not None)
        hashes = keying.missing(proved.credential, proved.credentials) if keyed else ()
        number = proved.credential.id
        if (weak or hashes) and number not in self._under_way:
            self._under_way.add(number)
            self._nursery.start_soon(self._renew, proved, salts, hashes, weak)

    async def _renew(self, proved: Proved, salts: Salts, hashes: tuple[Hash, ...], weak: bool) -> None:
        CALLER.set(CALLER.get()._replace(urgent=False))
        try:
            if hashes:
                await self._add_keys(proved, salts, hashes)
            if weak:
                await self._rehash(proved)
        except Exception as error:  # whatever it is, it is no reason to stop answering logins
            _logger.warning("%s: a password keeps its old encodings for now: %s", self._path, error)
        finally:
            self._under_way.discard(proved.credential.id)

    async def _add_keys(self, proved: Proved, salts: Salts, hashes: tuple[Hash, ...]) -> None:
        others = [one for one in proved.credentials if one is not proved.credential]
        try:
            made = [
                keying.encoded(
                    function, await self._hashing.derive(function, proved.secret, *salts.shared(proved.account, others, function))
                )
                for function in hashes
            ]
        except Unusable:
            return  # whoever has such a password logs in by it, and not by SCRAM
        credential = proved.credential
        await trio.to_thread.run_sync(rehash.add_encodings, self._path, credential.id, credential.generation, tuple(made))

    async def _rehash(self, proved: Proved) -> None:
        credential, old = proved.credential, proved.encoding
        new = await self._hashing.make(self._options.scheme, proved.secret)
        if old.scheme in passwords.SCRAM_SCHEMES:  # keys that a SCRAM login needs stay
            await trio.to_thread.run_sync(rehash.add_encodings, self._path, credential.id, credential.generation, (new,))
        else:
            await trio.to_thread.run_sync(rehash.replace_encoding, self._path, credential.id, credential.generation, old, new)
