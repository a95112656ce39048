"""`make load`: how long others wait for their answers while many clients follow, dawdle, read nothing or ask a lot.

Times are compared with those of the same daemon a moment before, with nobody else there. The exit code is 1 when anybody was not
answered as promised, or others waited longer by far.
"""

from __future__ import annotations

import http.client
import os
import resource
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from statistics import median, quantiles

from tests.load.burdens import BURDENS, TLS_BURDENS, Burden, open_connection
from tests.support.certificates import CA_FILE, CERTIFICATE_FILE, KEY_FILE, make_certificates
from tests.support.daemon import Daemon

PROBES = 100
PAUSE_SECONDS = 0.02
FILES = 16_384
MOST_MEDIAN = 5
"""How many times the median without the burden the median may be."""
MOST_LATE = 25
"""How many times that one of 20 answers may take."""
SETTINGS = {
    "TORK_RUNTIME_TYPE": "shell",
    "TORK_LOGGING_LEVEL": "error",
    "TORK_MIDDLEWARE_WEB_BODYLIMIT": "10M",
}


def main() -> int:
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(FILES, hard), hard))  # the daemon inherits it
    head = f"{'GET /jobs meanwhile':24} {'alone':>10} {'median':>10} {'95 %':>10} {'worst':>10}"
    print(f"{head}  what the others got", flush=True)
    with tempfile.TemporaryDirectory() as place:
        make_certificates(Path(place))
        os.environ["SSL_CERT_FILE"] = f"{place}/{CA_FILE}"
        tls = {"CERT": f"{place}/{CERTIFICATE_FILE}", "KEY": f"{place}/{KEY_FILE}"}
        secure = Daemon(SETTINGS | {f"TORK_COORDINATOR_TLS_{name}": path for name, path in tls.items()})
        secure.endpoint = f"https://localhost:{secure.port}"
        failures = [*_measure(Daemon(SETTINGS), BURDENS, ""), *_measure(secure, TLS_BURDENS, "TLS ")]
    for failure in failures:
        print(failure)
    return 1 if failures else 0


def _measure(daemon: Daemon, burdens: Iterable[Burden], kind: str) -> list[str]:
    """A line of the table for each; what was not as promised."""
    failures = []
    with daemon:
        for number in range(20):
            daemon.submit({"name": f"job {number}", "tasks": [{"name": "t", "run": "true"}]})
        _probe(daemon)
        for burden in burdens:
            name = kind + burden.__name__
            alone = median(_probe(daemon))
            try:
                with burden(daemon) as told:
                    times = sorted(_probe(daemon))
                    outcome = told()
            except (AssertionError, OSError, http.client.HTTPException) as error:
                failures.append(f"{name}: {error}")
                continue
            middle, late = median(times), quantiles(times, n=20)[-1]
            figures = " ".join(f"{1000 * seconds:7.1f} ms" for seconds in (alone, middle, late, times[-1]))
            print(f"{name:24} {figures}  {outcome}", flush=True)
            for what, seconds, most in (("half", middle, MOST_MEDIAN), ("one of 20", late, MOST_LATE)):
                if seconds > most * alone:
                    failures.append(
                        f"{name}: {what} waited {seconds / alone:.1f} times as long as alone, or longer; {most} is bearable"
                    )
    return failures


def _probe(daemon: Daemon) -> list[float]:
    """Seconds each, every one over a connection of its own."""
    times = []
    for _ in range(PROBES):
        began_at = time.perf_counter()
        connection = open_connection(daemon)
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
