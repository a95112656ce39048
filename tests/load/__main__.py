"""`make load`: how long others wait for their answers while many clients follow, dawdle, read nothing or ask a lot.

Times are compared with those of the same daemon a moment before, with nobody else there. The exit code is 1 when anybody was not
answered as promised, whatever the times.
"""

from __future__ import annotations

import http.client
import resource
import sys
import time
from statistics import median, quantiles

from tests.load.burdens import BURDENS
from tests.support.daemon import Daemon

PROBES = 300
PAUSE_SECONDS = 0.02
FILES = 16_384


def main() -> int:
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(FILES, hard), hard))  # the daemon inherits it
    failures = 0
    with Daemon({"TORK_RUNTIME_TYPE": "shell", "TORK_LOGGING_LEVEL": "warn"}) as daemon:
        for number in range(20):
            daemon.submit({"name": f"job {number}", "tasks": [{"name": "t", "run": "true"}]})
        _probe(daemon)
        print(f"{'GET /jobs meanwhile':24} {'median':>10} {'95 %':>10} {'worst':>10}  what the others got", flush=True)
        for burden in BURDENS:
            try:
                with burden(daemon) as told:
                    times = sorted(_probe(daemon))
                    outcome = told()
            except (AssertionError, OSError, http.client.HTTPException) as error:
                failures += 1
                print(f"{burden.__name__:24} FAILED: {error}", flush=True)
                continue
            cells = (median(times), quantiles(times, n=20)[-1], times[-1])
            figures = " ".join(f"{1000 * seconds:7.1f} ms" for seconds in cells)
            print(f"{burden.__name__:24} {figures}  {outcome}", flush=True)
    return 1 if failures else 0


def _probe(daemon: Daemon) -> list[float]:
    """Seconds each, every one over a connection of its own."""
    times = []
    for _ in range(PROBES):
        began_at = time.perf_counter()
        connection = http.client.HTTPConnection("127.0.0.1", daemon.port, timeout=20)
        connection.request("GET", "/jobs")
        answer = connection.getresponse()
        answer.read()
        connection.close()
        times.append(time.perf_counter() - began_at)
        if answer.status != 200:
            raise AssertionError(f"GET /jobs was answered {answer.status}")
        time.sleep(PAUSE_SECONDS)
    return times


if __name__ == "__main__":
    sys.exit(main())
