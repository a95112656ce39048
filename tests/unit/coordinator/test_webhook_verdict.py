"""What becomes of a request by its answer and its tries."""

from __future__ import annotations

import pytest

from torkd.coordinator.webhook_verdict import Fate, judge
from torkd.hooks.webhook_sender import Answer


@pytest.mark.parametrize("status", [200, 201, 204, 299])
def test_any_success_is_the_end(status: int) -> None:
    assert judge(Answer(status=status), 1).fate is Fate.DONE


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_trouble_of_the_receiver_is_tried_again(status: int) -> None:
    assert [judge(Answer(status=status), tries).wait_seconds for tries in (1, 2, 3, 4)] == [2, 4, 6, 8]
    assert judge(Answer(status=status), 5).fate is Fate.GIVEN_UP


@pytest.mark.parametrize("status", [100, 301, 302, 307, 400, 401, 404, 410, 501, 505])
def test_any_other_answer_is_given_up_at_once(status: int) -> None:
    verdict = judge(Answer(status=status), 1)
    assert (verdict.fate, verdict.reason) == (Fate.GIVEN_UP, f"HTTP status {status}")


def test_no_answer_is_tried_again_unless_it_can_not_help() -> None:
    assert judge(Answer(error="no connection"), 1).fate is Fate.AGAIN
    assert judge(Answer(error="no connection"), 5).fate is Fate.GIVEN_UP
    assert judge(Answer(error="private", is_final=True), 1).fate is Fate.GIVEN_UP


@pytest.mark.parametrize(("asked", "waited"), [(1.0, 2.0), (30.0, 30.0), (1e9, 60.0)])
def test_a_receiver_may_ask_for_more_time_within_reason(asked: float, waited: float) -> None:
    assert judge(Answer(status=503, retry_after=asked), 1).wait_seconds == waited
