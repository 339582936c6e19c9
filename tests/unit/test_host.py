"""Which processes share a supervisor, and where its socket lies."""

from __future__ import annotations

import ast
import json
import os
import shutil
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from forktask import host
from forktask.errors import LaunchError
from tests.unit.fresh import Fresh

ROOT = Path(__file__).parents[2]

KEY = """
import json, os, sys
{before}
from forktask import host
given = dict(application="pkg:app", database_url="sqlite:////x", version="1", settings_digest="") | {given}
print(json.dumps(host.supervisor_key(**given)))
"""

PLAIN = {"PATH": os.environ["PATH"], "HOME": "/", "PYTHONPATH": str(ROOT)}


Keys = Callable[..., tuple[str, str]]


@pytest.fixture(scope="module")
def keys(interpreters: Fresh, tmp_path_factory: pytest.TempPathFactory) -> Keys:
    """Give what returns the two names that a process gets that differs from others in what is given."""
    file = tmp_path_factory.mktemp("keys") / "key.py"

    def ask(before: str = "", given: str = "{}", folder: str = "/", **more: str) -> tuple[str, str]:
        file.write_text(KEY.format(before=before, given=given))
        done = interpreters.run(file, folder=Path(folder), **more)
        assert done.returncode == 0, done.stderr
        application, full = json.loads(done.stdout)
        return application, full

    return ask


@pytest.fixture(scope="module")
def plain(keys: Keys) -> tuple[str, str]:
    return keys()


@pytest.mark.parametrize(
    "difference",
    [
        {"before": "os.umask(0o007)"},
        {"before": "sys.path.append('/elsewhere')"},
        {"before": "os.chdir('/tmp')"},
        {"before": "sys.prefix = '/other'"},
        {"before": "os.environ['STAGE'] = 'test'"},
        {"before": "os.environ['FLASK_DEBUG'] = '1'"},
        {"before": "os.environ['SSH_AUTH_SOCK'] = '/agent'"},
        {"given": "{'version': '2'}"},
        {"given": "{'settings_digest': 'x'}"},
    ],
    ids=str,
)
def test_what_a_task_would_notice_separates_supervisors_of_one_application(
    keys: Keys, plain: tuple[str, str], difference: dict[str, str]
) -> None:
    application, full = keys(**difference)
    assert full != plain[1]
    assert application == plain[0]


@pytest.mark.parametrize("difference", ["{'application': 'pkg:other'}", "{'database_url': 'sqlite:////y'}"])
def test_another_application_or_database_has_both_names_of_its_own(
    keys: Keys, plain: tuple[str, str], difference: str
) -> None:
    assert not {*keys(given=difference)} & {*plain}


def test_another_user_has_both_names_of_its_own(keys: Keys, plain: tuple[str, str]) -> None:
    assert not {*keys(before="os.geteuid = lambda: 65534")} & {*plain}


def test_processes_that_differ_in_volatile_names_share_a_supervisor(keys: Keys, plain: tuple[str, str]) -> None:
    volatile = {name.replace("*", "X"): "1" for name in host.VOLATILE}
    assert keys(**volatile) == plain
    assert len(set(plain)) == 2
    assert all(len(name) == 16 and int(name, 16) for name in plain)


@pytest.mark.parametrize(
    ("application", "added"),
    [("pkg:app", "sys.path.append(sys.path[-1])"), ("file:/srv/app.py:app", "sys.path.insert(0, '/srv')")],
)
def test_what_a_second_import_adds_to_the_path_leads_to_the_same_supervisor(
    keys: Keys, application: str, added: str
) -> None:
    given = repr({"application": application})
    assert keys(given=given, before=added) == keys(given=given)


def test_a_path_that_is_no_text_is_no_obstacle(monkeypatch: pytest.MonkeyPatch) -> None:
    before = host.interpreter_state()
    monkeypatch.setattr(sys, "path", [*sys.path, Path("/elsewhere")])
    assert json.loads(json.dumps(host.interpreter_state())) == before


def test_a_removed_working_directory_is_no_obstacle(keys: Keys, tmp_path: Path, plain: tuple[str, str]) -> None:
    gone = tmp_path / "release"
    gone.mkdir()
    assert keys(folder=str(gone), before="os.rmdir(os.getcwd())")[0] == plain[0]


def test_supervisors_get_no_variables_of_the_server() -> None:
    server = {"WERKZEUG_SERVER_FD": "3", "LISTEN_FDS": "1", "NOTIFY_SOCKET": "/x", "GUNICORN_PID": "1", "UWSGI_X": "1"}
    kept = {"PATH": "/bin", "STAGE": "test", "SSH_AUTH_SOCK": "/agent", "LISTENER": "mine"}
    assert host.clean_environment({**server, **kept}) == kept


def test_another_interpreter_finds_this_package_and_imports_as_this_one(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "forktask", tmp_path / "forktask", ignore=shutil.ignore_patterns("__pycache__"))
    child = "import forktask, os, sys; print([forktask.__file__, sys.path, os.environ.get('PYTHONPATH')])"
    restored = "from forktask import host; import json; host.restore_interpreter(json.loads(sys.argv[1]));"
    program = f"""
import json, os, subprocess, sys
sys.path.insert(0, {str(tmp_path)!r})
sys.path.append("/elsewhere")
from forktask import host
child = "import sys; {restored} " + {child!r}
subprocess.run(
    [sys.executable, "-P", "-c", child, json.dumps(host.interpreter_state())], env=host.exec_environment(os.environ)
)
print([host.__file__, sys.path, None], flush=True)
"""
    environ = {name: value for name, value in PLAIN.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-P", "-c", program], cwd="/", env=environ, capture_output=True, text=True, check=True
    )
    (package, *found), (_, *expected) = (ast.literal_eval(line) for line in done.stdout.splitlines())
    assert package == str(tmp_path / "forktask" / "__init__.py")
    assert found == expected


@pytest.fixture
def mask() -> Iterator[int]:
    """Run the test under a mask that is not the usual one."""
    before = os.umask(0o027)
    yield 0o027
    os.umask(before)


def test_the_umask_is_read_without_setting_it(mask: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "umask")
    assert host.umask() == mask


def test_the_umask_stays_where_it_can_only_be_read_by_setting_it(mask: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("forktask.host.machine.STATUS", "/no/such/file")
    assert host.umask() == mask
    assert os.umask(mask) == mask


def test_boot_and_namespace_are_those_of_a_child() -> None:
    program = "from forktask import host; print(host.boot_id(), host.pid_namespace())"
    done = subprocess.run([sys.executable, "-c", program], env=PLAIN, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [host.boot_id(), host.pid_namespace()]


def test_the_private_directory_is_made_and_found_again(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b"
    before = os.umask(0)
    try:
        with host.private_directory(str(path)) as first:
            assert first.path == str(path)
            found = os.fstat(first.fileno())
            assert stat.S_IMODE(found.st_mode) == 0o700
            assert not os.get_inheritable(first.fileno())
    finally:
        os.umask(before)
    with host.private_directory(str(path)) as second:
        assert os.fstat(second.fileno()).st_ino == found.st_ino
    second.close()


def test_without_a_setting_the_directory_is_the_sessions_or_this_users(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    session = tmp_path / "session"
    session.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(session))
    with host.private_directory("") as directory:
        assert directory.path == str(session / "forktask")
    session.chmod(0o777)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "relative").mkdir(mode=0o700)
    for wrong in (str(session), str(tmp_path / "absent"), "relative", ""):
        monkeypatch.setenv("XDG_RUNTIME_DIR", wrong)
        with host.private_directory("") as directory:
            assert directory.path == str(tmp_path / f"forktask-{os.geteuid()}")


def test_a_directory_that_others_can_enter_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    with pytest.raises(LaunchError, match=f"mode 755.*run chmod 700 {tmp_path}"):
        host.private_directory(str(tmp_path))
    tmp_path.chmod(0o700)
    host.private_directory(str(tmp_path)).close()


def test_a_directory_of_another_user_is_refused(tmp_path: Path) -> None:
    if os.geteuid():
        pytest.skip("only root can give a directory away")
    path = tmp_path / "theirs"
    path.mkdir(mode=0o700)
    os.chown(path, 65534, 65534)
    with pytest.raises(LaunchError, match="belongs to the user 65534, not to 0; set FORKTASK_RUNTIME_DIR"):
        host.private_directory(str(path))


def test_a_link_a_file_and_an_impossible_path_are_refused(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir(mode=0o700)
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "file").write_text("")
    for name, told in (("link", "is a link"), ("file", "cannot be opened"), ("file/below", "cannot be opened")):
        with pytest.raises(LaunchError, match=f"{told}.*set FORKTASK_RUNTIME_DIR"):
            host.private_directory(str(tmp_path / name))


def test_a_directory_that_cannot_be_made_says_so() -> None:
    with pytest.raises(LaunchError, match=r"cannot create /proc/forktask: .*; set FORKTASK_RUNTIME_DIR"):
        host.private_directory("/proc/forktask")


def test_a_refused_directory_leaves_no_descriptor_open(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    before = os.listdir("/proc/self/fd")
    with pytest.raises(LaunchError):
        host.private_directory(str(tmp_path))
    assert os.listdir("/proc/self/fd") == before


@pytest.mark.parametrize("length", [10, 150])
def test_a_socket_is_reached_however_long_its_path(tmp_path: Path, length: int) -> None:
    path = tmp_path / ("x" * length)
    with host.private_directory(str(path)) as directory, socket.socket(socket.AF_UNIX) as server:
        server.bind(directory.socket_address("socket"))
        server.listen()
        assert stat.S_ISSOCK((path / "socket").stat().st_mode)
        with host.private_directory(str(path)) as other, socket.socket(socket.AF_UNIX) as client:
            client.connect(other.socket_address("socket"))
            accepted, _ = server.accept()
            accepted.close()


def test_a_path_of_107_bytes_is_used_as_it_is(tmp_path: Path) -> None:
    room = 107 - len(os.fsencode(tmp_path)) - 1 - len("/socket")
    with host.private_directory(str(tmp_path / ("x" * room))) as fits:
        assert fits.socket_address("socket") == f"{fits.path}/socket"
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(fits.socket_address("socket"))
    with host.private_directory(str(tmp_path / ("x" * (room + 1)))) as too_long:
        assert too_long.socket_address("socket").startswith("/proc/self/fd/")


def test_one_at_a_time_discards_a_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two who found the old one would else each take one away, the second of them the new one."""
    lock_file = host.directory.lock_file
    seen_after: list[int | None] = []

    def found_while_another_discards(directory: host.PrivateDirectory, name: str) -> int | None:
        number = lock_file(directory, name)
        monkeypatch.setattr(host.directory, "lock_file", lock_file)
        assert number is not None
        host.discard_lock(directory, name, number)
        seen_after.append(lock_file(directory, name))
        return number

    with host.private_directory(str(tmp_path / "run")) as directory:
        path = tmp_path / "run" / "name.lock"
        path.touch()
        number = path.stat().st_ino
        monkeypatch.setattr(host.directory, "lock_file", found_while_another_discards)
        host.discard_lock(directory, "name", number)
        assert seen_after == [number]
        assert not path.exists()
