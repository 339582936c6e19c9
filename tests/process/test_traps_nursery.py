"""The traps of a fork for one's parent, each caused for real."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from forktask import State
from tests.process.site import REPORT, Site, open_site

START = """
    if __name__ == "__main__":
        told(*[WhereTask.initiate() for _ in range(4)])
"""


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with open_site(tmp_path) as site:
        yield site


def children(site: Site) -> list[str]:
    """Return the states of what the only supervisor has beside its nursery."""
    (supervisor,) = site.supervisors()
    return [one.status() for one in supervisor.children() if one.name() != "nursery"]


REFUSING = """
    import ctypes, os, struct
    from forktask import in_supervisor

    CLONE_PARENT = 0x8000

    def refuse_clone(errno):
        load, equal, has, give, allow = 0x20, 0x15, 0x45, 0x06, 0x7FFF0000
        number = {"x86_64": 56, "aarch64": 220}[os.uname().machine]
        code = [(load, 0, 0, 0), (equal, 0, 3, number), (load, 0, 0, 16), (has, 0, 1, CLONE_PARENT),
                (give, 0, 0, 0x50000 | errno), (give, 0, 0, allow)]
        text = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *each) for each in code))
        program = struct.pack("@HP", len(code), ctypes.addressof(text))
        libc = ctypes.CDLL(None)
        assert libc.prctl(38, 1, 0, 0, 0) == 0  # PR_SET_NO_NEW_PRIVS
        assert libc.prctl(22, 2, program, 0, 0) == 0  # PR_SET_SECCOMP

    if in_supervisor():
        refuse_clone(int(os.environ["REFUSAL"]))
"""


@pytest.mark.parametrize("errno", [1, 22, 38], ids=["EPERM", "EINVAL", "ENOSYS"])
def test_where_a_sandbox_refuses_it_the_supervisor_forks_by_itself(site: Site, errno: int) -> None:
    told = site.run(REPORT + REFUSING + START, REFUSAL=str(errno))
    assert [(state, verb) for state, verb, _ in told] == [(State.COMPLETED, "supervisor")] * 4, site.log()
    (supervisor,) = site.supervisors()
    site.until(lambda: [one.name() != "nursery" for one in supervisor.children()] == [True], "one spare, no nursery")


def test_a_refusal_for_want_of_processes_is_one_of_the_kernel(site: Site) -> None:
    more = {"REFUSAL": "11", "FORKTASK_SPARE_RUNNERS": "0"}
    ((state, _, error),) = site.run(REPORT + REFUSING + START.replace("range(4)", "range(1)"), **more)
    assert (state, error) == (State.FAILED, "This could not be started.")
    assert "Resource temporarily unavailable" in (site.store.attempts(site.rows()[0].id)[0].traceback or "")


DYING = """
    import signal, struct
    from forktask.supervisor import tending

    class Dying:
        size = tending.ANSWER.size

        def pack(self, pid):
            try:
                os.close(os.open("died" + os.environ["EACH"] * pid, os.O_CREAT | os.O_EXCL))
            except FileExistsError:
                return struct.pack("=i", pid)
            os.kill(os.getpid(), signal.SIGKILL)

    tending.ANSWER = Dying()
"""


def test_a_runner_of_which_a_dying_nursery_told_nobody_is_ended_and_reaped(site: Site) -> None:
    told = site.run(REPORT + DYING + START, EACH="")
    assert [(state, verb) for state, verb, _ in told] == [(State.COMPLETED, "supervisor")] * 4, site.log()
    assert (site.folder / "died").exists()
    assert "of which the nursery said nothing" in site.log()
    site.until(lambda: children(site) == [psutil.STATUS_SLEEPING], "one spare, and no zombie")


def test_after_three_that_died_at_once_there_is_no_other_nursery(site: Site) -> None:
    program = DYING.replace('"died" + os.environ["EACH"] * pid', 'f"died-{os.getpid()}"')
    for _ in range(2):
        told = site.run(REPORT + program + START)
        assert [(state, verb) for state, verb, _ in told] == [(State.COMPLETED, "supervisor")] * 4, site.log()
    site.until(lambda: len(list(site.folder.glob("died-*"))) == 3, "three nurseries")
    site.until(lambda: children(site) == [psutil.STATUS_SLEEPING], "one spare, and no zombie")
    assert len(list(site.folder.glob("died-*"))) == 3


ORPHANED = """
    import ctypes, signal, socket, selectors, uuid
    from contextlib import nullcontext
    from forktask import Settings, channel, native
    from forktask.birth import Birth
    from forktask.supervisor import tending
    from forktask.supervisor.ends import Ends

    class ForEverTask(Task):
        def execute(self, status):
            while True:
                signal.pause()

    class Killing:
        size = 4

        def pack(self, pid):
            os.kill(os.getppid(), signal.SIGKILL)
            return b"pid "

    def supervise():
        ends = Ends.make("page")
        order = {"id": str(uuid.uuid4()), "task": "program.ForEverTask", "settings": {}, "attempt": 1}
        channel.send(ends.ours, order)  # there already when the runner is born
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        socket.send_fds(ours, [b"R"], [ends.memory, ends.theirs.fileno(), ends.write])
        birth = Birth(parent=os.getpid(), supervisor_id=uuid.uuid4(), context=nullcontext, patches=native.Patches(),
                      log_level="INFO", inherited=frozenset(), descriptor_limit=(1024, 1024))
        if os.fork() == 0:
            tending.tend(birth, theirs, [])
        signal.pause()

    if __name__ == "__main__":
        ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER
        tending.ANSWER = Killing()
        ends = []
        for _ in range(40):
            if os.fork() == 0:
                try:
                    supervise()
                finally:
                    os._exit(1)
            for _ in range(3):
                signal.alarm(20)
                ends.append(os.waitstatus_to_exitcode(os.wait()[1]))
        print(json.dumps(ends))
"""


def test_no_runner_outlives_a_supervisor_that_is_killed_right_after_its_nursery_has_forked(site: Site) -> None:
    """Each supervisor of 40 dies right then; orphans come to this program, which waits for them."""
    ends = site.run(REPORT + ORPHANED)
    assert len(ends) == 120
    assert ends.count(-signal.SIGKILL) >= 40, "the supervisors"
    assert set(ends) <= {-signal.SIGKILL, 71, 0}, "0: a nursery that sees before it is killed that nobody listens"


WHOLE = """
    import ctypes, threading

    def number_in_c_library():
        address = ctypes.c_long()
        assert ctypes.CDLL(None).prctl(40, ctypes.byref(address), 0, 0, 0) == 0  # PR_GET_TID_ADDRESS
        return ctypes.c_int.from_address(address.value).value

    def robust_list():
        head, size = ctypes.c_long(), ctypes.c_long()
        number = {"x86_64": 274, "aarch64": 100}[os.uname().machine]
        assert ctypes.CDLL(None).syscall(number, 0, ctypes.byref(head), ctypes.byref(size)) == 0
        return head.value != 0

    def inheritable():
        names = [name for name in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{name}")]
        return [name for name in names if int(name) > 2 and os.get_inheritable(int(name))]

    class WholeTask(Task):
        def execute(self, status):
            seen = []
            thread = threading.Thread(target=lambda: seen.append(threading.get_native_id()))
            thread.start()
            thread.join()
            import json.tool  # with the lock of imports
            return [number_in_c_library() == os.getpid() == threading.get_native_id(), robust_list(),
                    threading.current_thread() is threading.main_thread(), seen != [os.getpid()],
                    os.getppid() != 1, threading.active_count(), inheritable()]

    if __name__ == "__main__":
        print(json.dumps([WholeTask.initiate().wait(50).result for _ in range(3)]))
"""


def test_a_runner_is_a_whole_process_for_the_c_library_and_for_python(site: Site) -> None:
    assert site.run(REPORT + WHOLE) == [[True, True, True, True, True, 1, []]] * 3


def test_a_module_that_comes_later_is_in_the_next_nursery(site: Site) -> None:
    later = """
        from forktask import Task

        class Later{0}Task(Task):
            def execute(self, status):
                return "later"
        """
    for name in ("One", "Two"):
        site.write(f"later{name}.py", later.format(name))
    program = """
    if __name__ == "__main__":
        first = WhereTask.initiate().wait(50).state
        from laterOne import LaterOneTask
        from laterTwo import LaterTwoTask
        statuses = [each.initiate().wait(50) for each in (LaterOneTask, LaterTwoTask, WhereTask)]
        print(json.dumps([first, *[status.state for status in statuses]]))
    """
    assert set(site.run(REPORT + program)) == {State.COMPLETED}, site.log()
    assert site.log().count("INFO forktask.supervisor nursery pid=") == 3
    site.until(lambda: children(site) == [psutil.STATUS_SLEEPING], "one spare, and no zombie")
