"""The runner of a batch: rows that it was handed at once are executed together, by one call of `execute_batch`.

Each row has a page of its own in one memory file, and what is said of it bears the number of that page; so each has
its own progress, warnings and end.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, NoReturn

from forktask import channel, current, hooks, lastword, place, registry, runner
from forktask.definition import TaskDefinition
from forktask.jsonvalues import plain
from forktask.live import LiveStatus
from forktask.progress import Page
from forktask.runner import Voice, Word


class Share(NamedTuple):
    """What belongs to one row of a batch."""

    order: Mapping[str, Any]
    voice: Voice
    page: Page


def serve(head: Mapping[str, Any], sock: socket.socket, context: place.Context) -> NoReturn:
    """Execute the batch that follows, send how each went, and end the process; its output is redirected already."""
    shares = _receive(head["batch"], sock)
    words = runner.be_runner_of(head["task"], lambda: run(head["task"], shares, context))
    for share, word in zip(shares, words, strict=True):
        share.voice.say_or_leave(word)
    os._exit(0 if any(word["word"] == "done" for word in words) else 1)


def _receive(count: int, sock: socket.socket) -> list[Share]:
    _, descriptors, _, _ = socket.recv_fds(sock, 1, 1)
    orders: list[Any] = [channel.receive(sock) for _ in range(count)]
    if not descriptors or None in orders:
        os._exit(0)  # the supervisor is gone
    voice = Voice(sock)
    pages = [Page.from_descriptor(descriptors[0], order["number"] - 1) for order in orders]
    os.close(descriptors[0])
    return [Share(order, voice.of(order["number"]), page) for order, page in zip(orders, pages, strict=True)]


def run(task: str, shares: Sequence[Share], context: place.Context) -> list[Word]:
    """Execute a batch in the application's context; return the last word of each."""
    try:
        definition: TaskDefinition = registry.get(task)
        runner.wait_for_debugger()
        with context():
            return _run(definition, shares)
    except BaseException as error:  # of the application: no attempt came to `execute_batch`
        return [lastword.of(error, task) for _ in shares]
    finally:
        runner.stop_no_more()


def _run(definition: TaskDefinition, shares: Sequence[Share]) -> list[Word]:
    """Call `execute_batch` with those whose settings are valid."""
    found = [_live_or_word(definition, share) for share in shares]
    statuses = tuple(one for one in found if isinstance(one, LiveStatus))  # which the task cannot sort or empty
    try:
        words = iter(_execute(definition, statuses) if statuses else ())
    except BaseException as error:  # user code: whatever it raises becomes the end of each attempt
        words = iter([lastword.of(error, definition.name) for _ in statuses])
    return [next(words) if isinstance(one, LiveStatus) else one for one in found]


def _live_or_word(definition: TaskDefinition, share: Share) -> LiveStatus | Word:
    try:
        return runner.live_status(share.order, definition, share.voice.tell, share.page)
    except Exception as error:  # its settings are of another version: the others need not suffer from that
        return lastword.of(error, definition.name)


def _execute(definition: TaskDefinition, statuses: Sequence[LiveStatus]) -> list[Word]:
    assert definition.execute_batch is not None
    with current.running_together(statuses):
        runner.pick_up_bars()
        for live in statuses:
            hooks.before(definition.name, live)
        found = definition.execute_batch(statuses)
        runner.stop_no_more()
        results = results_of(found, len(statuses))
        return [_word(definition.name, live, result) for live, result in zip(statuses, results, strict=True)]


def _word(task: str, live: LiveStatus, result: Any) -> Word:
    if isinstance(result, BaseException):
        return lastword.of(result, task)
    try:
        value = plain(result, "result")
    except Exception as error:  # what one has for a result must cost no other its own
        return lastword.of(error, task)
    hooks.after(task, live, value)
    return {"word": "done", "value": value}


def results_of(found: object, count: int) -> Sequence[Any]:
    """Return what `execute_batch` has returned, as one for each status.

    Raises:
        TypeError: It is neither a list nor a tuple, nor None.
        ValueError: It has another length.
    """
    if found is None:
        return [None] * count
    if not isinstance(found, list | tuple):
        wanted = "it returns a list with a result for each status, or None"
        raise TypeError(f"execute_batch returned {type(found).__name__}; {wanted}")
    if len(found) != count:
        raise ValueError(f"execute_batch returned {len(found)} results for {count} statuses; each needs one, or None")
    return found
