"""The table of the benchmark, with canned figures: no time is asserted anywhere."""

from __future__ import annotations

import json

from tests.bench.figures import Figure, as_json, over, table

STEP = over("a step", 12.5, "ms", reference="bash", bare=5.0, at_most=5, cpu_ms=9.75)
RATE = Figure(name="jobs", measured=20_000.4, unit="jobs/s")


def test_a_time_is_held_to_its_target_after_the_reference_is_taken_off() -> None:
    assert (STEP.result, STEP.met) == (7.5, False)
    assert over("a step", 10.0, "ms", reference="bash", bare=5.0, at_most=5, cpu_ms=0.0).met is True


def test_the_table_is_aligned_and_leaves_unknown_cells_empty() -> None:
    assert table([STEP, RATE]).splitlines() == [
        "figure       measured  reference  measured there        result  target  met      CPU",
        "------  -------------  ---------  --------------  ------------  ------  ---  -------",
        "a step       12.50 ms  bash              5.00 ms  7.50 ms more    <= 5   NO  9.75 ms",
        "jobs    20,000 jobs/s",
    ]


def test_programs_get_every_figure_in_full_precision() -> None:
    told = json.loads(as_json([STEP, RATE]))
    assert [figure["name"] for figure in told] == ["a step", "jobs"]
    assert told[1]["measured"] == 20_000.4
    assert told[0]["met"] is False
