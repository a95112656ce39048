from __future__ import annotations

import random
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from hypothesis import example, given
from hypothesis import strategies as st

from tests.support.messages import a_task_message
from torkd.broker.messages import LogPrinted
from torkd.hooks.secret_texts import SecretTexts, secret_texts
from torkd.runtime.stopping import StopReason, StopSignal
from torkd.worker.flushing import LogFlusher
from torkd.worker.logs import RunLog
from torkd.worker.masking import Masker
from torkd.worker.spool import Spool, recover

SECRETS = ["abab", "aba\nba", "bbbb", "ü✓ab", "b\nb\nb", "left-mid", "mid-right"]
WORDS = st.sampled_from([*SECRETS, "a", "b", "ab", "\n", "\r\n", "ü", "✓", "left-", "mid", "-right", "\0", "c"])


def cut_up(text: str, seed: int) -> list[str]:
    """The text in pieces, most of them small."""
    dice = random.Random(seed)
    pieces, start = [], 0
    while start < len(text):
        end = start + dice.choice([1, 1, 1, 2, 3, 7])
        pieces.append(text[start:end])
        start = end
    return pieces


@given(words=st.lists(WORDS, max_size=14), seed=st.integers(0, 1_000_000))
@example(words=["abababab"], seed=1)
@example(words=["left-mid-right"], seed=2)
def test_however_a_text_is_cut_what_is_shown_is_that_of_the_whole(words: list[str], seed: int) -> None:
    whole, masker = "".join(words), Masker(SECRETS)
    shown, kept, hidden = "", "", 0
    longest = max(len(text.text) for text in secret_texts(SECRETS)._texts)
    for piece in cut_up(whole, seed):
        more, kept, hidden = masker.release(kept + piece, hidden)
        shown += more
        assert len(kept) < longest, "no more is held back than the beginning of a secret"
    assert shown + masker.mask(kept, hidden) == masker.mask(whole)


class PlayedRun:
    """One run's log of one stream, as its worker and the successors of that write it."""

    def __init__(self, place: Path) -> None:
        self._path = place / "log.jsonl"
        self.parts: list[LogPrinted] = []
        self.begin()

    def begin(self) -> None:
        """A worker that goes on where the one before has ended."""
        self._stop = StopSignal()
        self.log = RunLog(
            a_task_message(mask=SECRETS), "r1", publish=self.parts.extend, flusher=LogFlusher(), stop=self._stop,
            now=lambda: datetime.now(UTC), max_bytes=1_000_000,
        )  # fmt: skip
        number, mark = recover(self._path)
        self.log.resume(number, mark)
        self._spool = Spool(self._path)
        self.log.keep(self._spool, lambda: None)
        self.stream = self.log.stream("main")

    def die(self) -> None:
        """As by kill -9: nothing is said any more; what was published was stored before."""
        self._spool.close()
        self.begin()

    def leave(self) -> None:
        """In order."""
        self._stop.set(StopReason.LEFT, "")
        self.stream.close()
        self.parts.extend(self.log.leave())
        self.begin()

    @property
    def text(self) -> str:
        return "".join(part.contents for part in self.parts)


def play(whole: bytes, acts: Sequence[str]) -> str:
    """Print it byte for byte, with something done after each."""
    with tempfile.TemporaryDirectory() as place:
        run = PlayedRun(Path(place))
        done = 0
        while run.stream.position < len(whole):
            for number in range(run.stream.position, len(whole)):
                run.stream.write(whole[number : number + 1])
                act = acts[done % len(acts)] if acts and done < 4 * len(whole) else ""
                done += 1
                if act == "flush":
                    run.log.flush()
                elif act:
                    getattr(run, act)()
                    break
            else:
                break
        run.log.close()
        run.parts.extend(run.log.finish())
        return run.text


@given(
    words=st.lists(WORDS, max_size=10),
    acts=st.lists(st.sampled_from(["", "", "flush", "flush", "flush", "die", "leave"]), max_size=12),
)
@example(words=["abab", "abab"], acts=["flush"])
@example(words=["left-mid-right\n"], acts=["flush", "flush", "die"])
@example(words=["left-mid-right\n"], acts=["flush", "flush", "leave"])
def test_a_log_is_masked_like_the_whole_whatever_is_flushed_and_whoever_dies(words: list[str], acts: list[str]) -> None:
    whole = "".join(words).encode()
    assert play(whole, acts) == play(whole, [])


def test_a_prompt_appears_without_the_end_of_its_line() -> None:
    with tempfile.TemporaryDirectory() as place:
        run = PlayedRun(Path(place))
        run.stream.write(b"Password: ")
        assert not run.log.flush(), "it comes again"
        assert run.text == ""
        run.log.flush()
        assert run.text == "Password: "
        assert run.log.flush(), "nothing waits any more"


def test_a_secret_that_is_printed_letter_by_letter_is_never_seen_in_part() -> None:
    with tempfile.TemporaryDirectory() as place:
        run = PlayedRun(Path(place))
        for letter in b"so: left-mid":
            run.stream.write(bytes([letter]))
            run.log.flush()
            run.log.flush()
        assert run.text == "so: [REDACTED]", "the beginning of another is kept"
        run.stream.write(b"-right!")
        run.log.flush()
        run.log.flush()
        assert run.text == "so: [REDACTED]!"


def test_without_secrets_nothing_is_looked_for() -> None:
    assert Masker([]).release("text") == ("text", "", 0)
    assert not SecretTexts([])
