"""Real processes for tests of the store."""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable, Sequence


def forked(works: Sequence[Callable[[], str]]) -> list[str]:
    """Run each of `works` in a forked child, all at the same time; return what they return.

    A child waits for the others to be there before it begins.
    """
    ready, go = os.pipe(), os.pipe()
    children = [_start(work, ready, go) for work in works]
    for end in (ready[1], go[0]):
        os.close(end)
    for _ in works:
        os.read(ready[0], 1)
    os.close(go[1])
    answers = [_answer(*child) for child in children]
    os.close(ready[0])
    assert "FAILED" not in "".join(answers), "\n".join(answers)
    return answers


def _start(work: Callable[[], str], ready: tuple[int, int], go: tuple[int, int]) -> tuple[int, int]:
    answer, output = os.pipe()
    pid = os.fork()
    if pid:
        os.close(output)
        return pid, answer
    try:
        os.close(go[1])
        os.write(ready[1], b"r")
        os.read(go[0], 1)
        text = work()
    except BaseException:
        text = "FAILED " + traceback.format_exc()
    os.write(output, text.encode())
    os._exit(0)


def _answer(pid: int, descriptor: int) -> str:
    with os.fdopen(descriptor, "rb") as file:
        answer = file.read().decode()
    os.waitpid(pid, 0)
    return answer
