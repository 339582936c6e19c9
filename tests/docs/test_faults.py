"""Every fault that the documents tell of is caused by a test."""

from __future__ import annotations

import ast

import pytest

from tests.docs.pages import ROOT, rows

AWAY, GONE, SERVER = ("tests/faults/test_" + name for name in ("database_away", "supervisor_gone", "database_server"))
RUNNER, SUPERVISOR, START = (f"tests/faults/test_{name}_faults" for name in ("runner", "supervisor", "start"))
TABLE = f"{RUNNER}::test_a_fault_of_the_task_ends_its_own_row_truly_and_nothing_else"
ORDERS, BREAKS = "tests/process/test_supervisor_orders", "tests/e2e/test_interruptions"

ENDS = {
    "execute` raises": "tests/process/test_supervisor_endings"
    "::test_an_exception_gives_the_person_a_sentence_and_the_operator_a_traceback",
    'it raises `TaskError("…")': "tests/process/test_supervisor_endings::test_a_task_error_says_its_own_sentence",
    "its result is no JSON, or more than 1 MiB": TABLE,
    "sys.exit`, `os._exit`, also with 0": TABLE,
    "it closes all descriptors, as daemons do": TABLE,
    "killed from outside, or a crash (SIGSEGV)": TABLE,
    "no memory: killed by the kernel, or `MemoryError": "tests/faults/test_out_of_memory"
    "::test_a_kill_for_memory_is_told_as_what_it_is_and_tried_once_more",
    "longer than `timeout": f"{ORDERS}::test_a_task_that_takes_too_long_is_stopped",
    "cancelled": f"{RUNNER}::test_a_task_that_ignores_sigterm_is_killed",
    "the supervisor is told to end": f"{SUPERVISOR}::test_a_supervisor_told_to_end_fails_what_may_not_run_again",
    "the supervisor is killed": f"{SUPERVISOR}::test_row_says_lost_when_the_supervisor_is_killed",
    "the machine stops": f"{GONE}::test_on_another_host_a_row_is_lost_after_its_lease_by_the_clock_of_the_database",
}
STARTS = {
    "the application cannot be imported by the supervisor": f"{START}"
    "::test_a_row_whose_application_cannot_be_imported_fails_alone",
    "no task of this name (removed, renamed, not imported)": "tests/faults/test_starting"
    "::test_a_task_that_nobody_knows_waits_for_a_grace_and_then_fails",
    "the kernel gives the supervisor no process": "tests/faults/test_fork_refused"
    "::test_a_refused_fork_waits_while_others_run_and_fails_when_none_do",
    "the kernel gives the web process no supervisor": f"{START}"
    "::test_a_row_fails_when_the_kernel_refuses_to_start_the_supervisor",
    "the process with its arguments ended before it took the order": "tests/faults/test_bound_rows"
    "::test_an_order_that_died_with_its_supervisor_is_given_up",
    "start method `fork` above `FORKTASK_MAX_RUNNING": "tests/process/test_start_fork"
    "::test_closures_above_the_limit_fail_however_fast_they_come",
    "prepare()` raises": f"{START}::test_a_hook_that_raises_before_the_task_fails_its_row",
}
AROUND = {
    "the web server is killed, restarted, or reloads": f"{BREAKS}::test_the_bar_survives_the_end_of_the_web_server",
    "the database is locked": f"{AWAY}::test_an_end_is_written_when_the_locked_database_is_free_again",
    "the database does not answer": f"{SERVER}::test_an_end_is_written_when_the_server_has_been_restarted",
    "the line to it breaks at a COMMIT": f"{AWAY}::test_an_end_is_written_once_though_the_line_breaks_at_its_commit",
    "the disk is full": f"{SERVER}::test_an_end_is_written_when_the_full_disk_of_a_server_has_room_again",
    "the database refuses a value": "tests/faults/test_row_faults"
    "::test_an_end_that_the_database_refuses_is_written_without_what_the_task_gave",
    "the supervisor hangs or is stopped (SIGSTOP)": f"{SUPERVISOR}"
    "::test_a_stopped_supervisor_is_not_called_dead_however_long_it_is_silent",
    "the nursery, which forks the runners, is killed or stands still": "tests/process/test_nursery"
    "::test_a_nursery_that_is_killed_costs_no_task_and_another_one_comes",
    "the supervisor wakes after its row was given to another attempt": f"{GONE}"
    "::test_the_runner_of_an_older_attempt_is_killed_and_writes_nothing",
    "a task leaves programs behind that ignore everything": f"{SUPERVISOR}"
    "::test_what_a_killed_supervisors_runner_left_is_gone_before_the_row_runs_again",
    "the number of a process that has ended is given to another": f"{GONE}"
    "::test_a_pid_in_use_by_another_process_is_not_signalled",
    "somebody deletes a row that runs": "tests/faults/test_row_faults"
    "::test_the_runner_of_a_row_that_somebody_deletes_is_killed",
    "a clock is set": "tests/faults/test_clock::test_nothing_is_lost_late_or_early_when_the_clock_is_set",
    "a task prints without end": "tests/process/test_supervisor_output"
    "::test_a_flood_of_output_neither_stops_nor_swells_the_supervisor",
    "the message to the supervisor is lost, its socket is full": "tests/faults/test_row_faults"
    "::test_an_order_for_which_the_supervisors_socket_has_no_room_is_found_in_the_table",
    "two web processes start the first supervisor at once": "tests/faults/test_starting"
    "::test_eight_processes_that_start_the_first_task_at_once_get_one_supervisor",
    "socket and lock of a killed supervisor are there": "tests/faults/test_starting"
    "::test_a_stale_socket_and_lock_of_a_killed_supervisor_are_taken_over",
    "a process of the application's own holds that lock (forked in the moment of a start)": (
        "tests/faults/test_supervisor_missed::test_a_lock_that_no_supervisor_holds_is_replaced"
    ),
    "initiate` in the moment in which the supervisor leaves": "tests/faults/test_starting"
    "::test_an_order_at_the_very_moment_of_leaving_is_not_lost",
    "no private runtime directory can be had, or written": f"{START}"
    "::test_a_web_process_without_a_runtime_directory_has_a_supervisor_of_its_own",
    "a login runs out in an open page": f"{BREAKS}::test_a_login_page_does_not_end_up_in_the_bar",
    "the row is gone, or somebody else's": f"{BREAKS}::test_a_bar_that_is_no_longer_mine_says_so_and_stops",
}
CAUSED = {
    "A task ends badly": ENDS,
    "A task does not start": STARTS,
    "Something around it fails": AROUND,
}


@pytest.mark.parametrize("heading", CAUSED)
def test_every_fault_that_is_documented_is_caused_by_a_test(heading: str) -> None:
    assert [fault for fault, *_ in rows("docs/faults.md", heading)] == list(CAUSED[heading])


def test_those_tests_are_there() -> None:
    named = {test for faults in CAUSED.values() for test in faults.values()}
    assert {test for test in named if test.partition("::")[2] not in functions_of(test.partition("::")[0])} == set()


def functions_of(module: str) -> set[str]:
    path = ROOT / f"{module}.py"
    tree = ast.parse(path.read_text(encoding="utf-8")) if path.exists() else ast.Module([], [])
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
