"""Plans: made when the tables were small, they must not read all of what the tables hold later."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from tests.support.builders import a_job, a_task, report_of
from tests.support.datastore_play import DatastorePlay
from tests.support.statement_counting import counted_statements
from torkd.datastore.postgres import pool
from torkd.datastore.postgres.statements import load_statements

PARAMETERS = {"tasks": "$1", "jobs": "$2", "tops": "$3", "ended": "$4"}
JOBS, STEPS = 60, 30


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for below in plan.get("Plans", []):
        yield from nodes(below)


def test_loading_looks_up_what_it_needs_with_a_plan_from_when_there_was_one_job(play: DatastorePlay, dsn: str) -> None:
    play.submit(a_job(inputs={"x": "1"}), "first")
    play.change("ANALYZE")
    statement = re.sub(r"%\((\w+)\)s", lambda match: PARAMETERS[match[1]], load_statements("batch.sql").load)
    with psycopg.connect(dsn, options=pool._ENGINE) as session:
        session.execute(f"PREPARE load (text, text, text, text) AS {statement}".encode())
        none = "'{}', '{}', '{}', '{}'"
        session.execute(f"EXECUTE load ({none})".encode())
        session.commit()
        steps = [a_task(f"t{number} {{{{ inputs.x }}}}") for number in range(STEPS)]
        for number in range(JOBS):
            play.submit(a_job(*steps, inputs={"x": "1", "y": "2", "z": "3"}), f"j{number}")
        tasks = play.tasks(name="t0 1")
        ids, jobs = ("'{" + ",".join(names) + "}'" for names in ([t.id for t in tasks], [t.job_id for t in tasks]))
        explain = f"EXPLAIN (ANALYZE, FORMAT JSON) EXECUTE load ({ids}, {jobs}, '{{}}', {ids})"
        ((plan,),) = session.execute(explain.encode()).fetchall()
    scans = [node for node in nodes(plan[0]["Plan"]) if "Relation Name" in node]
    assert len(scans) >= 8
    for scan in scans:
        seen = (scan["Actual Rows"] + scan.get("Rows Removed by Filter", 0)) * scan["Actual Loops"]
        assert seen <= 5 * JOBS, scan


ALWAYS, NEVER = 0, 10**9


@pytest.mark.parametrize(
    ("limits", "made_anew"),
    [
        pytest.param({"PLAN_SECONDS": ALWAYS, "PLAN_USES": ALWAYS, "PLAN_SECONDS_AT_MOST": NEVER}, True, id="used-up"),
        pytest.param({"PLAN_SECONDS": ALWAYS, "PLAN_USES": NEVER, "PLAN_SECONDS_AT_MOST": NEVER}, False, id="unused"),
        pytest.param({"PLAN_SECONDS": NEVER, "PLAN_USES": ALWAYS, "PLAN_SECONDS_AT_MOST": NEVER}, False, id="young"),
        pytest.param({"PLAN_SECONDS": NEVER, "PLAN_USES": NEVER, "PLAN_SECONDS_AT_MOST": ALWAYS}, True, id="old"),
    ],
)
def test_plans_are_made_anew_once_in_a_while(
    play: DatastorePlay, monkeypatch: pytest.MonkeyPatch, limits: dict[str, int], made_anew: bool
) -> None:
    play.submit(a_job(a_task("a"), a_task("b")))
    discarded: list[str] = []
    execute = psycopg.Connection.execute

    def noting(connection: psycopg.Connection[Any], query: Any, *args: Any, **kwargs: Any) -> Any:
        if query == "DISCARD PLANS":
            discarded.append(query)
        return execute(connection, query, *args, **kwargs)

    monkeypatch.setattr(psycopg.Connection, "execute", noting)
    for name, limit in limits.items():
        monkeypatch.setattr(pool, name, limit)
    report = report_of(play.task("a"))
    with counted_statements() as statements:
        play.handle(report)
    assert discarded == (["DISCARD PLANS"] if made_anew else [])
    assert len(statements) == 3
