"""`/doctor`: whether the invariants hold, and repairing what does not."""

from __future__ import annotations

from typing import Protocol

import falcon

from tork.diagnosis import Diagnosis, Treatment
from torkd.api.errors import refusal
from torkd.api.media import answer, plain
from torkd.api.operations import operation, text

_TRUE, _FALSE = frozenset({"true", "1", ""}), frozenset({"false", "0"})


class Doctor(Protocol):
    """Looks and repairs. Raises `Unavailable` when the database or the broker does not answer."""

    def examine(self) -> Diagnosis:
        """Every check."""

    def treat(self, *, dry_run: bool = False) -> Treatment:
        """Repair what is wrong, or say what would be repaired."""


class DoctorResource:
    """What is wrong of database and broker. The machines of workers are seen by `torkd doctor` there."""

    def __init__(self, doctor: Doctor) -> None:
        self._doctor = doctor

    @operation("Every invariant, and whether it holds", answer=Diagnosis)
    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        answer(req, resp, plain(self._doctor.examine()))

    @operation(
        "Repair what does not hold",
        answer=Treatment,
        parameters=(text("dryRun", "Only say what would be repaired", enum=["true", "false", "1", "0", ""]),),
    )
    def on_post_fix(self, req: falcon.Request, resp: falcon.Response) -> None:
        answer(req, resp, plain(self._doctor.treat(dry_run=_dry_run(req))))


def _dry_run(req: falcon.Request) -> bool:
    """Refused unless it is clear: a repair by mistake is worse than a refusal."""
    text = req.get_param("dryRun", default="false").lower()
    if text not in _TRUE | _FALSE:
        raise refusal(400, f"invalid dryRun: {text} (right would be true or false)")
    return text in _TRUE
