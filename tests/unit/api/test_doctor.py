"""`/doctor`: what is found, and repairs that are only done when they are asked for plainly."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.api_fakes import FakeDoctor
from tork.errors import BrokerUnavailable

if TYPE_CHECKING:
    from tests.unit.api.conftest import Api

CHECK = {"name": "jobs", "ok": False, "message": "1 is stalled", "ids": ["j1"], "repair": "let it go on"}


@pytest.fixture
def doctor(api: Api) -> FakeDoctor:
    doctor = FakeDoctor()
    api.serve(doctor=doctor)
    return doctor


def test_every_check_is_told(api: Api, doctor: FakeDoctor) -> None:
    assert api.get("/doctor").json == {"ok": False, "checks": [CHECK]}


@pytest.mark.parametrize(
    ("query", "dry_run"),
    [("", False), ("dryRun=false", False), ("dryRun=true", True), ("dryRun", True), ("dryRun=1", True)],
)
def test_a_repair_is_done_unless_it_is_a_dry_run(api: Api, doctor: FakeDoctor, query: str, dry_run: bool) -> None:
    answer = api.client.simulate_post("/doctor/fix", query_string=query)
    assert answer.json == {
        "dryRun": dry_run,
        "repairs": [{"name": "jobs", "action": "let it go on", "ids": ["j1"]}],
        "after": {"ok": False, "checks": [CHECK]},
    }
    assert doctor.treatments == [dry_run]


def test_what_is_neither_dry_nor_not_repairs_nothing(api: Api, doctor: FakeDoctor) -> None:
    answer = api.client.simulate_post("/doctor/fix", query_string="dryRun=maybe")
    assert (answer.status_code, answer.json) == (
        400,
        {"message": "invalid dryRun: maybe (right would be true or false)"},
    )
    assert doctor.treatments == []


def test_a_broker_that_is_away_is_said_to_be_so(api: Api, doctor: FakeDoctor) -> None:
    doctor.failure = BrokerUnavailable("the broker does not answer")
    answer = api.get("/doctor")
    assert (answer.status_code, answer.json) == (503, {"message": "the broker does not answer"})
