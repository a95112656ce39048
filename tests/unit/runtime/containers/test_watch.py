"""Watching a container: its log whole and once, whatever happens to the engine, and how it ended."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.support.container_play import KeptLog, ServedEngine
from tests.support.fake_calls import Call
from tests.support.fake_containers import Behaviour
from tests.support.runs import RecordedLog
from tests.support.waiting import wait_until
from torkd.runtime.containers import watch as watch_module
from torkd.runtime.containers.differences import PODMAN
from torkd.runtime.containers.engine import EngineError, EngineUnavailable, LogStream, ResourceBusy, ResourceMissing
from torkd.runtime.containers.watch import Ending, Watch
from torkd.runtime.process import TAIL_SIZE

CONFIG = {"Image": "bb", "Labels": {}}
BLOCK = b"0123456789abcde\n" * 64
STUMBLE = EngineError("read /proc/12040/cgroup: no such process")
GONE = pytest.mark.parametrize(
    "gone",
    [
        ResourceMissing("No such container: c"),
        ResourceBusy("can not get logs from container which is dead or marked for removal"),
    ],
    ids=["removed", "being removed"],
)


class CuttingEngine(ServedEngine):
    """Each log it gives, in turn, ends after so many pieces: broken off, or as if it were over."""

    def __init__(self, *cuts: int, is_broken: bool = True) -> None:
        super().__init__("bb")
        self.cuts, self.is_broken = list(cuts), is_broken

    def follow_log(self, container: str, *, follow: bool = True) -> LogStream:  # type: ignore[override] # the fake counts calls by a decorator
        """Its log, or the beginning of it."""
        whole = super().follow_log(container, follow=follow)
        return _Cut(whole, self.cuts.pop(0), self.is_broken) if self.cuts else whole


class _Cut:
    def __init__(self, whole: LogStream, pieces: int, is_broken: bool) -> None:
        self._whole, self._pieces, self._is_broken = whole, pieces, is_broken

    def __iter__(self) -> Iterator[tuple[str, bytes]]:
        news = iter(self._whole)
        for _ in range(self._pieces):
            yield next(news)
        if self._is_broken:
            raise EngineUnavailable("the engine does not answer: Connection reset by peer")

    def close(self) -> None:
        self._whole.close()


def begun(engine: ServedEngine, behaviour: Behaviour) -> None:
    engine.behaviours = {"c": behaviour}
    engine.create_container("c", CONFIG)
    engine.start_container("c")


def watched(
    engine: ServedEngine, log: KeptLog, *, patience_seconds: float = 5.0, may_miss_the_end: bool = False
) -> Watch:
    return Watch(
        engine,
        "c",
        lambda name: log.sink().stream(name),
        patience_seconds=patience_seconds,
        may_miss_the_end=may_miss_the_end,
        has_stumbled=PODMAN.has_stumbled,
    )


def end_of(watch: Watch) -> Ending:
    assert watch.wait(20.0)
    assert watch.error is None
    assert watch.ending is not None
    return watch.ending


def error_of(watch: Watch) -> EngineError:
    assert watch.wait(20.0)
    assert watch.ending is None
    assert watch.error is not None
    return watch.error


def lose_and_notice(engine: ServedEngine) -> None:
    """The engine goes away, and the watch looks for it in vain."""
    wait_until(lambda: engine.count("follow_log"))
    engine.lose()
    wait_until(lambda: engine.count("inspect_container") > 1)


@pytest.mark.usefixtures("quick")
class TestLog:
    @pytest.mark.parametrize("cuts", [(0,), (1,), (2,), (3,), (1, 1), (2, 0, 3, 1)], ids=str)
    def test_it_is_whole_and_nothing_is_twice_in_it_however_often_it_is_cut(self, cuts: tuple[int, ...]) -> None:
        engine, log = CuttingEngine(*cuts), KeptLog()
        begun(engine, Behaviour(stays=True))
        watch = watched(engine, log)
        for number in range(4):
            engine.say("c", b"out %d\n" % number)
            engine.say("c", b"err %d\n" % number, "stderr")
        wait_until(lambda: not engine.cuts)
        engine.end("c", 0)
        assert end_of(watch).code == 0
        assert log.text("stdout") == "".join(f"out {number}\n" for number in range(4))
        assert log.text("stderr") == "".join(f"err {number}\n" for number in range(4))

    def test_an_engine_that_goes_away_and_comes_back_costs_no_byte(self, engine: ServedEngine) -> None:
        log = KeptLog()
        begun(engine, Behaviour(stays=True, output=[("stdout", b"one\n"), ("stderr", b"two\nthr")]))
        watch = watched(engine, log)
        wait_until(lambda: log.text("stderr"))
        lose_and_notice(engine)
        engine.recover()
        engine.say("c", b"ee\n", "stderr")
        engine.end("c", 0)
        assert end_of(watch) == Ending(code=0, was_interrupted=True)
        assert (log.text("stdout"), log.text("stderr")) == ("one\n", "two\nthree\n")

    def test_a_log_that_ends_long_before_its_container_is_read_to_its_end(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(watch_module, "_LOOK_SECONDS", 0.0)  # any time is long
        engine, log = CuttingEngine(1, is_broken=False), KeptLog()
        begun(engine, Behaviour(stays=True, output=[("stdout", b"first\n")]))
        watch = watched(engine, log)
        wait_until(lambda: engine.count("wait_container"))
        engine.say("c", b"last\n")
        engine.end("c", 0)
        assert end_of(watch).code == 0
        assert log.text("stdout") == "first\nlast\n"

    def test_last_words_that_an_engine_leaves_out_of_a_followed_log_are_read_when_the_container_has_ended(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(watch_module, "_BRIEF_SECONDS", 0.0)
        engine, log = CuttingEngine(1, is_broken=False), KeptLog()
        begun(engine, Behaviour(stays=True, output=[("stdout", b"first\n"), ("stdout", b"last"), ("stderr", b"words")]))
        watch = watched(engine, log, may_miss_the_end=True)
        wait_until(lambda: engine.count("wait_container"))
        engine.end("c", 1)
        assert end_of(watch).code == 1
        assert (log.text("stdout"), log.text("stderr")) == ("first\nlast", "words")
        assert watch.tail == b"first\nlastwords"

    def test_the_log_of_a_container_that_is_done_at_once_is_read_once(self, engine: ServedEngine) -> None:
        log = KeptLog()
        begun(engine, Behaviour(output=[("stdout", b"first\n"), ("stdout", b"last")], exit_code=1))
        watch = watched(engine, log, may_miss_the_end=True)
        assert end_of(watch).code == 1
        assert log.text("stdout") == "first\nlast"
        assert (engine.count("follow_log"), engine.count("wait_container")) == (1, 0)

    def test_the_log_of_a_container_that_goes_on_is_followed(self, engine: ServedEngine) -> None:
        log = KeptLog()
        begun(engine, Behaviour(stays=True, output=[("stdout", b"first\n")]))
        watch = watched(engine, log, may_miss_the_end=True)
        wait_until(lambda: log.text("stdout") == "first\n")
        engine.say("c", b"last")
        engine.end("c", 0)
        assert end_of(watch).code == 0
        assert log.text("stdout") == "first\nlast"

    @GONE
    def test_a_log_that_is_gone_with_its_container_hides_no_exit_code(
        self, monkeypatch: pytest.MonkeyPatch, gone: EngineError
    ) -> None:
        engine, log = ServedEngine("bb"), KeptLog()
        begun(engine, Behaviour(output=[("stdout", b"first\n")], exit_code=3))
        follow_log = engine.follow_log

        def follow_once(container: str, *, follow: bool = True) -> LogStream:
            if not follow:
                raise gone
            return follow_log(container, follow=follow)

        monkeypatch.setattr(engine, "follow_log", follow_once)
        assert end_of(watched(engine, log, may_miss_the_end=True)).code == 3
        assert log.text("stdout") == ""

    @GONE
    def test_a_log_that_is_gone_when_it_is_read_once_more_hides_no_exit_code(
        self, monkeypatch: pytest.MonkeyPatch, gone: EngineError
    ) -> None:
        monkeypatch.setattr(watch_module, "_BRIEF_SECONDS", 0.0)
        engine, log = CuttingEngine(1, is_broken=False), KeptLog()
        begun(engine, Behaviour(stays=True, output=[("stdout", b"first\n")]))
        engine.fail("follow_log", nth=2, error=gone)
        watch = watched(engine, log, may_miss_the_end=True)
        wait_until(lambda: engine.count("wait_container"))
        engine.end("c", 3)
        assert end_of(watch).code == 3
        assert engine.count("follow_log") == 2
        assert log.text("stdout") == "first\n"

    def test_what_a_worker_of_before_logged_is_passed_over_and_yet_in_the_tail(self, engine: ServedEngine) -> None:
        log = KeptLog()
        log.streams["stdout"] += b"abc"
        begun(engine, Behaviour(output=[("stdout", b"ab"), ("stdout", b"cd\nef\n"), ("stderr", b"x\n")], exit_code=1))
        watch = watched(engine, log)
        assert end_of(watch).code == 1
        assert log.text("stdout") == "abcd\nef\n"
        assert watch.tail == b"abcd\nef\nx\n"

    def test_an_engine_that_answers_but_cuts_off_every_log_is_not_asked_without_pause(self) -> None:
        engine = CuttingEngine(*[0] * 10)
        begun(engine, Behaviour(output=[("stdout", b"x")]))
        log = KeptLog()
        assert end_of(watched(engine, log)).code == 0
        assert log.text("stdout") == "x"
        assert engine.count("inspect_container") == 10


class TestTail:
    def test_of_a_long_log_it_is_the_end_and_begins_with_a_whole_line(self, engine: ServedEngine) -> None:
        begun(engine, Behaviour(output=[("stdout", BLOCK)] * 100))
        watch = watched(engine, KeptLog())
        end_of(watch)
        assert TAIL_SIZE - 16 <= len(watch.tail) <= TAIL_SIZE
        assert watch.tail.startswith(b"0123")
        assert (BLOCK * 100).endswith(watch.tail)

    def test_of_a_long_line_the_torn_beginning_is_left_out(self, engine: ServedEngine) -> None:
        begun(engine, Behaviour(output=[("stdout", b"x" * 1000)] * 100))
        watch = watched(engine, KeptLog())
        end_of(watch)
        assert 0 < len(watch.tail) < TAIL_SIZE


@pytest.mark.usefixtures("quick")
class TestEnd:
    def test_out_of_memory_is_told(self, engine: ServedEngine) -> None:
        begun(engine, Behaviour(exit_code=137, ran_out_of_memory=True))
        assert end_of(watched(engine, KeptLog())) == Ending(code=137, ran_out_of_memory=True)

    def test_an_ordinary_end_costs_no_look_at_the_container(self, engine: ServedEngine) -> None:
        begun(engine, Behaviour(exit_code=3))
        assert end_of(watched(engine, KeptLog())) == Ending(code=3)
        assert not engine.count("inspect_container")

    def test_an_engine_that_stays_away_is_the_error_once_the_patience_is_over(self, engine: ServedEngine) -> None:
        begun(engine, Behaviour(stays=True))
        watch = watched(engine, KeptLog(), patience_seconds=0.02)
        engine.lose("Connection refused")
        error = error_of(watch)
        assert isinstance(error, EngineUnavailable)
        assert str(error) == "the engine does not answer: Connection refused"

    def test_an_engine_that_comes_back_without_the_container_tells_that_it_is_missing(
        self, engine: ServedEngine
    ) -> None:
        begun(engine, Behaviour(stays=True))
        watch = watched(engine, KeptLog())
        lose_and_notice(engine)
        engine.containers.clear()
        engine.recover()
        assert isinstance(error_of(watch), ResourceMissing)

    def test_an_engine_that_killed_its_containers_when_it_came_back_is_known_to_have_been_away(
        self, engine: ServedEngine
    ) -> None:
        begun(engine, Behaviour(stays=True, output=[("stdout", b"x\n")]))
        watch = watched(engine, KeptLog())
        lose_and_notice(engine)
        engine.recover(ended=True)
        assert end_of(watch) == Ending(code=137, was_interrupted=True)

    @pytest.mark.parametrize("method", ["follow_log", "wait_container"])
    def test_a_refusal_is_the_error_at_once(self, engine: ServedEngine, method: str) -> None:
        begun(engine, Behaviour())
        engine.fail(method, error=EngineError("no logs here"))
        assert str(error_of(watched(engine, KeptLog()))) == "no logs here"

    @pytest.mark.parametrize("method", ["follow_log", "wait_container"])
    def test_an_engine_that_stumbles_is_asked_again(self, engine: ServedEngine, method: str) -> None:
        begun(engine, Behaviour(output=[("stdout", b"once\n")]))
        engine.fail(method, error=STUMBLE)
        log = KeptLog()
        assert end_of(watched(engine, log)) == Ending(code=0)
        assert log.text("stdout") == "once\n"

    def test_an_engine_that_goes_on_stumbling_is_the_error(self, engine: ServedEngine) -> None:
        begun(engine, Behaviour())
        for nth in range(1, 5):
            engine.fail("wait_container", nth=nth, error=STUMBLE)
        assert error_of(watched(engine, KeptLog())) is STUMBLE

    def test_whoever_waits_is_called_once_also_when_it_is_over_already(self, engine: ServedEngine) -> None:
        begun(engine, Behaviour(stays=True))
        watch = watched(engine, KeptLog())
        calls: list[str] = []
        watch.call_at_end(lambda: calls.append("waited"))
        engine.end("c", 0)
        end_of(watch)
        watch.call_at_end(lambda: calls.append("late"))
        wait_until(lambda: len(calls) == 2)
        assert sorted(calls) == ["late", "waited"]


def abandon_before(method: str, *, after: bool) -> Callable[[ServedEngine, list[Watch]], None]:
    def arrange(engine: ServedEngine, watches: list[Watch]) -> None:
        def abandon(call: Call) -> None:
            if call.method == method:
                wait_until(lambda: watches)
                watches[0].abandon()

        engine.interfere(abandon, after=after)

    return arrange


class TestAbandoned:
    @pytest.mark.parametrize("after", [False, True], ids=["before the log is there", "when the log is just there"])
    def test_it_is_over_whenever_that_comes(self, engine: ServedEngine, after: bool) -> None:
        begun(engine, Behaviour(stays=True))
        watches: list[Watch] = []
        abandon_before("follow_log", after=after)(engine, watches)
        watches.append(watched(engine, KeptLog()))
        assert watches[0].wait(20.0)
        assert (watches[0].ending, watches[0].error) == (None, None)

    def test_it_is_over_while_the_log_is_read(self, engine: ServedEngine) -> None:
        log = KeptLog()
        begun(engine, Behaviour(stays=True, output=[("stdout", b"x")]))
        watch = watched(engine, log)
        wait_until(lambda: log.text("stdout"))
        watch.abandon()
        assert watch.wait(20.0)

    @pytest.mark.usefixtures("quick")
    def test_it_is_over_while_the_engine_is_away(self, engine: ServedEngine) -> None:
        begun(engine, Behaviour(stays=True))
        watch = watched(engine, KeptLog(), patience_seconds=1000.0)
        engine.lose()
        wait_until(lambda: engine.count("inspect_container"))
        watch.abandon()
        assert watch.wait(20.0)
        assert (watch.ending, watch.error) == (None, None)


class UnclosableLog(RecordedLog):
    """Whose end fails."""

    def close(self) -> None:
        raise OSError("no space left on device")


def test_whoever_waits_for_the_end_is_told_even_when_the_log_can_not_be_closed(
    caplog: pytest.LogCaptureFixture,
) -> None:
    engine = ServedEngine("bb")
    engine.create_container("c", {"Image": "bb"})
    engine.start_container("c")
    told: list[str] = []
    watch = Watch(engine, "c", lambda _: UnclosableLog(), patience_seconds=0.05)
    watch.call_at_end(lambda: told.append("over"))
    assert watch.wait(10)
    wait_until(lambda: told == ["over"])
    assert watch.ending is not None
    assert [record.getMessage() for record in caplog.records] == [
        "the stdout of container c could not be closed",
        "the stderr of container c could not be closed",
    ]
