"""A serving daemon for tests to signal: fakes behind the real server, steered over HTTP and told by lines on stdout.

Usage: api_process.py ADDRESS|- [key=value ...]   drain=SECONDS how long draining takes, most=STREAMS, start=fail,
large=BYTES of the description of job `large`, tls=DIRECTORY with certificates, receive=SECONDS a request may take to arrive,
limit=BYTES of the largest body
`PUT /jobs/ID/cancel` ends job ID, `PUT /jobs/ID/restart` prints a part of its log.
"""

from __future__ import annotations

import itertools
import os
import sys
import threading
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.support.account_fakes import FakeAccounts
from tests.support.api_fakes import FakeCommands, FakeReading, a_job, ended
from tests.support.certificates import CERTIFICATE_FILE, KEY_FILE
from tork.errors import StartError
from torkd.api import worker_class
from torkd.api.app import ApiDependencies, create_app
from torkd.api.listener import coordinator_place, listen
from torkd.api.options import ApiOptions
from torkd.api.reception import RECEIVE_SECONDS
from torkd.api.served import Served
from torkd.api.server import ServerOptions, Tls, serve
from torkd.api.streams import Doorbell, StreamHub
from torkd.broker.memory import MemoryBroker
from torkd.checks import Checks


class Steered(FakeCommands):
    """Commands that move the fakes."""

    def cancel(self, job_id: str) -> None:
        self.reading.put(ended(a_job(job_id)))

    def restart(self, job_id: str) -> None:
        self.reading.print(job_id, "t1", next(NUMBERS), f"hello from {os.getpid()}")


NUMBERS = itertools.count(1)


def say(*words: object) -> None:
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


def start(drain_seconds: float, *, most: int, fails: bool, large: int, limit: int) -> Served:
    if fails:
        raise StartError("the database is not there: start it")
    broker = MemoryBroker()
    broker.open()
    reading = FakeReading(broker)
    for job_id in ("j1", "j2"):
        reading.put(a_job(job_id))
    reading.put(a_job("large", description="x" * large))
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
        )
    )
    stop = threading.Event()

    def drain(*, short: bool) -> None:
        say("draining", "shortly" if short else "fully")
        if not short:
            stop.wait(drain_seconds)
        say("drained")

    say("serving", os.getpid())
    return Served(
        app=app,
        drain=drain,
        end_streams=streams.close,
        close=lambda: say("closed"),
        reload=lambda: say("reloaded"),
    )


def main(address: str, **options: str) -> int:
    drain_seconds, most = float(options.get("drain", "0")), int(options.get("most", "2000"))
    vars(worker_class)["RECEIVE_SECONDS"] = float(options.get("receive", RECEIVE_SECONDS))
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
            ),
            start=lambda: start(
                drain_seconds,
                most=most,
                fails=options.get("start") == "fail",
                large=int(options.get("large", "0")),
                limit=int(options.get("limit", "500000")),
            ),
        )
    except StartError as error:
        say("error", error)
        return 1
    say("ended", code)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], **dict(argument.split("=") for argument in sys.argv[2:])))
