"""Forks: of this process, and on behalf of its parent. The only file that forks."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import signal
import sys
from collections.abc import Callable
from typing import NoReturn

PR_GET_TID_ADDRESS = 40
CLONE_PARENT, CLONE_CHILD_CLEARTID, CLONE_CHILD_SETTID = 0x8000, 0x200000, 0x1000000
CALLS = {"x86_64": (56, 274, 273, 3), "aarch64": (220, 100, 99, 4)}
"""By machine: the numbers of clone, get_robust_list and set_robust_list, and which argument of clone is `child_tid`."""


def fork(child: Callable[[], NoReturn]) -> int:
    """Fork; `child` runs in the new process, never returns, and resets its signals, for which a SIGTERM waits."""
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    try:
        pid = os.fork()
        if pid == 0:
            _leave_by(child)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    return pid


def double_fork(grandchild: Callable[[], NoReturn]) -> None:
    """Run `grandchild` in an orphan with a session of its own; the process between is reaped here."""
    pid = os.fork()
    if pid == 0:
        _leave_by(lambda: _second_fork(grandchild))
    with contextlib.suppress(ChildProcessError):  # where the program ignores SIGCHLD the kernel has reaped it
        os.waitpid(pid, 0)


def _second_fork(grandchild: Callable[[], NoReturn]) -> NoReturn:
    os.setsid()
    if os.fork() == 0:
        grandchild()
    os._exit(0)


def _leave_by(child: Callable[[], NoReturn]) -> NoReturn:
    """Never return into the frames of the parent, whatever happens."""
    try:
        child()
    finally:
        os._exit(70)


def at_fork(*, before: Callable[[], None], after_in_child: Callable[[], None]) -> None:
    """Have functions called around every fork of this process, also those of a web server."""
    os.register_at_fork(before=before, after_in_child=after_in_child)


class ForkForParent:
    """Forks children that are not ours but our parent's, who alone can wait for them.

    As `os.fork` does it; but this process stays in the moment before a fork as long as it lives: so what Python has to
    do there, and hooks, are done once, and next to nothing is written between two forks. It must have one thread, and
    its signals blocked. Hooks of C libraries (pthread_atfork) do not run, for only the C library knows them.

    Raises:
        OSError: With ENOSYS where we do not know how, or the C library does not keep what has to be renewed.
    """

    def __init__(self) -> None:
        machine = os.uname().machine
        if sys.platform != "linux" or machine not in CALLS or sys.maxsize < 2**32:
            raise OSError(errno.ENOSYS, f"how to fork for the parent is not known of {machine}")
        clone, get_robust_list, self._set_robust_list, place = CALLS[machine]
        self._syscall = ctypes.PyDLL(None, use_errno=True).syscall  # keeps Python's lock, as a fork must
        self._syscall.argtypes = (ctypes.c_long,) * 6
        self._syscall.restype = ctypes.c_long
        self._is_child = ctypes.pythonapi.PyOS_AfterFork_Child
        flags = CLONE_PARENT | CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID
        self._arguments = [clone, flags, 0, 0, 0, 0]
        self._arguments[place + 1] = self._tid_address()
        self._robust_list = self._find_robust_list(get_robust_list)
        ctypes.pythonapi.PyOS_BeforeFork()

    def __call__(self, child: Callable[[], NoReturn]) -> int:
        """Fork; `child` runs in the new process and never returns. Returns its pid.

        Raises:
            OSError: The kernel refuses a process, or such a one.
        """
        sys.audit("os.fork")
        pid: int = self._syscall(*self._arguments)
        if pid == 0:
            self._is_child()
            _leave_by(lambda: self._be_whole(child))
        if pid < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        return pid

    def _be_whole(self, child: Callable[[], NoReturn]) -> NoReturn:
        """Do what the C library does after a fork of its own: the kernel forgets where robust mutexes are listed."""
        self._syscall(self._set_robust_list, *self._robust_list, 0, 0, 0)
        child()

    def _tid_address(self) -> int:
        """Return where the C library has the number of this thread; the kernel writes the child's there (clone(2))."""
        address = ctypes.c_long()
        found = ctypes.CDLL(None).prctl(PR_GET_TID_ADDRESS, ctypes.byref(address), 0, 0, 0)
        if found != 0 or not address.value or ctypes.c_int.from_address(address.value).value != os.getpid():
            raise OSError(errno.ENOSYS, "where the C library keeps the number of its thread is not known")
        return address.value

    def _find_robust_list(self, number: int) -> tuple[int, int]:
        head, size = ctypes.c_long(), ctypes.c_long()
        if self._syscall(number, 0, ctypes.addressof(head), ctypes.addressof(size), 0, 0) != 0:
            raise OSError(errno.ENOSYS, "where robust mutexes are listed is not known")
        return head.value, size.value
