"""Arguments of both kinds fill one message to the supervisor: they arrive whole, or are refused by name."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from forktask import State
from forktask.errors import LaunchError
from forktask.options import PRIVATE_LIMIT, SHELL_LIMIT
from forktask.runtime import Runtime
from tests.process.site import REPORT, Site, open_site


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with open_site(tmp_path) as site:
        yield site


BOTH = """
    import hashlib

    class BothTask(Task):
        shell_arguments_encrypted = True

        @classmethod
        def get_shell_arguments(cls):
            return [os.fsdecode(bytes.fromhex(each)) for each in json.load(open("shell.json"))]

        @classmethod
        def get_private_arguments(cls):
            return {"k": json.load(open("private.json"))}

        def execute(self, status):
            private = json.dumps(self.private_arguments["k"])
            return [digest(*map(os.fsencode, self.shell_arguments)), digest(private.encode())]

    def digest(*texts):
        return hashlib.sha256(b"|".join(texts)).hexdigest()

    if __name__ == "__main__":
        from forktask import SettingsError
        try:
            status = BothTask.initiate().wait(50)
            print(json.dumps([status.state, status.result, [a.traceback for a in status.attempts()]]))
        except SettingsError as error:
            print(json.dumps(["refused", str(error), [str(found.id) for found in TaskStatus.find()]]))
"""


def run_both(site: Site, shell: Sequence[bytes], private: object = "") -> list[object]:
    (site.folder / "shell.json").write_text(json.dumps([each.hex() for each in shell]))
    (site.folder / "private.json").write_text(json.dumps(private))
    told: list[object] = site.run(REPORT + BOTH, name="both.py")
    return told


def digests(shell: Sequence[bytes], private: object) -> list[str]:
    return [hashlib.sha256(text).hexdigest() for text in (b"|".join(shell), json.dumps(private).encode())]


def test_a_file_name_that_is_no_text_arrives_byte_for_byte(site: Site) -> None:
    name = b"caf\xe9 \xff\xed\xa0\x80.csv"
    assert run_both(site, [name, "café".encode()]) == [State.COMPLETED, digests([name, "café".encode()], ""), [None]]


def test_as_many_arguments_of_both_kinds_as_are_taken_arrive(site: Site) -> None:
    for character in ("\x01", "é", "🦊", '"', "x"):
        room = SHELL_LIMIT // len(json.dumps(character, ensure_ascii=False)[1:-1].encode()) - 10
        shell, private = [(character * room).encode()], character * room
        assert run_both(site, shell, private) == [State.COMPLETED, digests(shell, private), [None]], character


def test_numbers_in_private_arguments_fill_the_message_no_more_than_they_count(site: Site) -> None:
    private = [1] * (PRIVATE_LIMIT // 2 - 10)
    assert run_both(site, [b"x" * (SHELL_LIMIT - 10)], private)[0] == State.COMPLETED


def test_arguments_that_no_message_holds_are_refused_by_name_and_leave_no_row(site: Site) -> None:
    refused = f"bytes as JSON; at most {SHELL_LIMIT}"
    state, error, rows = run_both(site, [b"\x01" * (SHELL_LIMIT // 6 + 1)])
    assert (state, rows) == ("refused", [])
    assert str(error).startswith("shell_arguments are")
    assert refused in str(error)
    state, error, rows = run_both(site, [b"x"], "\x01" * (PRIVATE_LIMIT // 6 + 1))
    assert (state, rows) == ("refused", [])
    assert str(error).startswith("private_arguments is")
    assert refused in str(error)


def test_a_message_that_no_packet_holds_is_said_to_be_too_long(own_runtime: Runtime) -> None:
    with pytest.raises(LaunchError, match=r"a message of 3000.. bytes, with a task's arguments, is too long"):
        own_runtime.doorbell.ring(["start", "x" * 300_000])
