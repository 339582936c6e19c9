"""Processes: who they are, how they begin and end. The only file that forks, signals or asks psutil."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple, NoReturn

import psutil

from forktask import clock, host
from forktask.identity import Identity

LINUX = sys.platform == "linux"
PR_SET_PDEATHSIG = 1
GONE = frozenset("ZXx")
"""States of `/proc/PID/stat` in which a process runs no more."""
_libc = ctypes.CDLL(None, use_errno=True)


class Stat(NamedTuple):
    """What `/proc/PID/stat` says (proc(5)); `start_ticks` are clock ticks since boot."""

    state: str
    parent: int
    group: int
    session: int
    start_ticks: int


def read_stat(pid: int) -> Stat | None:
    """Return what the kernel says of a process, or None if there is none."""
    if not LINUX:
        return _stat_by_psutil(pid)
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            # The name, in parentheses, may itself hold parentheses and spaces.
            fields = file.read().rpartition(b")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return Stat(fields[0].decode(), int(fields[1]), int(fields[2]), int(fields[3]), int(fields[19]))


def _stat_by_psutil(pid: int) -> Stat | None:
    try:
        process = psutil.Process(pid)
        with process.oneshot():
            state = "Z" if process.status() == psutil.STATUS_ZOMBIE else "S"
            return Stat(state, process.ppid(), os.getpgid(pid), os.getsid(pid), int(process.create_time() * 100))
    except (psutil.Error, OSError):
        return None


def identify(pid: int | None = None) -> Identity:
    """Return the identity of a living process; of this one by default.

    Raises:
        ProcessLookupError: There is no such process.
    """
    pid = os.getpid() if pid is None else pid
    found = read_stat(pid)
    if found is None:
        raise ProcessLookupError(f"no process has the pid {pid}")
    return Identity(boot_id=host.boot_id(), pid_namespace=host.pid_namespace(), pid=pid, start_ticks=found.start_ticks)


def is_here(identity: Identity) -> bool:
    """Return True if the identity is of this boot and this pid namespace, so that it proves something."""
    return identity.boot_id == host.boot_id() and identity.pid_namespace == host.pid_namespace()


def is_alive(identity: Identity) -> bool | None:
    """Return whether that very process runs; None where nothing can be proved from here."""
    if not is_here(identity):
        return None
    found = read_stat(identity.pid)
    return found is not None and found.start_ticks == identity.start_ticks and found.state not in GONE


def send_signal(identity: Identity, number: int) -> bool:
    """Signal one process, verified in the same breath; return False if it is gone.

    The descriptor pins the process: if the pid is reused after the check, the signal goes nowhere.
    """
    if not LINUX:
        if is_alive(identity):
            os.kill(identity.pid, number)
            return True
        return False
    try:
        descriptor = os.pidfd_open(identity.pid)
    except ProcessLookupError:
        return False
    try:
        if not is_alive(identity):
            return False
        signal.pidfd_send_signal(descriptor, number)
    except ProcessLookupError:
        return False
    finally:
        os.close(descriptor)
    return True


def signal_own_group(child: int, *numbers: int) -> None:
    """Signal the group that a child of ours leads. Only before it was reaped: until then its number is taken."""
    for number in numbers:
        try:
            os.killpg(child, number)
        except (ProcessLookupError, PermissionError):
            return


def kill_session(leader: Identity, *, wait: float = 1.0) -> int:
    """SIGKILL everything that is left of the session of a runner, and wait until it is gone.

    A session keeps its number taken while a member lives, so members are told from strangers by it;
    if another process leads a session of that number now, all old members are gone.

    Args:
        wait: Seconds to wait for the killed to vanish.

    Returns:
        How many processes were signalled.
    """
    if not is_here(leader):
        return 0
    found = read_stat(leader.pid)
    if found is not None and found.start_ticks != leader.start_ticks:
        return 0
    killed = [member for member in _session_members(leader) if send_signal(member, signal.SIGKILL)]
    until = clock.monotonic() + wait
    while any(is_alive(member) for member in killed) and clock.monotonic() < until:
        clock.sleep(0.005)
    return len(killed)


def _session_members(leader: Identity) -> Iterable[Identity]:
    for pid in psutil.pids():
        found = read_stat(pid)
        if found is None or found.session != leader.pid or found.state in GONE:
            continue
        if found.start_ticks >= leader.start_ticks and pid != os.getpid():
            yield Identity(
                boot_id=leader.boot_id,
                pid_namespace=leader.pid_namespace,
                pid=pid,
                start_ticks=found.start_ticks,
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Exit:
    """How a child ended: `exit_code` or `signal`, CPU seconds and peak resident bytes with its own children."""

    exit_code: int | None
    signal: int | None
    cpu_seconds: float
    peak_memory: int


def reap(pid: int) -> Exit:
    """Collect a child that has ended, after killing what it left in its group.

    While the child is a zombie its number, and so that of its group, cannot be reused.
    """
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    signal_own_group(pid, signal.SIGKILL)
    _, status, usage = os.wait4(pid, 0)
    code = os.waitstatus_to_exitcode(status)
    unit = 1024 if LINUX else 1
    return Exit(
        exit_code=code if code >= 0 else None,
        signal=-code if code < 0 else None,
        cpu_seconds=usage.ru_utime + usage.ru_stime,
        peak_memory=usage.ru_maxrss * unit,
    )


def fork(child: Callable[[], NoReturn]) -> int:
    """Fork; `child` runs in the new process and never returns. Returns its pid."""
    pid = os.fork()
    if pid == 0:
        _leave_by(child)
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


def thread_count() -> int:
    """Return the number of threads of this process, those of C libraries included."""
    return len(os.listdir("/proc/self/task")) if LINUX else psutil.Process().num_threads()


def die_with(parent: int) -> None:
    """Have the kernel kill this process when `parent`, which forked it, dies.

    The request says nothing about a parent that died before it: hence the comparison (prctl(2)).
    """
    if LINUX:
        _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(71)


def reset_signals() -> None:
    """Forget all signal handlers and masks that were inherited, but keep SIGPIPE ignored as Python does."""
    signal.set_wakeup_fd(-1)
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        try:
            signal.signal(number, signal.SIG_DFL)
        except (OSError, ValueError):  # those that the C library keeps for itself
            continue
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def command(verb: str, *arguments: str) -> list[str]:
    """Return the command line of `python -m forktask VERB …`; -P keeps the working directory from shadowing us."""
    return [host.interpreter(), "-P", "-m", "forktask", verb, *arguments]


def exec_detached(
    command: list[str], *, stdin: int, stderr: int, keep: Collection[int], env: Mapping[str, str]
) -> None:
    """Start a program that is an orphan at once, through a shell that ends at once and is reaped here.

    A shell forks in well under a millisecond, where an intermediate Python would take 30. In the
    background it would get /dev/null as standard input: so that takes a detour over a spare descriptor.

    Raises:
        OSError: The shell could not be started.
    """
    spare = next(number for number in range(3, 10) if number not in keep)
    script = f'exec {spare}<&0; "$@" <&{spare} {spare}<&- &'
    process = subprocess.Popen(
        ["/bin/sh", "-c", script, "sh", *command],
        stdin=stdin,
        stdout=subprocess.DEVNULL,
        stderr=stderr,
        pass_fds=tuple(keep),
        env=dict(env),
        start_new_session=True,  # a Ctrl-C or the end of a terminal meant for the caller reaches nobody here
    )
    process.wait()


def exec_child(command: list[str], *, stdin: int, output: int, env: Mapping[str, str]) -> int:
    """Start a program as a child with a session of its own; the caller reaps it. Returns its pid."""
    process = subprocess.Popen(
        command, stdin=stdin, stdout=output, stderr=output, env=dict(env), start_new_session=True
    )
    process.returncode = 0  # it is reaped by `reap`; the object must not try, nor warn
    return process.pid
