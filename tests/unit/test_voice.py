"""The runner's voice: a word is sent whole, whatever signal comes."""

from __future__ import annotations

import signal
import socket
import threading
from collections.abc import Iterator
from types import FrameType

import pytest

from forktask import channel, runner
from forktask.errors import TaskStopped


def stop(number: int, frame: FrameType | None) -> None:
    raise TaskStopped


@pytest.fixture
def stopped_by_sigterm() -> Iterator[None]:
    before = signal.signal(signal.SIGTERM, stop)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.mark.usefixtures("stopped_by_sigterm")
def test_sigterm_in_the_midst_of_a_word_waits_for_its_end() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        voice, heard = runner.Voice(theirs), []
        data = {"word": "checkpoint", "value": "x" * 2_000_000}  # more than the socket holds

        def listen() -> None:
            ours.recv(1, socket.MSG_PEEK)  # it has begun
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)
            heard.extend([channel.receive(ours), channel.receive(ours)])

        listener = threading.Thread(target=listen)
        listener.start()
        with pytest.raises(TaskStopped):
            voice.say(data)
        voice.say({"word": "done"})
        listener.join(60)
    assert heard == [data, {"word": "done"}]
