"""A serving daemon for tests to signal: fakes behind the real server, steered over HTTP and told by lines on stdout.

Usage: api_process.py ADDRESS|- [key=value ...]   drain=SECONDS how long draining takes, most=STREAMS, start=fail,
large=BYTES of the description of job `large`, tls=DIRECTORY with certificates, receive=SECONDS a request may take to arrive,
limit=BYTES of the largest body, waiting=BYTES of requests, unsent=BYTES of answers, lots=COUNT of the tasks of the jobs `many` and `broken`
`PUT /jobs/ID/cancel` ends job ID, `PUT /jobs/ID/restart` prints a part of its log; `PUT /jobs/held/cancel` ends at SIGHUP.
`GET /trickle` tells one line, and more without end after SIGHUP; with `?broken=1` it fails instead.
"""

from __future__ import annotations

import itertools
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import falcon

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.support.account_fakes import FakeAccounts
from tests.support.api_fakes import FakeCommands, FakeReading, a_job, a_task, ended
from tests.support.certificates import CERTIFICATE_FILE, KEY_FILE
from tork.errors import StartError, Unavailable
from tork.task import Task
from torkd.api import connection_worker
from torkd.api.app import ApiDependencies, create_app
from torkd.api.large_job import MANY_TASKS
from torkd.api.listener import coordinator_place, listen
from torkd.api.options import ApiOptions
from torkd.api.served import Served
from torkd.api.server import ServerOptions, serve
from torkd.api.streams import Doorbell, StreamHub
from torkd.api.tls import Tls
from torkd.broker.memory import MemoryBroker
from torkd.checks import Checks
from torkd.endpoints import Endpoint, EndpointContext


class Lots(FakeReading):
    """Says when tasks are read; those of `broken` can't be after the first."""

    def execution_in_parts(self, job_id: str, *, size: int) -> Iterator[list[Task]]:
        for tasks in super().execution_in_parts(job_id, size=size):
            say("lot of", job_id)
            yield tasks
            if job_id == "broken":
                raise Unavailable("the database is away")


class Steered(FakeCommands):
    """Commands that move the fakes."""

    def cancel(self, job_id: str) -> None:
        say("cancelling", job_id)
        if job_id == "held":
            RELEASED.wait()
        self.reading.put(ended(a_job(job_id)))

    def restart(self, job_id: str) -> None:
        self.reading.print(job_id, "t1", next(NUMBERS), f"hello from {os.getpid()}")


class Trickle:
    """The body of a plugin's answer, whose end goes wrong."""

    def __init__(self, *, is_broken: bool) -> None:
        self.is_broken = is_broken

    def __iter__(self) -> Iterator[bytes]:
        yield b"one\n"
        if self.is_broken:
            raise RuntimeError("this trickle is broken")
        RELEASED.wait()
        while True:
            yield b"more\n" * 10_000

    def close(self) -> None:
        say("closing the trickle")
        raise RuntimeError("this trickle can't be closed")


def trickle(req: falcon.Request, resp: falcon.Response, context: EndpointContext) -> None:
    resp.stream = Trickle(is_broken="broken" in req.params)


NUMBERS = itertools.count(1)
RELEASED = threading.Event()


def say(*words: object) -> None:
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


def start(drain_seconds: float, *, most: int, fails: bool, large: int, limit: int, lots: int) -> Served:
    if fails:
        raise StartError("the database is not there: start it")
    broker = MemoryBroker()
    broker.open()
    reading = Lots(broker)
    for job_id in ("j1", "j2"):
        reading.put(a_job(job_id))
    reading.put(a_job("large", description="x" * large))
    tasks = [a_task(f"t{number}", result="x" * 5000) for number in range(lots * MANY_TASKS)]
    for job_id in ("many", "broken"):
        reading.put(a_job(job_id, execution=tasks))
    streams = StreamHub(Doorbell(broker, reading.versions_of), most=most)
    app = create_app(
        ApiDependencies(
            version="test",
            reading=reading,
            accounts=FakeAccounts(),
            commands=Steered(reading),
            broker=broker,
            streams=streams,
            checks=Checks({"datastore": lambda: None}),
            options=ApiOptions(body_limit=limit),
            endpoints=(Endpoint(method="GET", path="/trickle", handler=trickle),),
        )
    )
    stop = threading.Event()

    def drain(*, short: bool) -> None:
        say("draining", "shortly" if short else "fully")
        if not short:
            stop.wait(drain_seconds)
        say("drained")

    def reload() -> None:
        RELEASED.set()
        say("reloaded")

    say("serving", os.getpid())
    return Served(
        app=app,
        drain=drain,
        end_streams=streams.close,
        close=lambda: say("closed"),
        reload=reload,
    )


def main(address: str, **options: str) -> int:
    drain_seconds, most = float(options.get("drain", "0")), int(options.get("most", "2000"))
    bounds = vars(connection_worker)
    bounds["RECEIVE_SECONDS"] = float(options.get("receive", bounds["RECEIVE_SECONDS"]))
    bounds["MOST_WAITING"] = int(options.get("waiting", bounds["MOST_WAITING"]))
    bounds["MOST_UNSENT"] = int(options.get("unsent", bounds["MOST_UNSENT"]))
    if "waiting" in options:
        bounds["MOST_BODY"] = int(options["waiting"]) // 2
    place = Path(options.get("tls", "."))
    tls = Tls(certificate=place / CERTIFICATE_FILE, key=place / KEY_FILE) if "tls" in options else None
    try:
        listener = listen(coordinator_place(None if address == "-" else address))
        say("listening", listener.port)
        code = serve(
            listener,
            ServerOptions(
                drain_seconds=drain_seconds,
                threads=int(options.get("threads", "64")),
                tls=tls,
                body_limit=int(options.get("limit", "0")),
            ),
            start=lambda: start(
                drain_seconds,
                most=most,
                fails=options.get("start") == "fail",
                large=int(options.get("large", "0")),
                limit=int(options.get("limit", "500000")),
                lots=int(options.get("lots", "0")),
            ),
        )
    except StartError as error:
        say("error", error)
        return 1
    say("ended", code)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], **dict(argument.split("=") for argument in sys.argv[2:])))
