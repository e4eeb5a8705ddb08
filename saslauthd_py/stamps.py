"""What stat(2) tells of a file's contents without reading them: whether they are still those of before, and for how long that is sure."""

from __future__ import annotations

import errno
import os
import time
from typing import NamedTuple

_UNSETTLED = 50_000_000
"""Nanoseconds after a change in which the next one might bear the same time, or the writer may still be at it."""

_UNSETTLED_BY_SECONDS = 2_050_000_000
"""The same where the file system counts in whole seconds, or in two."""

MISSING = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG})
"""What `look` says where there is nothing."""


class Stamp(NamedTuple):
    """What stat(2) says of a file. Times in nanoseconds; `changed` is set by every write, chmod and rename, and by nobody at will."""

    device: int
    inode: int
    size: int
    modified: int
    changed: int

    @classmethod
    def of(cls, status: os.stat_result) -> Stamp:
        """The file that `status` was made of."""
        return cls(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)

    @property
    def quiet(self) -> bool:
        """Whether the last change is so long ago that the next one must bear another time."""
        least = _UNSETTLED if self.changed % 1_000_000_000 else _UNSETTLED_BY_SECONDS
        return abs(time.time_ns() - self.changed) >= least


def look(path: str) -> Stamp | int:
    """What the file at `path`, links followed, is known by; the error's number where there is none. A microsecond or two."""
    try:
        return Stamp.of(os.stat(path))
    except OSError as error:
        return error.errno or errno.EIO
