"""How long a supervisor stays when nobody is connected."""

from __future__ import annotations

from forktask import Retry, Task, process
from forktask.live import LiveStatus
from forktask.runtime import Runtime
from forktask.states import State
from tests import zoo
from tests.runtimes import PATIENCE, ended, gone, stays, the_supervisor, wait_for
from tests.waiting import wait_until


class LaterTask(Task):
    """Succeeds at the second attempt."""

    retry = Retry(attempts=2, backoff=4.0, jitter=0.0)

    def execute(self, status: LiveStatus) -> int:
        """Fail, then return the number of the attempt."""
        if status.attempt == 1:
            raise OSError("not yet")
        return status.attempt


def test_a_supervisor_leaves_when_idle(own_runtime: Runtime) -> None:
    ended(zoo.nothing.initiate())
    supervisor = the_supervisor(own_runtime.store)
    own_runtime.doorbell.close()
    gone(supervisor)


def test_a_supervisor_stays_for_an_attempt_that_comes_after_its_idle_time(own_runtime_both: Runtime) -> None:
    store = own_runtime_both.store
    status = LaterTask.initiate()
    wait_for(status, lambda one: one.attempt == 2)
    own_runtime_both.doorbell.close()
    # Nobody looks through the runtime, which would ring for a row that waits.
    wait_until(lambda: getattr(store.get(status.id), "state", None) is State.COMPLETED, PATIENCE, "the second attempt")


def test_a_supervisor_stays_for_what_is_due_later_and_leaves_after_it(own_runtime: Runtime) -> None:
    ended(zoo.nothing.initiate())
    status = zoo.nothing.using(run_after=3600.0).enqueue()
    supervisor = the_supervisor(own_runtime.store)
    own_runtime.doorbell.close()
    stays(own_runtime, own_runtime.settings.idle_exit + 1.5)
    assert process.is_alive(supervisor)
    own_runtime.store.cancel_waiting(status.id)
    gone(supervisor)
