"""What a runtime owes to the worker that has it execute tasks."""

from __future__ import annotations

import threading

import pytest

from tork.errors import RuntimeFailure, TaskStopped, TaskTimedOut
from tork.task import AuxTask, TaskDefinition
from torkd.runtime.protocol import Runtime
from torkd.runtime.stopping import StopReason
from torkd.testing.runs import RecordedRun
from torkd.testing.waiting import wait_until


class ScriptWords:
    """How a script says things, in sh: override what a runtime's own language says differently."""

    def prints(self, text: str) -> str:
        """A line in the log."""
        return f"echo '{text}'\n"

    def outputs(self, text: str) -> str:
        """Something to the task's output."""
        return f"printf %s '{text}' >> \"$TORK_OUTPUT\"\n"

    def progresses(self, progress: float) -> str:
        """The task's progress."""
        return f'echo {progress} > "$TORK_PROGRESS"\n'

    def exits(self, code: int) -> str:
        """The end."""
        return f"exit {code}\n"

    def sleeps(self, seconds: float) -> str:
        """A pause."""
        return f"sleep {seconds}\n"


def a_task(run: str = "", *, pre: list[str] | None = None, post: list[str] | None = None) -> TaskDefinition:
    return TaskDefinition(
        name="x",
        run=run,
        pre=[AuxTask(name=f"pre{number}", run=script) for number, script in enumerate(pre or [])],
        post=[AuxTask(name=f"post{number}", run=script) for number, script in enumerate(post or [])],
    )


class RuntimeContract:
    """Executing: output, log, steps, failures, progress, stopping, several at once."""

    @pytest.fixture
    def runtime(self) -> Runtime:
        """A runtime that is ready, closed at the end."""
        raise NotImplementedError("let the class have a fixture `runtime` that makes yours")

    @pytest.fixture
    def words(self) -> ScriptWords:
        """The language of its scripts."""
        return ScriptWords()

    def test_the_output_of_the_main_step_is_the_result(self, runtime: Runtime, words: ScriptWords) -> None:
        recorded = RecordedRun(a_task(words.outputs("main"), pre=[words.outputs("pre")], post=[words.outputs("post")]))
        assert runtime.run(recorded.run) == "main"

    def test_a_task_without_output_has_an_empty_result(self, runtime: Runtime) -> None:
        assert runtime.run(RecordedRun(a_task()).run) == ""

    def test_all_that_is_printed_is_in_the_log_in_order(self, runtime: Runtime, words: ScriptWords) -> None:
        recorded = RecordedRun(
            a_task(words.prints("two"), pre=[words.prints("zero"), words.prints("one")], post=[words.prints("three")])
        )
        runtime.run(recorded.run)
        assert recorded.log.text == "zero\none\ntwo\nthree\n"

    def test_a_failure_tells_the_code_and_the_last_ten_lines(self, runtime: Runtime, words: ScriptWords) -> None:
        lines = [f"line {number}" for number in range(12)]
        recorded = RecordedRun(a_task("".join(map(words.prints, lines)) + words.exits(3)))
        with pytest.raises(RuntimeFailure) as failure:
            runtime.run(recorded.run)
        assert str(failure.value) == "exit code 3: " + "\n".join(lines[2:])

    @pytest.mark.parametrize(
        ("failing", "ran"),
        [("pre0", "pre0"), ("pre1", "pre0 pre1"), ("main", "pre0 pre1 main"), ("post0", "pre0 pre1 main post0")],
    )
    def test_no_step_runs_after_one_that_failed(
        self, runtime: Runtime, words: ScriptWords, failing: str, ran: str
    ) -> None:
        def script(name: str) -> str:
            return words.prints(name) + (words.exits(4) if name == failing else "")

        recorded = RecordedRun(a_task(script("main"), pre=[script("pre0"), script("pre1")], post=[script("post0")]))
        with pytest.raises(RuntimeFailure, match="exit code 4"):
            runtime.run(recorded.run)
        assert recorded.log.text.split() == ran.split()

    def test_the_last_progress_is_told(self, runtime: Runtime, words: ScriptWords) -> None:
        recorded = RecordedRun(a_task(words.progresses(42.5)))
        runtime.run(recorded.run)
        assert recorded.progress[-1:] == [42.5]

    @pytest.mark.parametrize(
        ("reason", "error"),
        [
            (StopReason.CANCELLED, TaskStopped),
            (StopReason.TIMED_OUT, TaskTimedOut),
            (StopReason.DRAINED, TaskStopped),
        ],
    )
    @pytest.mark.parametrize("step", ["pre", "main", "post"])
    def test_a_stopped_run_ends_with_the_reason(
        self, runtime: Runtime, words: ScriptWords, step: str, reason: StopReason, error: type[RuntimeFailure]
    ) -> None:
        script = words.prints("started") + words.sleeps(300)
        definition = {"pre": a_task(pre=[script]), "main": a_task(script), "post": a_task(post=[script])}[step]
        recorded = RecordedRun(definition)
        raised: list[BaseException] = []

        def run() -> None:
            try:
                runtime.run(recorded.run)
            except RuntimeFailure as failure:
                raised.append(failure)

        thread = threading.Thread(target=run)
        thread.start()
        wait_until(lambda: "started" in recorded.log.text)
        recorded.stop.set(reason, "the reason")
        thread.join(20)
        assert [(type(failure), str(failure)) for failure in raised] == [(error, "the reason")]

    def test_a_run_that_is_stopped_before_it_starts_does_nothing(self, runtime: Runtime, words: ScriptWords) -> None:
        recorded = RecordedRun(a_task(words.prints("started")))
        recorded.stop.set(StopReason.CANCELLED, "too late")
        with pytest.raises(TaskStopped, match="too late"):
            runtime.run(recorded.run)
        assert recorded.log.text == ""

    def test_several_runs_at_once_keep_their_outputs_apart(self, runtime: Runtime, words: ScriptWords) -> None:
        recorded = [RecordedRun(a_task(words.outputs(f"out{n}")), run_id=f"r{n}") for n in range(6)]
        results: dict[str, str] = {}

        def run(one: RecordedRun) -> None:
            results[one.run.run_id] = runtime.run(one.run)

        threads = [threading.Thread(target=run, args=(one,)) for one in recorded]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        assert results == {f"r{n}": f"out{n}" for n in range(6)}

    def test_a_runtime_that_works_is_healthy(self, runtime: Runtime) -> None:
        runtime.check_health()
