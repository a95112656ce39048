"""Places in traces: the same for everybody who knows the ids, and what clients say of theirs."""

from __future__ import annotations

import re

import pytest

from torkd.tracing.span import Place, place_of, read_traceparent, traceparent

JOB, TASK = "0af7651916cd43dd8448eb211c80319c", "b7ad6b71692033310af7651916cd43dd"
OTHERS = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7"


def test_the_trace_has_the_id_of_the_job_at_its_root() -> None:
    assert place_of(JOB, TASK).trace_id == place_of(JOB, JOB).trace_id == JOB
    assert place_of(JOB, TASK).span_id != place_of(JOB, JOB).span_id
    assert place_of(JOB, TASK) == place_of(JOB, TASK)


@pytest.mark.parametrize("job_id", ["job-1", "0" * 32, JOB.upper(), ""], ids=["short", "zero", "upper case", "empty"])
def test_ids_of_any_form_have_a_place(job_id: str) -> None:
    place = place_of(job_id, job_id)
    assert re.fullmatch(r"(?!0+$)[0-9a-f]{32}", place.trace_id)
    assert re.fullmatch(r"(?!0+$)[0-9a-f]{16}", place.span_id)


def test_a_place_is_written_as_it_is_read() -> None:
    place = place_of(JOB, TASK)
    for sampled in (True, False):
        assert read_traceparent(traceparent(place, sampled=sampled)) == Place(JOB, place.span_id, sampled)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "none",
        OTHERS,
        f"{OTHERS}-1",
        f"{OTHERS.upper()}-01",
        f"{OTHERS}-01-more",
        f"ff{OTHERS[2:]}-01",
        f"00-{'0' * 32}-00f067aa0ba902b7-01",
        f"00-4bf92f3577b34da6a3ce929d0e0e4736-{'0' * 16}-01",
    ],
    ids=["empty", "word", "no flags", "short flags", "upper case", "longer", "version ff", "no trace", "no span"],
)
def test_a_header_that_means_nothing_is_no_parent(text: str) -> None:
    assert read_traceparent(text) is None


def test_a_later_version_may_say_more() -> None:
    assert read_traceparent(f" 42{OTHERS[2:]}-03-more ") == Place(OTHERS[3:35], OTHERS[36:], sampled=True)
