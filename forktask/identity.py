"""Who a process is: proof that the one with this pid is the one that was meant."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """A process, beyond the reuse of its pid and steps of the wall clock.

    It proves something only on the same boot and in the same pid namespace; elsewhere the pid means
    another process. The host's name proves nothing: containers keep it.
    """

    boot_id: str
    """`/proc/sys/kernel/random/boot_id`; on macOS the boot time."""
    pid_namespace: str
    """Inode of `/proc/self/ns/pid`; empty where there are none."""
    pid: int
    start_ticks: int
    """Field 22 of `/proc/PID/stat`: clock ticks from boot to its start; not moved by the wall clock,
    as `psutil.Process.create_time()` is."""
