"""Reports from threads and from processes that a task forks."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from forktask.errors import TaskStopped
from forktask.progress import Report
from tests.unit.lives import Watched
from tests.waiting import wait_until


@pytest.fixture
def watched() -> Watched:
    return Watched()


def forked(work: Callable[[], object]) -> int:
    """Run `work` in a child and return its exit code; -9 if it did not end by itself."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12: threads are running; that is the point
        pid = os.fork()
    if not pid:
        try:
            work()
        except BaseException:
            os._exit(1)
        os._exit(0)
    try:
        wait_until(lambda: os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT), timeout=5)
    except AssertionError:
        os.kill(pid, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_reports_of_threads_do_not_mix(watched: Watched) -> None:
    def report(thread: int) -> None:
        for number in range(500):
            watched.status.update(thread, f"{thread}", done=thread * 1000 + number, total=thread)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(report, range(1, 5)))
    assert len(watched.reports) == 2000
    assert all(
        (report.percent, report.message, (report.done or 0) // 1000) == (thread, str(thread), thread)
        for report in watched.reports
        if (thread := report.total)
    )


def test_no_report_of_a_thread_is_lost(watched: Watched) -> None:
    def say() -> None:
        for number in range(2000):
            watched.status.update(message=f"{number}")

    thread = threading.Thread(target=say)
    thread.start()
    for number in range(2000):
        watched.status.update(done=number)
    thread.join()
    assert watched.report[1:3] == ("1999", 1999)


def test_loops_run_in_threads(watched: Watched) -> None:
    def loop(length: int) -> int:
        return sum(1 for _ in watched.status.track(range(length)))

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(loop, [10_000, 20_000, 30_000, 40_000])) == [10_000, 20_000, 30_000, 40_000]
    assert watched.report.done == watched.report.total


def test_a_loop_in_another_thread_does_not_move_the_bar_of_the_first(watched: Watched) -> None:
    loop = iter(watched.status.track(range(2), unit="files"))
    next(loop)
    thread = threading.Thread(target=lambda: list(watched.status.track(range(50))))
    thread.start()
    thread.join()
    assert watched.report == Report(0, None, 0, 2, "files")
    assert list(loop) == [1]


def test_a_loop_in_a_thread_is_stopped_by_a_cancel(watched: Watched) -> None:
    def loop() -> str:
        try:
            for _ in watched.status.track(iter(int, 1)):
                watched.page.request_cancel()
        except TaskStopped:
            return "stopped"
        return "ended"

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(loop).result() == "stopped"


def test_a_report_inside_a_report_does_not_lock_up() -> None:
    def report_again(report: Report) -> None:
        if report.percent == 1:
            talkative.status.update(2)

    talkative = Watched(on_progress=report_again)
    thread = threading.Thread(target=talkative.status.update, args=(1,), daemon=True)
    thread.start()
    thread.join(5)
    assert not thread.is_alive()
    assert talkative.report.percent == 2


def test_a_forked_process_reports(watched: Watched) -> None:
    watched.status.update(10, "Parent")
    process = multiprocessing.get_context("fork").Process(target=watched.status.update, args=(50, "Child"))
    process.start()
    process.join()
    assert process.exitcode == 0
    assert watched.report == Report(50, "Child")
    watched.status.update(60)
    assert watched.report == Report(60, "Parent")


def test_a_process_forked_while_a_thread_reports_is_not_locked() -> None:
    inside, go_on = threading.Event(), threading.Event()

    def stay_inside(report: Report) -> None:
        if report.percent == 1:
            inside.set()
            go_on.wait()

    watched = Watched(on_progress=stay_inside)
    thread = threading.Thread(target=watched.status.update, args=(1,))
    thread.start()
    inside.wait()
    code = forked(lambda: watched.status.update(2))
    go_on.set()
    thread.join()
    assert code == 0
    assert watched.report.percent == 2


def test_a_loop_whose_body_forks_keeps_its_count(watched: Watched) -> None:
    codes = []
    for number in watched.status.track(range(5)):
        if number == 2:
            codes += [forked(lambda: None)]
        watched.status.update(message=f"{number}")
    assert codes == [0]
    assert watched.report[1:4] == ("4", 5, 5)


def test_a_copy_of_a_loop_in_a_forked_process_reports_nothing(watched: Watched) -> None:
    loop = watched.status.track(range(5))
    next(loop)
    loops = [loop]
    del loop
    watched.status.update(done=3)
    assert forked(loops.clear) == 0
    assert watched.report.done == 3
    loops.clear()
    assert watched.report.done == 1
