from __future__ import annotations

import os
import shutil
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.runs import RecordedRun
from tests.support.waiting import wait_until
from tork.errors import RuntimeFailure, TaskTimedOut
from tork.task import AuxTask, Limits, Mount, Registry, Sidecar, TaskDefinition
from torkd.runtime.plain_file import MAX_RESULT_SIZE
from torkd.runtime.shell import ShellOptions, ShellRuntime

Make = Callable[..., ShellRuntime]

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="switching users needs root")


@pytest.fixture
def open_dir() -> Iterator[Path]:
    """A directory that other users may enter, unlike pytest's own."""
    path = Path(tempfile.mkdtemp())
    path.chmod(0o711)
    yield path
    shutil.rmtree(path)


@pytest.fixture
def make(tmp_path: Path, open_dir: Path) -> Iterator[Make]:
    made: list[ShellRuntime] = []

    def make_runtime(environ: dict[str, str] | None = None, **options: object) -> ShellRuntime:
        known: dict[str, object] = {"node_id": "n1", "temp_dir": tmp_path, "grace_seconds": 0.5, **options}
        runtime = ShellRuntime(ShellOptions(**known), environ or {"PATH": os.environ["PATH"], "HOME": "/"})  # type: ignore[arg-type]  # checked when called
        made.append(runtime)
        return runtime

    yield make_runtime
    for runtime in made:
        runtime.close()


def printed(runtime: ShellRuntime, script: str, **definition: object) -> str:
    recorded = RecordedRun(TaskDefinition(name="x", run=script, **definition))  # type: ignore[arg-type]  # any field
    runtime.run(recorded.run)
    return recorded.log.text


def failure_of(runtime: ShellRuntime, definition: TaskDefinition) -> str:
    with pytest.raises(RuntimeFailure) as failure:
        runtime.run(RecordedRun(definition).run)
    return str(failure.value)


def test_only_the_promised_environment_is_passed_on(make: Make) -> None:
    runtime = make({"PATH": os.environ["PATH"], "HOME": "/somewhere", "SECRET_OF_THE_WORKER": "x", "LANG": "C"})
    text = printed(runtime, "env", env={"MINE": "1"})
    names = {line.split("=")[0] for line in text.splitlines()} - {"PWD", "SHLVL", "_", "OLDPWD"}  # bash's own
    assert names == {"PATH", "HOME", "WORKDIR", "TORK_OUTPUT", "TORK_PROGRESS", "MINE"}
    assert "HOME=/somewhere\n" in text


def test_a_task_may_set_its_own_path_and_home_but_not_ours(make: Make) -> None:
    text = printed(
        make(), "echo $HOME $TORK_OUTPUT; pwd", env={"HOME": "/mine", "TORK_OUTPUT": "/mine", "WORKDIR": "/mine"}
    )
    first, directory = text.splitlines()
    assert first == f"/mine {directory}/stdout"


def test_the_step_starts_in_its_directory_with_the_promised_files(make: Make) -> None:
    script = '[ "$PWD" = "$WORKDIR" ] && stat -c "%n %a %s" entrypoint stdout progress a.txt sub/b.txt; cat sub/b.txt'
    text = printed(make(), script, files={"a.txt": "12345", "sub/b.txt": "über\n"})
    assert text.splitlines() == [
        f"entrypoint 555 {len(script)}",
        "stdout 606 0",
        "progress 606 0",
        "a.txt 444 5",
        "sub/b.txt 444 6",
        "über",
    ]


@pytest.mark.parametrize("name", ["../x", "/etc/x", "a/../../x", "", ".", "a/..", "x\0y", "sub/"])
@pytest.mark.parametrize("step", ["main", "pre", "post"])
def test_a_file_name_that_leaves_the_directory_is_refused_before_anything_runs(
    make: Make, name: str, step: str, tmp_path: Path
) -> None:
    marker = tmp_path / "ran"
    definition = TaskDefinition(
        run=f"touch {marker}",
        files={name: "x"} if step == "main" else {},
        pre=[AuxTask(files={name: "x"})] if step == "pre" else [],
        post=[AuxTask(files={name: "x"})] if step == "post" else [],
    )
    assert "is not allowed (right would be a relative name" in failure_of(make(), definition)
    assert not marker.exists()


@pytest.mark.parametrize("name", ["stdout", "progress", "entrypoint", "./stdout"])
def test_a_file_named_like_one_of_ours_is_refused(make: Make, name: str) -> None:
    assert f"file name '{name}' is taken" in failure_of(make(), TaskDefinition(files={name: "x"}))


def test_a_script_may_name_its_own_interpreter(make: Make) -> None:
    script = "#!/usr/bin/env -S awk -f\nBEGIN { print 6 * 7 }\n"
    assert printed(make(), script) == "42\n"


def test_another_command_runs_the_script(make: Make) -> None:
    assert printed(make(command=("sh", "-x")), "echo hi") == "+ echo hi\nhi\n"


def test_a_work_directory_with_odd_letters_works(make: Make, tmp_path: Path) -> None:
    odd = tmp_path / "a b;c"
    odd.mkdir()
    assert printed(make(temp_dir=odd), "echo hi") == "hi\n"


def test_both_streams_are_logged_in_the_order_of_printing(make: Make) -> None:
    script = "for i in 1 2 3; do echo out $i; echo err $i >&2; done"
    assert printed(make(), script).split("\n")[:6] == ["out 1", "err 1", "out 2", "err 2", "out 3", "err 3"]


def test_a_long_output_is_logged_whole(make: Make) -> None:
    assert printed(make(), "seq 1 200000") == "".join(f"{n}\n" for n in range(1, 200001))


def test_nothing_comes_from_standard_input(make: Make) -> None:
    assert printed(make(), "cat; echo end") == "end\n"


def test_an_output_that_was_moved_in_place_counts(make: Make) -> None:
    recorded = RecordedRun(TaskDefinition(run="echo -n moved > other; mv other $TORK_OUTPUT"))
    assert make().run(recorded.run) == "moved"


@pytest.mark.parametrize(
    "script",
    ["rm $TORK_OUTPUT", "ln -sf /etc/passwd $TORK_OUTPUT", "rm $TORK_OUTPUT; mkfifo $TORK_OUTPUT", "rm -rf $WORKDIR"],
    ids=["removed", "link", "fifo", "directory removed"],
)
def test_an_output_that_is_no_plain_file_is_empty(make: Make, script: str) -> None:
    assert make().run(RecordedRun(TaskDefinition(run=script)).run) == ""


def test_nul_and_broken_text_in_the_output_are_made_harmless(make: Make) -> None:
    recorded = RecordedRun(TaskDefinition(run=r"printf 'a\0b\377c' > $TORK_OUTPUT"))
    assert make().run(recorded.run) == "ab\ufffdc"


def test_an_output_that_is_too_large_fails_with_its_size(make: Make) -> None:
    runtime = make()
    just_right = TaskDefinition(run=f"head -c {MAX_RESULT_SIZE} /dev/zero | tr '\\0' x > $TORK_OUTPUT")
    assert len(runtime.run(RecordedRun(just_right).run)) == MAX_RESULT_SIZE
    too_much = TaskDefinition(run=f"head -c {MAX_RESULT_SIZE + 1} /dev/zero > $TORK_OUTPUT")
    assert f"too large: {MAX_RESULT_SIZE + 1} bytes" in failure_of(runtime, too_much)


@pytest.mark.parametrize(
    ("script", "text"),
    [
        ("exit 7", "exit code 7"),
        ("echo why; exit 1", "exit code 1: why"),
        ("kill -9 $$", "exit code 137: killed by SIGKILL"),
        ("echo oh; kill -TERM $$", "exit code 143: killed by SIGTERM\noh"),
    ],
    ids=["silent", "with a reason", "killed", "killed with a reason"],
)
def test_a_failure_names_the_code_or_the_signal(make: Make, script: str, text: str) -> None:
    assert failure_of(make(), TaskDefinition(run=script)) == text


def test_a_failure_of_a_step_names_the_step(make: Make) -> None:
    definition = TaskDefinition(pre=[AuxTask(name="fetch", run="echo gone; exit 2")])
    assert failure_of(make(), definition) == "exit code 2 (pre step 'fetch'): gone"


@pytest.mark.parametrize("kind", ["pre", "post"])
def test_a_step_has_a_time_limit_of_its_own(make: Make, kind: str) -> None:
    step = AuxTask(name="slow", run="sleep 300", timeout="100ms")
    definition = TaskDefinition(pre=[step]) if kind == "pre" else TaskDefinition(post=[step])
    with pytest.raises(TaskTimedOut, match=f"^{kind} step 'slow' timed out after 100ms$"):
        make().run(RecordedRun(definition).run)


def test_a_time_limit_of_a_step_that_is_none_is_refused(make: Make) -> None:
    definition = TaskDefinition(post=[AuxTask(name="x", timeout="soon")])
    assert failure_of(make(), definition) == "invalid timeout duration: soon"


@pytest.mark.parametrize(
    ("definition", "text"),
    [
        (TaskDefinition(mounts=[Mount(type="volume", target="/x")]), "mounts are"),
        (TaskDefinition(entrypoint=["sh"]), "entrypoint is"),
        (TaskDefinition(image="ubuntu"), "image is"),
        (TaskDefinition(limits=Limits(cpus="1")), "limits are"),
        (TaskDefinition(limits=Limits(memory="1g")), "limits are"),
        (TaskDefinition(networks=["x"]), "networks are"),
        (TaskDefinition(registry=Registry(username="x")), "registry is"),
        (TaskDefinition(cmd=["ls"]), "cmd is"),
        (TaskDefinition(sidecars=[Sidecar(name="x")]), "sidecars are"),
    ],
    ids=lambda value: value.split()[0] if isinstance(value, str) else "",
)
def test_what_only_containers_can_do_is_refused(make: Make, definition: TaskDefinition, text: str) -> None:
    assert failure_of(make(), definition) == f"{text} not supported on shell runtime"


def test_empty_limits_are_no_limits(make: Make) -> None:
    assert printed(make(), "echo ok", limits=Limits()) == "ok\n"


@pytest.mark.parametrize("env", [{"A=B": "x"}, {"A": "x\0y"}, {"A": "x" * 200_000}], ids=["name", "NUL", "size"])
def test_an_environment_the_system_refuses_is_a_failure_with_a_reason(make: Make, env: dict[str, str]) -> None:
    assert failure_of(make(), TaskDefinition(run="true", env=env)).startswith("bash can't be started: ")


def test_progress_is_told_while_the_script_runs(make: Make, tmp_path: Path) -> None:
    go_on = tmp_path / "go-on"
    recorded = RecordedRun(
        TaskDefinition(
            run=f"echo 25 > $TORK_PROGRESS; while [ ! -e {go_on} ]; do sleep 0.02; done; echo soon > $TORK_PROGRESS",
            pre=[AuxTask(name="x", run="echo 77 > $TORK_PROGRESS")],
        )
    )
    thread = threading.Thread(target=make().run, args=(recorded.run,))
    thread.start()
    wait_until(lambda: recorded.progress == [25])
    go_on.touch()
    thread.join(20)
    assert recorded.progress[-1] == 25


def test_a_command_that_does_not_exist_is_told_by_the_health_check(make: Make) -> None:
    with pytest.raises(RuntimeFailure, match=r"'no-such-shell' is not on the PATH .*runtime\.shell\.cmd"):
        make(command=("no-such-shell", "-c")).check_health()


@pytest.mark.parametrize("key", ["uid", "gid"])
def test_an_id_that_is_no_number_is_refused(make: Make, key: str) -> None:
    with pytest.raises(RuntimeFailure, match=rf"runtime\.shell\.{key}: 'nobody' is not an id"):
        make(**{key: "nobody"})


def test_a_temp_dir_that_does_not_exist_is_refused_by_its_key(make: Make, tmp_path: Path) -> None:
    with pytest.raises(RuntimeFailure, match=r"mounts\.temp\.dir"):
        make(temp_dir=tmp_path / "none")


@needs_root
def test_another_user_runs_the_script_in_a_directory_of_its_own(make: Make, open_dir: Path) -> None:
    runtime = make(uid="65534", gid="65533", temp_dir=open_dir)
    recorded = RecordedRun(
        TaskDefinition(
            run="id -u; id -g; id -G; stat -c '%u %g' . f entrypoint; echo ok > $TORK_OUTPUT; touch new",
            files={"f": ""},
        )
    )
    assert runtime.run(recorded.run) == "ok\n"
    assert recorded.log.text.split("\n") == ["65534", "65533", "65533", *["65534 65533"] * 3, ""]


@needs_root
def test_another_users_output_can_not_be_a_file_of_ours(make: Make, open_dir: Path) -> None:
    ours = open_dir / "ours"
    ours.write_text("private")
    runtime = make(uid="65534", gid="65534", temp_dir=open_dir)
    recorded = RecordedRun(TaskDefinition(run=f"rm $TORK_OUTPUT; ln {ours} $TORK_OUTPUT || ln -s {ours} $TORK_OUTPUT"))
    assert runtime.run(recorded.run) == ""


def test_directories_deeper_than_any_path_are_removed(make: Make, open_dir: Path) -> None:
    runtime = make()
    nest = (
        f"exec {sys.executable} -c 'import os\n"
        'for _ in range(1500): os.mkdir("d"); os.chdir("d")\n'
        'open("deep", "w").close(); os.chmod(".", 0); print("down")\''
    )
    assert printed(runtime, nest) == "down\n"
    assert not list(open_dir.glob("*/*/*"))


def test_a_secret_that_the_kept_end_of_the_output_cuts_in_half_is_not_shown(make: Make) -> None:
    script = "printf hunter2hunter2; head -c 16379 /dev/zero | tr '\\0' c; exit 4"
    assert "nter2" not in failure_of(make(), TaskDefinition(name="t", run=script))
