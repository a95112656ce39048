"""Which runs of its predecessors a worker takes up: those that the runtime still has, and those that only have to be reported."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Collection

from tork.errors import RuntimeFailure
from torkd.runtime.protocol import Runtime
from torkd.worker.kept import KeptRuns
from torkd.worker.running import Run

_FIRST_RETRY_SECONDS = 0.1
_MAX_RETRY_SECONDS = 1.0

_LOG = logging.getLogger(__name__)


def runs_to_take_up(kept_runs: KeptRuns, runtime: Runtime, patience_seconds: float) -> list[Run]:
    """Those runs. What is kept of others is removed: nothing of them is there any more, or nobody can say."""
    found = kept_runs.load()
    if any(kept.outcome is None for kept in found):
        alive = _ask(runtime, patience_seconds)
    else:
        # Nothing depends on the answer. But it is when it is asked that a runtime looks for what was left over.
        threading.Thread(target=_ask, args=(runtime, 0.0), name="worker-leftovers", daemon=True).start()
        alive = ()
    taken_up = []
    for kept in found:
        run_id = kept.record.run_id
        if kept.outcome is not None or run_id in alive:
            taken_up.append(Run.taken_up(kept))
        else:
            _LOG.warning(
                "run %s of before is not there any more, or not where runtime.type looks: its task is handed out again",
                run_id,
            )
            kept_runs.remove(run_id)
    if taken_up:
        _LOG.info("%d runs of before are taken up", len(taken_up), extra={"run_ids": [run.run_id for run in taken_up]})
    return taken_up


def _ask(runtime: Runtime, patience_seconds: float) -> Collection[str]:
    give_up_at = time.monotonic() + patience_seconds
    wait = _FIRST_RETRY_SECONDS
    while True:
        try:
            return frozenset(runtime.resumable())
        except RuntimeFailure as error:
            if time.monotonic() + wait > give_up_at:
                _LOG.warning("whether runs of before go on can't be known: %s", error)
                return ()
        except Exception:  # noqa: BLE001 -- a runtime may be anybody's
            _LOG.exception("whether runs of before go on can't be known")
            return ()
        time.sleep(wait)
        wait = min(wait * 2, _MAX_RETRY_SECONDS)
