"""Captured output: ordered, live, capped, and never in the way."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest

from forktask import process
from forktask.runtime import Runtime
from forktask.states import State
from forktask.status import TaskStatus
from tests import zoo
from tests.runtimes import MakeRuntime, ended, the_supervisor
from tests.waiting import wait_until

SPOKEN = [
    (None, "one: print\ntwo: stderr\n"),
    ("INFO", "three: logging\n"),
    (None, "four: child\nfive: descriptor\n"),
    ("WARNING", "six: status.log\n"),
]


def text_of(status: TaskStatus) -> str:
    return "".join(row.text for row in status.log())


def completed(status: TaskStatus) -> TaskStatus:
    assert ended(status).state is State.COMPLETED, status.attempts()
    return status


def test_output_of_all_kinds_is_kept_in_order(runtime_each: Runtime) -> None:
    status = completed(zoo.speak.initiate({}))
    rows = status.log()
    merged: list[tuple[str | None, str]] = []
    for row in rows:  # a row may end where the supervisor had read so far
        if merged and merged[-1][0] == row.level is None:
            merged[-1] = (None, merged[-1][1] + row.text)
        else:
            merged.append((row.level, row.text))
    assert merged == [*SPOKEN, (None, "seven: no newline")]
    assert [row.position for row in rows] == list(range(len(rows)))
    assert {row.logger for row in rows} == {None, "zoo", "forktask.task.tests.zoo.speak"}
    assert status.attempts()[0].log_dropped == 0


@pytest.mark.parametrize(("level", "levels"), [("INFO", {None, "INFO", "WARNING"}), ("WARNING", {None, "WARNING"})])
def test_the_setting_is_the_least_level_that_is_logged(
    make_runtime: MakeRuntime, level: str, levels: set[str | None]
) -> None:
    runtime = make_runtime(log_level=level)
    status = completed(zoo.speak.initiate({}))
    assert {row.level for row in status.log()} == levels
    (log,) = Path(runtime.settings.runtime_dir).glob("*.log")
    assert ("started task=" in log.read_text()) == (level == "INFO")


def test_output_can_be_read_while_the_task_runs(runtime_each: Runtime, tmp_path: Path) -> None:
    go = tmp_path / "go"
    status = zoo.speak.initiate({"path": str(go)})
    wait_until(lambda: text_of(status).endswith("seven: no newline\n"), 30, "the output")
    assert status.refresh().state is State.RUNNING
    go.touch()
    completed(status)


def test_output_of_each_attempt_is_kept_apart(runtime: Runtime) -> None:
    status = ended(zoo.SaysAttemptTask.initiate())
    assert [(row.attempt, row.text) for row in status.log()] == [(1, "attempt 1\n"), (2, "attempt 2\n")]
    assert [row.text for row in status.log(2)] == ["attempt 2\n"]


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        (b"a\0b\n", "ab\n"),
        ("é 第 😀\n".encode(), "é 第 😀\n"),
        (b"broken \xff\xfe\x80 bytes\n", "broken \ufffd\ufffd\ufffd bytes\n"),
        (b"\x1e{no record}\n", "\x1e{no record}\n"),
        (b"carriage\rreturn\r\n\x1b[31mred\x1b[0m", "carriage\rreturn\r\n\x1b[31mred\x1b[0m"),
    ],
    ids=["nul", "four bytes", "invalid", "separator", "control"],
)
def test_any_bytes_can_be_printed(runtime_each: Runtime, written: bytes, kept: str) -> None:
    assert text_of(completed(zoo.write_bytes.initiate({"hex": written.hex()}))) == kept


def test_a_long_line_is_cut_between_characters(runtime: Runtime) -> None:
    written = "x" + "😀" * 20_000
    status = completed(zoo.write_bytes.initiate({"hex": written.encode().hex()}))
    assert text_of(status) == written


def test_a_long_record_is_a_record_also_in_the_middle_of_a_line(runtime_each: Runtime) -> None:
    status = completed(zoo.log_long.initiate({"size": 50_000}))
    first, *records = status.log()
    assert (first.level, first.text) == (None, "Working… ")
    assert {row.level for row in records} == {"INFO"}
    assert "".join(row.text for row in records) == "é" * 50_000 + "\n"


def test_a_child_that_writes_at_the_same_time_breaks_no_record(runtime: Runtime) -> None:
    status = completed(zoo.log_beside_a_child.initiate())
    assert text_of(status).count("z" * 2000 + "\n") == 200
    plain = "".join(row.text for row in status.log() if row.level is None)
    assert set(plain) == {"y", "\n"}


def test_what_exceeds_the_limit_is_dropped_and_counted(make_runtime: MakeRuntime) -> None:
    make_runtime(log_limit=10_000)
    status = completed(zoo.flood.initiate({"size": 1_000_000}))
    assert len(text_of(status)) == 10_000
    assert status.attempts()[0].log_dropped == 990_000


def test_a_record_that_the_limit_cuts_is_dropped_whole(make_runtime: MakeRuntime) -> None:
    make_runtime(log_limit=10_050)
    status = completed(zoo.log_often.initiate({"count": 1000}))
    texts = [row.text for row in status.log()]
    assert texts == [f"record {number}\n" for number in range(len(texts))]
    assert 50 < len(texts) < 200
    assert status.attempts()[0].log_dropped > 0


def test_a_flood_of_output_neither_stops_nor_swells_the_supervisor(own_runtime_both: Runtime) -> None:
    completed(zoo.nothing.initiate())
    supervisor = psutil.Process(the_supervisor(own_runtime_both.store).pid)
    before = supervisor.memory_info().rss
    status = zoo.flood.initiate({"size": 100_000_000})
    other = completed(zoo.echo.initiate({"beside": "the flood"}))
    assert other.result == {"beside": "the flood"}
    completed(status)
    assert len(text_of(status)) == own_runtime_both.settings.log_limit
    assert status.attempts()[0].log_dropped == 100_000_000 - own_runtime_both.settings.log_limit
    assert supervisor.memory_info().rss - before < 30_000_000


def test_a_daemon_that_keeps_the_output_open_does_not_delay_the_end(runtime: Runtime) -> None:
    status = completed(zoo.leave_daemon.initiate())
    daemon = process.identify(int(status.message or ""))
    try:
        assert process.is_alive(daemon)
        assert text_of(status) == "left one behind\n"
    finally:
        process.send_signal(daemon, 9)


def test_output_before_a_kill_is_kept(runtime: Runtime) -> None:
    status = ended(zoo.say_and_die.initiate())
    assert (status.state, text_of(status)) == (State.FAILED, "last words")
