"""The page of memory through which a runner reports and its supervisor reads.

Layout of the 4096 bytes: byte 0 points at the slot that holds the newest report (1 or 2; 0: none
yet), byte 8 is the flag that asks the task to stop, byte 9 the one by which a loop says that it may
have gone on since; bytes 4 and 12 begin the number of the order that is executed, and of the one that is
to stop, where a runner executes many; two slots follow. A slot is a checksum, a head of numbers, the unit and the
message. A write goes to the slot that is not pointed at and moves the pointer last, so that a kill
in mid-write leaves the report before it. The checksum covers the whole slot: a reader that meets a
write takes the other slot, never a mixture.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import struct
import sys
from math import isnan, nan
from time import monotonic_ns
from typing import Final, NamedTuple
from zlib import crc32

PAGE_SIZE: Final = 4096
UNIT_LIMIT: Final = 40
"""Most characters of a unit."""
MESSAGE_LIMIT: Final = 1800
"""Most bytes of a message, as UTF-8; beside the longest unit it fills a slot."""

CANCEL: Final = 8
"""Where the flag is that asks the task to stop; not 0: it was asked."""
BEHIND: Final = 9
"""Where a loop says that it may have gone on since its last report; not 0: it may."""
_NUMBER, _STOP = slice(4, 8), slice(12, 16)
_FIRST, _SECOND = _SLOTS = (16, 2056)
_SLOT_SIZE = 2040
_CHECKSUM = struct.Struct("=I")
_HEAD = struct.Struct("=QdqqHH")
_COUNT = struct.Struct("=I")
_BODY = _CHECKSUM.size
_TEXT = _BODY + _HEAD.size
_NO_NUMBER = bytes(4)
_ABSENT = 0x8000
"""Flag in a size: no text at all, which is not the same as an empty one."""
_ELLIPSIS = "…".encode()
_REPLACEMENT = "\N{REPLACEMENT CHARACTER}".encode()
_UNKNOWN = -(2**63)
_LARGEST = 2**63 - 1
_READS = 20
_MAP_FIXED = 0x10
_MAP_FAILED = ctypes.c_void_p(-1).value
_libc = ctypes.CDLL(None, use_errno=True)
_libc.mmap.restype = ctypes.c_void_p
_libc.mmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long)
_pack_head = _HEAD.pack
_pack_checksum = _CHECKSUM.pack


class Report(NamedTuple):
    """What a task says of itself; None is unknown."""

    percent: float | None = None
    message: str | None = None
    done: int | None = None
    total: int | None = None
    unit: str | None = None


class Page:
    """Two slots for reports and a flag, shared by a runner (writes) and its supervisor (reads).

    Writing keeps no state outside the page: processes that a task forks may write too, and the
    newest report is the one that is read.
    """

    def __init__(self, memory: mmap.mmap) -> None:
        self.memory = self._memory = memory
        self._texts = _encode(None, None)
        self._last: tuple[int, Report] | None = None

    @classmethod
    def anonymous(cls) -> Page:
        """Return a page that processes forked from here share."""
        return cls(mmap.mmap(-1, PAGE_SIZE))

    @classmethod
    def named(cls, name: str) -> Page:
        """Return a page that processes forked from here share; on Linux `/proc/PID/maps` of each shows the name."""
        if sys.platform != "linux":
            return cls.anonymous()
        try:
            fd = memory_file(name)
        except OSError:  # a sandbox that forbids them; a task needs no name to run
            return cls.anonymous()
        try:
            return cls.from_descriptor(fd)
        finally:
            os.close(fd)

    @classmethod
    def from_descriptor(cls, fd: int, number: int = 0) -> Page:
        """Return the page in a memory file, the first one or a later one; `fd` may be closed afterwards.

        Raises:
            OSError: The kernel refuses it.
        """
        return VacantPage().take(fd, number)

    def write(
        self, percent: float | None, message: str | None, done: int | None, total: int | None, unit: str | None
    ) -> None:
        """Publish one report; texts that do not fit are cut."""
        if message is not self._texts[0] or unit is not self._texts[1]:
            self._texts = _encode(message, unit)
        _, _, text, unit_size, message_size = self._texts
        share = nan if percent is None else percent
        try:
            # The clock, and not a counter, makes versions: it goes on after `clear` and across forks.
            head = _pack_head(
                monotonic_ns(),
                share,
                _UNKNOWN if done is None else done,
                _UNKNOWN if total is None else total,
                unit_size,
                message_size,
            )
        except struct.error:  # more than 63 bits
            head = _pack_head(monotonic_ns(), share, _fit(done), _fit(total), unit_size, message_size)
        body = head + text
        slot = _pack_checksum(crc32(body)) + body
        memory = self._memory
        if memory[0] == 1:
            memory[_SECOND : _SECOND + len(slot)] = slot
            memory[0] = 2
        else:
            memory[_FIRST : _FIRST + len(slot)] = slot
            memory[0] = 1

    def read(self) -> tuple[int, Report] | None:
        """Return the newest whole report and its version, which differs from report to report.

        Returns:
            None when nothing was written yet.
        """
        memory = self._memory
        for _ in range(_READS):
            pointer = memory[0]
            if not pointer:
                return None
            newer, older = (2, 1) if pointer == 2 else (1, 2)
            found = self._read_slot(newer) or self._read_slot(older)
            if found:
                self._last = found
                return found
        return self._last

    def begin(self, number: int) -> None:
        """Make the page as new, for the order of this number; in the runner."""
        memory = self._memory
        memory[_NUMBER] = _NO_NUMBER  # so that nobody takes the reports of one for those of the other
        memory[0] = memory[BEHIND] = 0
        memory[_NUMBER] = _COUNT.pack(number)
        self._texts = _encode(None, None)
        self._last = None

    def read_of(self, number: int) -> tuple[int, Report] | None:
        """Return what `read` does, if it is of the order of this number."""
        found = self.read()
        return found if self.number == number else None

    def forget(self) -> None:
        """Forget what was read of an earlier order."""
        self._last = None

    @property
    def number(self) -> int:
        """Of the order that is executed, or was last; 0: the only one, or none yet."""
        return _number_in(self._memory[_NUMBER])

    def clear(self) -> None:
        """Make the page as new, for another attempt; no writer may be left."""
        self._memory[:] = bytes(PAGE_SIZE)
        self._last = None

    def name_stop(self, number: int) -> None:
        """Say which order a signal is for that stops a task, since another may be executed by then."""
        self._memory[_STOP] = _COUNT.pack(number)

    @property
    def stops_another(self) -> bool:
        """True if what is to stop is another order than that which is executed."""
        memory = self._memory
        return memory[_STOP] not in (memory[_NUMBER], _NO_NUMBER)

    def request_cancel(self, number: int = 0) -> None:
        """Ask the task to stop at its next report."""
        self.name_stop(number)
        self._memory[CANCEL] = 1

    @property
    def cancel_requested(self) -> bool:
        """True once the task was asked to stop."""
        return self._memory[CANCEL] != 0 and self._memory[_STOP] == self._memory[_NUMBER]

    @property
    def may_be_behind(self) -> bool:
        """True while more can have been done than the newest report says: its runner would tell if it was asked."""
        return self._memory[BEHIND] != 0

    def close(self) -> None:
        """Unmap the page from this process."""
        self._memory.close()

    def _read_slot(self, slot: int) -> tuple[int, Report] | None:
        start = _SLOTS[slot - 1]
        copy = self._memory[start : start + _SLOT_SIZE]
        version, percent, done, total, unit_size, message_size = _HEAD.unpack_from(copy, _BODY)
        unit_end = _TEXT + (unit_size & ~_ABSENT)
        end = unit_end + (message_size & ~_ABSENT)
        if end > _SLOT_SIZE or crc32(copy[_BODY:end]) != _CHECKSUM.unpack_from(copy)[0]:
            return None
        return version, Report(
            None if isnan(percent) else percent,
            None if message_size & _ABSENT else copy[unit_end:end].decode(),
            None if done == _UNKNOWN else done,
            None if total == _UNKNOWN else total,
            None if unit_size & _ABSENT else copy[_TEXT:unit_end].decode(),
        )


def memory_file(name: str, pages: int = 1) -> int:
    """Return a descriptor of a new memory file that holds so many pages; its name is for people and `/proc`.

    Raises:
        OSError: The kernel refuses it.
    """
    fd = os.memfd_create(name)
    try:
        os.ftruncate(fd, pages * PAGE_SIZE)
    except OSError:
        os.close(fd)
        raise
    return fd


class VacantPage:
    """An anonymous page in whose place a memory file can be mapped: `mmap` would keep a copy of the descriptor open.

    The copy would be a number too many in each supervisor, and in runners close what got its number since.
    """

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, PAGE_SIZE)
        address = ctypes.addressof(ctypes.c_char.from_buffer(self._memory))
        self._arguments = (address, PAGE_SIZE, mmap.PROT_READ | mmap.PROT_WRITE, mmap.MAP_SHARED | _MAP_FIXED)

    def take(self, fd: int, number: int = 0) -> Page:
        """Return a page of a memory file; `fd` may be closed afterwards.

        Raises:
            OSError: The kernel refuses it.
        """
        if _libc.mmap(*self._arguments, fd, number * PAGE_SIZE) == _MAP_FAILED:
            self._memory.close()
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        return Page(self._memory)


def _encode(message: str | None, unit: str | None) -> tuple[str | None, str | None, bytes, int, int]:
    text, size = b"", _ABSENT
    if message is not None:
        text = clean(message)
        size = len(text)
        if size > MESSAGE_LIMIT:
            text = text[: MESSAGE_LIMIT - len(_ELLIPSIS)].decode(errors="ignore").encode() + _ELLIPSIS
            size = len(text)
    if unit is None:
        return message, unit, text, _ABSENT, size
    unit_text = clean(unit[:UNIT_LIMIT])
    return message, unit, unit_text + text, len(unit_text), size


def clean(text: str) -> bytes:
    """Return `text` as UTF-8, with what databases refuse (NUL, lone surrogates) replaced."""
    try:
        encoded = text.encode()
    except UnicodeEncodeError:
        encoded = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode()
    return encoded.replace(b"\0", _REPLACEMENT) if b"\0" in encoded else encoded


def _number_in(data: bytes) -> int:
    (number,) = _COUNT.unpack(data)
    return int(number)


def _fit(number: int | None) -> int:
    return _UNKNOWN if number is None else max(-_LARGEST, min(_LARGEST, number))
