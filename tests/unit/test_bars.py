"""tqdm bars inside a task move the bar of its status."""

from __future__ import annotations

import io
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
import tqdm
import tqdm.auto

from forktask import bars
from forktask.errors import TaskStopped
from forktask.live import LiveStatus
from forktask.progress import Report
from tests.unit.lives import Watched

CLASSES = [tqdm.tqdm, tqdm.auto.tqdm]


@pytest.fixture
def current() -> Iterator[list[LiveStatus]]:
    """The task that runs: the last of the list."""
    running: list[LiveStatus] = []
    bars.install(lambda: running[-1] if running else None)
    yield running
    running.clear()


@pytest.fixture
def watched(current: list[LiveStatus]) -> Watched:
    watched = Watched()
    current.append(watched.status)
    return watched


@pytest.fixture(autouse=True)
def no_monitor_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tqdm.tqdm, "monitor_interval", 0)


@pytest.mark.parametrize("bar", CLASSES)
@pytest.mark.parametrize("leave", [True, False, None])
def test_a_bar_reports_and_writes_nothing(
    watched: Watched, capfd: pytest.CaptureFixture[str], bar: Any, leave: bool | None
) -> None:
    assert list(bar(range(10), desc="Importing", unit="rows", leave=leave)) == list(range(10))
    assert watched.reports[0] == Report(0, "Importing", 0, 10, "rows")
    assert watched.report == Report(100, "Importing", 10, 10, "rows")
    assert capfd.readouterr() == ("", "")


def test_installing_again_changes_nothing_but_the_task(current: list[LiveStatus]) -> None:
    before = tqdm.tqdm.display
    bars.install(lambda: None)
    assert tqdm.tqdm.display is before
    current.append(Watched().status)
    list(tqdm.tqdm(range(3), file=io.StringIO()))
    assert current[-1]._page.read() is None


def test_a_bar_reports_at_its_own_refreshes(watched: Watched) -> None:
    with tqdm.tqdm(total=10, mininterval=0, miniters=1) as bar:
        for done in range(1, 11):
            bar.update(1)
            assert watched.report.done == done


def test_a_bar_that_is_left_reports_where_it_was(watched: Watched) -> None:
    for number in tqdm.trange(10):
        if number == 4:
            break
    assert watched.report.done == 4


def test_a_description_set_later_becomes_the_message(watched: Watched) -> None:
    with tqdm.tqdm(total=10) as bar:
        watched.status.update(message="Of the task")
        bar.refresh()
        assert watched.report.message == "Of the task"
        bar.set_description("Second half")
        assert watched.report.message == "Second half"


def test_the_word_that_tqdm_uses_for_no_unit_is_no_unit(watched: Watched) -> None:
    list(tqdm.tqdm(range(3)))
    assert watched.report == Report(100, None, 3, 3)


@pytest.mark.parametrize("total", [None, float("inf"), float("nan")])
def test_a_bar_of_unknown_total_reports_its_count(watched: Watched, total: float | None) -> None:
    with tqdm.tqdm(total=total) as bar:
        bar.update(9)
    assert watched.report.percent == pytest.approx(20)
    assert watched.report[2:4] == (9, None)


def test_a_bar_of_fractions_reports_whole_numbers(watched: Watched) -> None:
    with tqdm.tqdm(total=2.5) as bar:
        bar.update(1.25)
    assert watched.report[2:4] == (1, 2)


def test_only_the_outermost_bar_reports(watched: Watched, capfd: pytest.CaptureFixture[str]) -> None:
    for _ in tqdm.tqdm(range(2), desc="Files", mininterval=0, miniters=1):
        for _ in tqdm.tqdm(range(5), desc="Rows", mininterval=0, miniters=1, leave=False):
            pass
    assert {(report.message, report.total) for report in watched.reports} == {("Files", 2)}
    assert capfd.readouterr() == ("", "")


def test_bars_after_each_other_report_each(watched: Watched) -> None:
    list(tqdm.tqdm(range(2)))
    list(tqdm.tqdm(range(5)))
    assert watched.report[2:4] == (5, 5)


def test_a_bar_in_a_loop_of_the_task_moves_within_its_item(watched: Watched) -> None:
    for number in watched.status.track(range(2), unit="files"):
        with tqdm.tqdm(total=4, desc="Rows") as bar:
            bar.update(2)
            bar.refresh()
            if not number:
                assert watched.report == Report(25, None, 0, 2, "files")
    assert watched.report == Report(100, None, 2, 2, "files")


def test_a_bar_in_a_phase_fills_the_phase(watched: Watched) -> None:
    with watched.status.phase("Reading", 40):
        list(tqdm.tqdm(range(4)))
        assert watched.report == Report(40, "Reading", 4, 4)


def test_a_disabled_bar_reports_nothing(watched: Watched, capfd: pytest.CaptureFixture[str]) -> None:
    assert list(tqdm.tqdm(range(3), disable=True)) == [0, 1, 2]
    assert watched.page.read() is None
    assert capfd.readouterr() == ("", "")


def test_a_bar_with_a_file_of_its_own_reports_and_writes_there(watched: Watched) -> None:
    stream = io.StringIO()
    list(tqdm.tqdm(range(3), file=stream))
    assert "3/3" in stream.getvalue()
    assert watched.report.done == 3


def test_a_bar_outside_a_task_looks_as_always(current: list[LiveStatus], capfd: pytest.CaptureFixture[str]) -> None:
    list(tqdm.tqdm(range(3), desc="Free"))
    assert "Free: 100%" in capfd.readouterr().err


def test_lines_written_beside_a_bar_are_kept(watched: Watched, capfd: pytest.CaptureFixture[str]) -> None:
    for number in tqdm.trange(2):
        tqdm.tqdm.write(f"line {number}")
    assert capfd.readouterr() == ("line 0\nline 1\n", "")


def test_a_bar_stops_the_task_that_was_cancelled(watched: Watched) -> None:
    bar = tqdm.tqdm(total=10, mininterval=0, miniters=1)
    watched.page.request_cancel()
    with pytest.raises(TaskStopped):
        bar.update(1)
    bar.close()


def test_a_bar_that_stopped_the_task_locks_out_no_other_bar(watched: Watched, current: list[LiveStatus]) -> None:
    bar = tqdm.tqdm(total=10, mininterval=0, miniters=1)
    watched.page.request_cancel()
    with suppress(TaskStopped):
        bar.update(1)
    current.clear()
    thread = threading.Thread(target=lambda: list(tqdm.tqdm(range(3), file=io.StringIO())), daemon=True)
    thread.start()
    thread.join(5)
    assert not thread.is_alive()
    bar.close()


def test_the_monitor_thread_of_tqdm_is_not_stopped(watched: Watched) -> None:
    bar = tqdm.tqdm(total=10)
    watched.page.request_cancel()
    bar.refresh(nolock=True)
    bar.close()


def test_a_tqdm_with_other_internals_looks_as_always(watched: Watched, capfd: pytest.CaptureFixture[str]) -> None:
    class OtherBar(tqdm.tqdm):  # type: ignore[type-arg]
        @property
        def desc(self) -> str:
            raise LookupError("no such thing in this version")

        @desc.setter
        def desc(self, desc: str) -> None: ...

        @property
        def format_dict(self) -> dict[str, Any]:
            return {"n": self.n, "total": self.total, "elapsed": 1, "ncols": 60}

    list(OtherBar(range(3)))
    assert "3/3" in capfd.readouterr().err
    assert watched.page.read() is None


def test_a_tqdm_without_the_methods_is_left_alone() -> None:
    program = """
import sys, types
sys.modules["tqdm.std"] = types.ModuleType("tqdm.std")
from forktask import bars
bars.install(lambda: None)
"""
    subprocess.run([sys.executable, "-W", "error", "-c", program], check=True)


LATER = """
import sys
from forktask import bars
from tests.unit.lives import Watched

watched = Watched()
running = []
bars.install(lambda: running[-1] if running else None)
bars.install(lambda: running[-1] if running else None)
assert len([finder for finder in sys.meta_path if type(finder).__module__ == "forktask.bars"]) == 1
assert not [name for name in sys.modules if name.split(".")[0] == "tqdm"]
{imports}
assert not [finder for finder in sys.meta_path if type(finder).__module__ == "forktask.bars"]
import inspect, tqdm.std
assert "def display" in inspect.getsource(tqdm.std)
assert type(tqdm.std.__loader__) is type(tqdm.std.__spec__.loader) is type(inspect.__loader__)
running.append(watched.status)
list(trange(3))
assert watched.report.done == 3
"""


@pytest.mark.parametrize(
    "imports", ["from tqdm import trange", "from tqdm.auto import trange", "from tqdm.std import trange"]
)
def test_a_tqdm_that_is_imported_later_is_picked_up(imports: str) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", LATER.format(imports=imports)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_an_application_without_tqdm_gets_its_own_import_error() -> None:
    program = """
import sys
from forktask import bars
bars.install(lambda: None)
sys.path = []
try:
    import tqdm.std
except ModuleNotFoundError as error:
    assert error.name == "tqdm", error
else:
    raise SystemExit("imported")
"""
    subprocess.run([sys.executable, "-W", "error", "-c", program], check=True)
