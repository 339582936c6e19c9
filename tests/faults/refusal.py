"""Have the kernel refuse system calls of this process with EAGAIN, for good: seccomp, which needs no root."""

from __future__ import annotations

import ctypes
import errno
import platform
import struct

PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS = 22, 38
FILTER = 2
LOAD, JUMP_IF_EQUAL, RETURN = 0x20, 0x15, 0x06
ALLOW, REFUSE = 0x7FFF0000, 0x00050000 | errno.EAGAIN
CALLS: dict[str, dict[str, tuple[int, ...]]] = {
    "x86_64": {"fork": (56, 57, 58, 435), "exec": (59, 322)},  # clone, fork, vfork, clone3; execve, execveat
    "aarch64": {"fork": (220, 435), "exec": (221, 281)},
}


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def refuse(what: str) -> None:
    """Refuse every `fork` or every `exec` from now on."""
    numbers = CALLS[platform.machine()][what]
    code = [(LOAD, 0, 0, 0)]  # the number of the call
    code += [(JUMP_IF_EQUAL, len(numbers) - at, 0, number) for at, number in enumerate(numbers)]
    code += [(RETURN, 0, 0, ALLOW), (RETURN, 0, 0, REFUSE)]
    packed = b"".join(struct.pack("=HBBI", *one) for one in code)
    libc = ctypes.CDLL(None, use_errno=True)
    program = ctypes.byref(_Program(len(code), packed))
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or libc.prctl(PR_SET_SECCOMP, FILTER, program, 0, 0):
        raise OSError(ctypes.get_errno(), "the kernel takes no filter of system calls")
