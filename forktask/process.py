"""Processes: who they are, how they begin and end. The only file that signals or asks psutil."""

from __future__ import annotations

import ctypes
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple
from uuid import UUID

import psutil

from forktask import clock, host, native
from forktask.host import descent
from forktask.identity import Identity

LINUX = sys.platform == "linux"
PR_SET_PDEATHSIG, PR_SET_NAME = 1, 15
GONE = frozenset("ZXx")
"""States of `/proc/PID/stat` in which a process runs no more."""
_libc = ctypes.CDLL(None, use_errno=True)
log = logging.getLogger("forktask.process")


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
        if alive := bool(is_alive(identity)):
            os.kill(identity.pid, number)
        return alive
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


def kill_session(leader: Identity, supervisor_id: UUID, *, wait: float = 1.0) -> int:
    """SIGKILL what is left of the session of a runner of that supervisor, and wait until it is gone.

    A session keeps its number taken while a member lives: so its members are all ours, or all strangers
    who got the number later, and what proves it of one proves it of all. Without a proof they are left alone.

    Args:
        wait: Seconds to wait for the killed to vanish.

    Returns:
        How many processes were signalled.
    """
    if not is_here(leader):
        return 0
    members = list(_session_members(leader))
    if not members or not _are_ours(members, leader, supervisor_id):
        return 0
    killed = [member for member in members if send_signal(member, signal.SIGKILL)]
    until = clock.monotonic() + wait
    while any(is_alive(member) for member in killed) and clock.monotonic() < until:
        clock.sleep(0.005)
    return len(killed)


def _are_ours(members: list[Identity], leader: Identity, supervisor_id: UUID) -> bool:
    """Ask for a proof, after the members were found: the leader's start, or a member's descent."""
    if (found := read_stat(leader.pid)) is not None:
        return found.start_ticks == leader.start_ticks
    proved = {member for member in members if descent.descends(member.pid, supervisor_id)}
    if proved.isdisjoint(_session_members(leader)):
        pids = ",".join(str(member.pid) for member in members)
        log.warning("left alone pid=%s session=%d: no proof of supervisor=%s", pids, leader.pid, supervisor_id)
        return False
    return True


def _session_members(leader: Identity) -> Iterable[Identity]:
    for pid in psutil.pids():
        found = read_stat(pid)
        if found is None or found.session != leader.pid or found.state in GONE:
            continue
        if found.start_ticks >= leader.start_ticks and pid != os.getpid():
            yield replace(leader, pid=pid, start_ticks=found.start_ticks)


def children() -> dict[int, int]:
    """Return the children of this process, zombies too, with their start in ticks."""
    found = {pid: read_stat(pid) for pid in psutil.pids()}
    return {pid: stat.start_ticks for pid, stat in found.items() if stat is not None and stat.parent == os.getpid()}


def has_ended(child: int) -> bool:
    """Return True if a child of ours is over and waits to be reaped."""
    return os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT | os.WNOHANG) is not None


def end_child(pid: int) -> Exit:
    """SIGKILL a child of ours that was not reaped yet, and collect it."""
    os.kill(pid, signal.SIGKILL)
    return reap(pid)


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
    return Exit(
        exit_code=code if code >= 0 else None,
        signal=-code if code < 0 else None,
        cpu_seconds=usage.ru_utime + usage.ru_stime,
        peak_memory=usage.ru_maxrss * (1024 if LINUX else 1),
    )


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


def block_signals() -> None:
    """Let signals wait, but for SIGKILL and SIGSTOP; also in what is forked from here, for those of its own."""
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())


def rename(name: bytes) -> None:
    """Let `ps -o comm` and `/proc/PID/comm` show this name, of at most 15 bytes, also of what is forked from here."""
    if LINUX:
        _libc.prctl(PR_SET_NAME, name, 0, 0, 0)


def name_of(pid: int) -> bytes:
    """Return what `ps -o comm` shows of a process; empty if it is gone."""
    try:
        with open(f"/proc/{pid}/comm", "rb") as file:
            return file.read().rstrip(b"\n")
    except OSError:
        return b""


def reset_signals() -> None:
    """Forget all signal handlers and masks that were inherited, but ignore what Python ignores."""
    reset_handlers()
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def reset_handlers() -> None:
    """Forget all signal handlers that were inherited, but ignore what Python ignores."""
    signal.set_wakeup_fd(-1)
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        try:
            signal.signal(number, signal.SIG_DFL)
        except (OSError, ValueError):  # those that the C library keeps for itself
            continue
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.default_int_handler)


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
    process = native.popen()(
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
    process = native.popen()(command, stdin=stdin, stdout=output, stderr=output, env=dict(env), start_new_session=True)
    process.returncode = 0  # it is reaped by `reap`; the object must not try, nor warn
    return process.pid
