"""The engine as two processes, a coordinator and a worker, over RabbitMQ and PostgreSQL, beside what those do by themselves.

Tasks do nothing. PostgreSQL has the shipped settings and is on the disk; the raw figures are taken on the same server between
the measurements.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import pika
import psutil

from tests.bench.daemons import SETTINGS, disk
from tests.bench.figures import Figure
from tests.bench.measures import ROUNDS, Setup, fan_out, many_jobs, noop_steps
from tests.bench.raw import RawPostgres
from tests.support.daemon import Daemon
from tests.support.engines import shared_server
from tests.support.rabbitmq import RabbitMQServer

SETUP = Setup(title="distributed, ", step_ms=8, jobs_per_second=400)
HOST = "bench"
MESSAGES = 2_000
_BODY = b"x" * 400


class Front(Daemon):
    """A coordinator, whose processes are counted together with its worker's."""

    back: Daemon | None = None

    def processes(self) -> list[psutil.Process]:
        """Those of both."""
        return [*super().processes(), *(self.back.processes() if self.back is not None else [])]


def distributed_figures() -> Iterator[Figure]:
    """All of them."""
    with RawPostgres() as raw, shared_server("rabbitmq", own=f"bench{os.getpid()}") as base:
        server = RabbitMQServer.of(base)
        server.make_virtual_host(HOST)
        with _pair(raw, server) as front:
            for measure in (noop_steps, fan_out, many_jobs):
                yield from measure(front, raw, SETUP)
        yield from _raw_amqp(server.url(HOST))


@contextmanager
def _pair(raw: RawPostgres, server: RabbitMQServer) -> Iterator[Daemon]:
    settings = {**SETTINGS, "TORK_BROKER_TYPE": "rabbitmq", "TORK_BROKER_RABBITMQ_URL": server.url(HOST)}
    program = str(Path(__file__).with_name("bench_daemon.py"))
    front = Front(
        {**settings, "TORK_DATASTORE_POSTGRES_DSN": raw.create_database("distributed")},
        mode="coordinator",
        place=disk(),
    )
    worker = {**settings, "TORK_RUNTIME_TYPE": "noop"}
    with front, Daemon(worker, command=(program,), mode="worker", place=disk()) as back:
        front.back = back
        yield front
        front.back = None


def _raw_amqp(url: str) -> Iterator[Figure]:
    """Messages that are published one after the other, each confirmed, and then read, with nothing of ours."""
    rates = [_publish_and_read(url) for _ in range(ROUNDS)]
    for name, measured in zip(
        ("published and confirmed", "read and acknowledged"), zip(*rates, strict=True), strict=True
    ):
        yield Figure(name=f"RabbitMQ alone, {name}", measured=median(measured), unit="messages/s")


def _publish_and_read(url: str) -> tuple[float, float]:
    connection = pika.BlockingConnection(pika.URLParameters(url))
    try:
        channel = connection.channel()
        channel.confirm_delivery()
        channel.queue_declare("raw", durable=True)
        properties = pika.BasicProperties(delivery_mode=2)
        started = time.perf_counter()
        for _ in range(MESSAGES):
            channel.basic_publish("", "raw", _BODY, properties)
        published = time.perf_counter()
        channel.basic_qos(prefetch_count=200)
        for read, (method, _, _) in enumerate(channel.consume("raw"), start=1):
            if read % 100 == 0:
                channel.basic_ack(method.delivery_tag or 0, multiple=True)
            if read == MESSAGES:
                break
        done = time.perf_counter()
        channel.queue_delete("raw")
    finally:
        connection.close()
    return MESSAGES / (published - started), MESSAGES / (done - published)
