"""The zoo: small tasks, shared by all tests. Importing it starts nothing."""

from __future__ import annotations

import ast
import ctypes
import fcntl
import io
import logging
import logging.config
import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from forktask import (
    Cause,
    LiveStatus,
    Retry,
    RetryLater,
    Runtime,
    Settings,
    StartMethod,
    State,
    Task,
    TaskError,
    TaskStatus,
    task,
)
from forktask.errors import TaskStopped

DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(600)"
SOON = Retry(attempts=3, backoff=0.05, jitter=0)


def note(path: str, line: str) -> None:
    """Append one line in one write."""
    with open(path, "a") as file:
        file.write(line + "\n")


def wait_for_file(path: str) -> None:
    """Return once the file is there, without reporting anything."""
    while not os.path.exists(path):
        time.sleep(0.01)


@task
def sudden(status: LiveStatus) -> None:
    """Rush through 40,000 items, then stand still at each of six until its file is there; in a thread if so told."""

    def count() -> None:
        for number in status.track(range(50_000)):
            if 40_000 <= number < 40_006:
                wait_for_file(f"{status.settings['path']}.{number}")

    if status.settings["thread"]:
        thread = threading.Thread(target=count)
        thread.start()
        thread.join()
    else:
        count()


@task
def echo(status: LiveStatus) -> Any:
    """Return the settings."""
    return status.settings


@task
def nothing(status: LiveStatus) -> None:
    """Do nothing at all."""


@task
def await_another(status: LiveStatus) -> str:
    """Initiate another one and return what has become of it."""
    return nothing.initiate().wait(20).state.value


@task
def await_many(status: LiveStatus) -> int:
    """Initiate many, and return how many `echo` have run until they ended."""
    for _ in range(3):
        for one in [nothing.initiate() for _ in range(10)]:
            one.wait(20)
    return len(TaskStatus.find(task=echo.name, state=State.COMPLETED))


@task
def order_others(status: LiveStatus) -> list[str]:
    """Order others, of which one runs in this very process; return their ids."""
    runtime = Runtime(Settings(database_url=status.settings["url"], start_method=StartMethod.INLINE))
    Runtime.use(lambda: runtime)
    later = nothing.using(run_after=3600)
    orders = [later.enqueue(), nothing.initiate(), *later.enqueue_many([{}, {}])]
    return [str(one.id) for one in orders]


@task
def command_line(status: LiveStatus) -> list[str]:
    """Return the arguments of its process."""
    return Path("/proc/self/cmdline").read_text().split("\0")


@task
def note_start(status: LiveStatus) -> Any:
    """Append the setting `n` to the file `path`, and return it after as many `seconds` as there are given."""
    note(status.settings["path"], str(status.settings["n"]))
    time.sleep(status.settings.get("seconds", 0))
    return status.settings["n"]


@task
def wait(status: LiveStatus) -> str:
    """Wait for the file `path` without reporting; say that it has begun."""
    status.update(1, "waiting")
    wait_for_file(status.settings["path"])
    return "waited"


@task
def within(status: LiveStatus) -> int:
    """Hold one of the files `0` … of a folder for a while; fail if others hold all of them, `most` in number."""
    folder = Path(status.settings["folder"])
    for number in range(status.settings["most"]):
        with open(folder / str(number), "w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            time.sleep(status.settings.get("seconds", 0.05))
            return number
    raise AssertionError("more run at once than the limit lets through")


@task
def wait_and_report(status: LiveStatus) -> str:
    """Wait for the file `path`, reporting all the time."""
    done = 0
    while not os.path.exists(status.settings["path"]):
        done += 1
        status.update(message="waiting", done=done)
        time.sleep(0.01)
    return "waited"


@task
def report(status: LiveStatus) -> None:
    """Report the keywords in `reports`, one after the other; after each wait for the file of that number."""
    for number, keywords in enumerate(status.settings["reports"]):
        status.update(**keywords)
        wait_for_file(f"{status.settings['path']}.{number}")


@task
def track(status: LiveStatus) -> int:
    """Go through `count` slow items."""
    items: Any = range(status.settings["count"])
    if not status.settings.get("sized", True):
        items = iter(items)
    for _ in status.track(items, message="Counting", unit="rows"):
        time.sleep(0.005)
    return int(status.settings["count"])


@task(phases=("First", "Never", "Second", "Third"))
def phases(status: LiveStatus) -> None:
    """Two phases of those it declares; the second waits for the file `path` at its half."""
    with status.phase("First", 40):
        status.update(50)
    with status.phase("Second", 60):
        status.update(50)
        wait_for_file(status.settings["path"])


@task
def warn(status: LiveStatus) -> None:
    """Warn twice, keep a checkpoint, wait for the file `path`."""
    status.warn("Row 3 is empty.")
    status.warn("Row 7 is empty.")
    status.checkpoint({"row": 7})
    wait_for_file(status.settings["path"])


@task
def tqdm_bar(status: LiveStatus) -> None:
    """A tqdm bar that stops in the middle until the file `path` is there."""
    from tqdm import tqdm

    for item in tqdm(range(100), desc="Loading", unit="rows", mininterval=0):
        if item == 50:
            wait_for_file(status.settings["path"])


class CustomError(Exception):
    """An error of the application."""


@task
def fail(status: LiveStatus) -> None:
    """Report, then raise `CustomError`."""
    status.update(42, "Reading the secret file")
    raise CustomError("the secret is 1234")


@task
def fail_with_sentence(status: LiveStatus) -> None:
    """Fail with a sentence for the person."""
    raise TaskError(ast.literal_eval(status.settings["sentence"]))


@task
def exit_hard(status: LiveStatus) -> None:
    """End the process with `os._exit`."""
    os._exit(status.settings["code"])


@task
def exit_soft(status: LiveStatus) -> None:
    """End the process with `sys.exit`."""
    sys.exit(status.settings["code"])


@task
def kill_itself(status: LiveStatus) -> None:
    """Die by the signal `number`."""
    status.update(30, "about to die")
    os.kill(os.getpid(), status.settings["number"])
    time.sleep(60)


@task
def segfault(status: LiveStatus) -> None:
    """Read what is not there."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    ctypes.string_at(0)


@task
def interrupt(status: LiveStatus) -> None:
    """Raise what Ctrl-C raises."""
    raise KeyboardInterrupt


@task
def devour(status: LiveStatus) -> None:
    """Take more memory than there is."""
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + 64 * 2**20, used + 64 * 2**20))
    hoard = []
    while True:
        hoard.append(bytearray(2**20))


hoarded: list[bytes] = []


@task
def hoard(status: LiveStatus) -> None:
    """Keep memory beyond the end, and wait for the file at `path` if there is one given."""
    hoarded.append(b"x" * (status.settings["mebibytes"] << 20))
    status.update(None, "has it")
    if path := status.settings.get("path"):
        wait_for_file(path)


class DevourTask(Task):
    """Takes more memory than there is at each of many attempts."""

    retry = Retry(attempts=5, backoff=0.01, jitter=0)

    def execute(self, status: LiveStatus) -> None:
        devour(status)


@task
def return_object(status: LiveStatus) -> Any:
    """Return what is not JSON."""
    return {"when": object()}


@task
def return_large(status: LiveStatus) -> str:
    """Return a text of `size` characters."""
    return "x" * int(status.settings["size"])


class ShortTask(Task):
    """Has half a second."""

    timeout = 0.5

    def execute(self, status: LiveStatus) -> None:
        wait.function(status)


class ShortStubbornTask(Task):
    """Has half a second and ignores SIGTERM."""

    timeout = 0.5

    def execute(self, status: LiveStatus) -> None:
        stubborn(status)


class TimeoutAgainTask(Task):
    """Has half a second, and a second attempt, which ends."""

    timeout = 0.5
    retry = Retry(attempts=2, backoff=0.01, always=(Cause.TIMEOUT,))

    def execute(self, status: LiveStatus) -> int:
        if status.attempt == 1:
            wait_for_file("/nowhere")
        return status.attempt


@task
def clean_up(status: LiveStatus) -> None:
    """Report or sleep until stopped, perhaps deaf to SIGTERM; the `finally` block leaves a line in `notes`."""
    if status.settings.get("deaf"):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        status.update(1, "ready")
        while True:
            time.sleep(0.01)
            if status.settings.get("reports"):
                status.update(2)
    except Exception:  # a stop is no Exception
        note(status.settings["notes"], "caught")
    finally:
        note(status.settings["notes"], "cleaned up")


@task
def stubborn(status: LiveStatus) -> None:
    """Ignore SIGTERM and never report again; with a child that does the same."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    status.update(1, "ready")
    while True:
        time.sleep(1)


@task
def with_child(status: LiveStatus) -> None:
    """Start a child that outlives nothing but SIGKILL, and wait; its pid is the message."""
    code = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(600)"
    )
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert child.stdout is not None
    child.stdout.readline()
    status.update(1, str(child.pid))
    if status.settings.get("leave"):
        return
    while True:
        time.sleep(1)


@task
def leave_daemon(status: LiveStatus) -> None:
    """Leave behind a process with a session of its own that holds the output; its pid is the message."""
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
    print("left one behind")
    status.update(50, str(child.pid))


@task
def tick(status: LiveStatus) -> None:
    """Count in the file `path`.ticks until the file `path` is there."""
    count = 0
    while not os.path.exists(status.settings["path"]):
        count += 1
        Path(status.settings["path"] + ".ticks").write_text(str(count))
        status.update(20, "ticking")
        time.sleep(0.01)


class TickTask(Task):
    """Counts like `tick`, and has three seconds."""

    timeout = 3

    def execute(self, status: LiveStatus) -> None:
        tick(status)


class FlakyTask(Task):
    """Fails until attempt 3; each attempt continues at the checkpoint."""

    retry = SOON

    def execute(self, status: LiveStatus) -> dict[str, Any]:
        note(status.settings["notes"], f"{status.attempt} {status.resumed_from} {time.monotonic()}")
        status.checkpoint({"attempt": status.attempt})
        status.update(10 * status.attempt, f"attempt {status.attempt}")
        if status.attempt < 3:
            raise CustomError(f"attempt {status.attempt}")
        return {"attempt": status.attempt}


class LaterTask(Task):
    """Asks to be run later until attempt `attempts`, as the settings say; has two attempts."""

    retry = Retry(attempts=2, backoff=60, never=(Exception,))

    def execute(self, status: LiveStatus) -> int:
        if status.attempt < status.settings["attempts"]:
            settings = status.settings
            raise RetryLater(settings["delay"], settings.get("message", ""), counts=settings.get("counts", True))
        return status.attempt


class SlowBackoffTask(Task):
    """Fails, and has a second attempt a minute later."""

    retry = Retry(attempts=2, backoff=60, jitter=0)

    def execute(self, status: LiveStatus) -> None:
        raise CustomError("first")


class AlwaysFailsTask(Task):
    """Fails at each of three attempts."""

    retry = Retry(attempts=3, backoff=0.01)

    def execute(self, status: LiveStatus) -> None:
        raise CustomError(f"attempt {status.attempt}")


class KilledOnceTask(Task):
    """Is killed at its first attempt."""

    retry = Retry(attempts=2, backoff=0.01)

    def execute(self, status: LiveStatus) -> int:
        if status.attempt == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return status.attempt


class OnlyOSErrorTask(Task):
    """Is run again after an `OSError` only."""

    retry = Retry(attempts=3, backoff=0.01, on=(OSError,))

    def execute(self, status: LiveStatus) -> None:
        if status.settings["matches"]:
            raise ConnectionResetError("gone")
        raise CustomError("wrong")


class ResumableTask(Task):
    """Waits for the file `path`; is always run again after an interruption."""

    resumable = True

    def execute(self, status: LiveStatus) -> dict[str, Any]:
        note(status.settings["notes"], f"attempt {status.attempt}")
        wait.function(status)
        return {"attempt": status.attempt}


class InterruptedFlakyTask(Task):
    """Waits for the file `path`, then fails; has two attempts."""

    retry = Retry(attempts=2, backoff=0.01)

    def execute(self, status: LiveStatus) -> None:
        wait.function(status)
        raise CustomError("after waiting")


class FlakyOnceTask(Task):
    """Waits for the file `path`, reports a thousand times, and fails at its first attempt."""

    retry = Retry(attempts=2, backoff=0.01)

    def execute(self, status: LiveStatus) -> int:
        wait.function(status)
        for number in range(1000):
            status.update(done=number + 1, total=1000)
        if status.attempt == 1:
            raise CustomError("first")
        return status.attempt


class LostAgainTask(Task):
    """Waits for the file `path`; is run again when it was lost."""

    retry = Retry(attempts=2, backoff=0.01, always=(Cause.SUPERVISOR_GONE,))

    def execute(self, status: LiveStatus) -> int:
        wait.function(status)
        return status.attempt


class SpawnedTask(Task):
    """Starts in an interpreter of its own."""

    start_method = "spawn"
    retry = Retry(attempts=2, backoff=0.01)

    def execute(self, status: LiveStatus) -> list[str]:
        if status.settings.get("fails") and status.attempt == 1:
            raise CustomError("first")
        return sys.argv[1:] + Path("/proc/self/cmdline").read_text().split("\0")


class PrivateTask(Task):
    """Has private arguments."""

    retry = SOON

    @classmethod
    def get_private_arguments(cls) -> Mapping[str, Any]:
        return {"key": "s3cret"}

    def execute(self, status: LiveStatus) -> str:
        if "path" in status.settings:
            wait.function(status)
        if status.attempt < status.settings.get("fails_until", 0):
            raise CustomError("not yet")
        return str(self.private_arguments["key"])


@task
def speak(status: LiveStatus) -> None:
    """Write to standard output, standard error, logging, and through a child; in this order."""
    print("one: print")
    print("two: stderr", file=sys.stderr)
    logging.getLogger("zoo").info("three: logging")
    subprocess.run(["/bin/sh", "-c", "echo four: child"], check=True)
    os.write(1, b"five: descriptor\n")
    status.log.warning("six: status.log")
    print("seven: no newline", end="")
    if path := status.settings.get("path"):
        print(flush=True)
        wait_for_file(path)


class SaysAttemptTask(Task):
    """Prints its attempt, of which the first fails."""

    retry = Retry(attempts=2, backoff=0.01)

    def execute(self, status: LiveStatus) -> None:
        print(f"attempt {status.attempt}")
        if status.attempt == 1:
            raise CustomError("first")


@task
def say_and_die(status: LiveStatus) -> None:
    """Print without a newline and be killed."""
    print("last words", end="", flush=True)
    os.kill(os.getpid(), signal.SIGKILL)


@task
def write_bytes(status: LiveStatus) -> None:
    """Write the bytes that `hex` spells."""
    os.write(1, bytes.fromhex(status.settings["hex"]))


@task
def log_long(status: LiveStatus) -> None:
    """Log one record of `size` characters after the beginning of a line."""
    print("Working… ", end="")
    status.log.info("%s", "é" * status.settings["size"])


@task
def flood(status: LiveStatus) -> None:
    """Write `size` bytes in lines of 100."""
    line = b"x" * 99 + b"\n"
    block = line * 1000
    for _ in range(status.settings["size"] // len(block)):
        os.write(1, block)


@task
def log_often(status: LiveStatus) -> None:
    """Log `count` records."""
    for number in range(status.settings["count"]):
        status.log.info("record %d", number)


@task
def log_beside_a_child(status: LiveStatus) -> None:
    """Log 200 records of 2000 characters while a child writes to the same output."""
    child = subprocess.Popen([sys.executable, "-c", "for _ in range(2000): print('y' * 99)"])
    for _ in range(200):
        status.log.info("z" * 2000)
    child.wait()


@task
def use_pool(status: LiveStatus) -> list[int]:
    """Compute in forked processes of multiprocessing."""
    import multiprocessing

    for _ in range(20):
        with multiprocessing.get_context("fork").Pool(2) as pool:
            found = pool.map(abs, [-1, -2, -3])
    return found


@task
def terminate_a_child(status: LiveStatus) -> int | None:
    """End a process of its own as `multiprocessing.Pool` does; return its exit code."""
    import multiprocessing

    child = multiprocessing.get_context("fork").Process(target=_catch_anything)
    child.start()
    child.terminate()
    child.join()
    return child.exitcode


def _catch_anything() -> None:
    while True:
        try:
            time.sleep(0.01)
        except BaseException as error:
            print("caught", repr(error))


@task
def fork_and_raise(status: LiveStatus) -> str:
    """Fork by hand; the child comes back out of `execute` with an error."""
    pid = os.fork()
    if pid == 0:
        raise CustomError("in the child")
    os.waitpid(pid, 0)
    if path := status.settings.get("path"):
        wait_for_file(path)
    os.kill(os.getpid(), signal.SIGKILL)
    return "never"


class Terminated(io.StringIO):
    """An output whose flush asks the process to end, as a cancel that comes just after the end of the work."""

    def flush(self) -> None:
        os.kill(os.getpid(), signal.SIGTERM)


@task
def end_and_be_stopped(status: LiveStatus) -> str:
    """Return; then comes SIGTERM, before the supervisor knows."""
    sys.stdout = Terminated()
    return "done"


class OftenKilledTask(Task):
    """Notes begin and end in the file `notes`; is run again whatever ended it."""

    retry = Retry(attempts=1000, backoff=0.01, factor=1, always=(Cause.SUPERVISOR_GONE,))

    def execute(self, status: LiveStatus) -> int:
        note(status.settings["notes"], f"begin {status.id} {status.attempt}")
        time.sleep(0.1)
        note(status.settings["notes"], f"end {status.id} {status.attempt}")
        return status.attempt


of_context: ContextVar[str | None] = ContextVar("of_context", default=None)


@task
def tell_process(status: LiveStatus) -> list[Any]:
    """Say, and print, who runs it; leave behind what is in `leave`."""
    is_deaf = signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
    leave, found = status.settings.get("leave"), of_context.get()
    print("of", status.settings.get("n"), end="" if leave == "line" else "\n", flush=leave != "buffer")
    if leave == "thread":
        threading.Thread(target=time.sleep, args=(600,), daemon=True).start()
    elif leave == "program":
        subprocess.Popen(["sleep", "600"])
    elif leave == "orphan":
        subprocess.run("sleep 600 &", shell=True, check=True)
    elif leave == "alarm":
        signal.signal(signal.SIGALRM, lambda number, frame: os._exit(3))
        signal.setitimer(signal.ITIMER_REAL, 0.1)
    elif leave == "seed":
        random.seed(1)
    elif leave == "handler":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    elif leave == "variable":
        of_context.set("left")
    elif leave == "sentence":
        status.update(33, "said", unit="words")
    elif leave is not None and leave.startswith("output"):
        leave_output(leave)
    elif leave == "limit":
        resource.setrlimit(resource.RLIMIT_CPU, (600, resource.getrlimit(resource.RLIMIT_CPU)[1]))
    elif leave == "nice":
        os.nice(1)
    elif leave == "place":
        place = tempfile.mkdtemp()
        os.chdir(place)
        os.rmdir(place)
        os.umask(0o777)
    return [os.getpid(), random.random(), is_deaf, found]


def leave_output(how: str) -> None:
    """Close or replace what a task prints to, or close all descriptors."""
    if how == "output closed":
        sys.stdout.close()
    elif how == "output replaced":
        sys.stdout = sys.stderr = io.StringIO()
    elif how == "output unlogged":
        logging.disable()
        logging.config.dictConfig({"version": 1, "root": {"level": "ERROR"}})
    elif how == "output elsewhere":
        with open(os.devnull, "w") as null:
            os.dup2(null.fileno(), 1)
            os.dup2(null.fileno(), 2)
    else:
        os.closerange(3, 1024)


@task
def look_around(status: LiveStatus) -> list[Any]:
    """Tell process, working directory and umask; log it."""
    status.log.info("looks")
    logging.getLogger("looking").warning("around")
    umask = os.umask(0o022)
    os.umask(umask)
    return [os.getpid(), os.getcwd(), umask]


@task
def swallow_a_stop(status: LiveStatus) -> int:
    """Wait to be stopped, and return as if nothing had been; or end by a signal, if the setting `dies` is set."""
    if status.settings.get("dies"):
        os.kill(os.getpid(), signal.SIGKILL)
    try:
        status.update(1, "waiting")
        while True:
            time.sleep(0.01)
    except TaskStopped:
        return os.getpid()


@task
def burn(status: LiveStatus) -> None:
    """Take so many `seconds` of the processor."""
    until = time.process_time() + status.settings["seconds"]
    while time.process_time() < until:
        pass


@task
def burn_beside(status: LiveStatus) -> int:
    """Take so many `seconds` of the processor in a child that has ended, but was not waited for; return the pid."""
    child = os.fork()
    if child == 0:
        burn(status)
        os._exit(0)
    os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
    return os.getpid()


@task
def worker_arguments(status: LiveStatus) -> list[str]:
    """Return what the worker was told for its tasks."""
    return list(status.worker_arguments)


@task
def print_lines(status: LiveStatus) -> None:
    """Print and log five lines."""
    print("printed")
    print("two\nlines")
    status.log.info("logged")
    print("unended", end="")


class TogetherTask(Task):
    """Have up to five do what their settings say, one after the other; each is asked for its end but by `raise`."""

    batch = 5
    phases = ("first", "last")

    def execute_batch(self, statuses: Sequence[LiveStatus]) -> Any:
        """Return what became of each, or what the setting `returns` of the first says."""
        for status in statuses:
            number = status.settings["n"]
            status.update(number, f"row {number}")
            print("of", number)
        results: list[Any] = []
        for status in statuses:
            try:
                results.append(_do(status, statuses))
            except (Exception, TaskStopped) as error:
                if status.settings.get("raises"):
                    raise
                results.append(error)
        return {None: results, "short": results[1:], "text": "12345", "nothing": None}[
            statuses[0].settings.get("returns")
        ]


class TogetherAgainTask(TogetherTask):
    """The same with three attempts."""

    retry = SOON


class TogetherShortTask(TogetherTask):
    """The same with little time."""

    timeout = 2


def _do(status: LiveStatus, statuses: Sequence[LiveStatus]) -> Any:
    do = status.settings.get("do")
    if do == "fail":
        raise CustomError(f"of {status.settings['n']}")
    if do == "later" and status.attempt == 1:
        raise RetryLater(0.05, "Not yet.")
    if do == "say":
        status.warn(f"warning {status.settings['n']}")
        status.checkpoint({"n": status.settings["n"]})
        with status.phase("first", 50):
            status.update(100, "said")
    if do == "hold":
        while not os.path.exists(status.settings["path"]):
            status.update(message="held")
            time.sleep(0.01)
    if do == "stand still":
        status.update(message="standing still")
        while True:
            _sleep_on()
    if do == "kill" and status.attempt == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    if do == "exit":
        os._exit(3)
    if do == "object":
        return object()
    return {"n": status.settings["n"], "pid": os.getpid(), "of": len(statuses), "attempt": status.attempt}


def _sleep_on() -> None:
    """Sleep, whoever wants to end it."""
    try:
        time.sleep(600)
    except TaskStopped:
        return
