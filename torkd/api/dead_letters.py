"""`/queues/dead`: messages that could not be handled, to be looked at, replayed or removed.

A message may hold whatever a task was given or said, so it is shown as jobs are: without their secrets. What can't be read, or is
about jobs that are gone, can't be told from a secret, and is hidden.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import falcon
import msgspec
from msgspec.structs import replace

from tork.dead_letter import DeadLetter
from tork.errors import NotFound
from tork.page import Page
from tork.wire import Told
from torkd.api.errors import refusal
from torkd.api.media import answer, plain
from torkd.api.operations import Done, operation, paging
from torkd.api.paging import page_number, page_size
from torkd.broker.protocol import Broker
from torkd.broker.queues import DEAD
from torkd.datastore.protocol import Reading
from torkd.hooks.redact import Redactor

MOST = 10_000
"""The broker can only be asked for the first ones, so pages end there."""
_SAID = frozenset({"definition", "result", "error", "contents"})
"""The parts of a message that come from users and tasks."""
_OK = {"status": "OK"}


class Removed(Told, frozen=True, kw_only=True):
    """How many are gone."""

    removed: int


class DeadLettersResource:
    """All of them, and each."""

    def __init__(self, broker: Broker, reading: Reading, redactor: Redactor) -> None:
        self._broker, self._reading, self._redactor = broker, reading, redactor

    @operation(
        "A page of dead letters, those first that were buried first",
        answer=Page[DeadLetter],
        parameters=paging(default=10, most=20),
    )
    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        number, size = page_number(req), page_size(req, default=10, most=20)
        total = sum(queue.size for queue in self._broker.queues() if queue.name == DEAD)
        letters = self._broker.dead_letters(number * size)[(number - 1) * size :] if number * size <= MOST else []
        page: Page[DeadLetter] = Page(
            items=self._shown(letters),
            number=number,
            size=len(letters),
            total_pages=-(-min(total, MOST) // size),
            total_items=min(total, MOST),
            total_is_lower_bound=total > MOST,
        )
        answer(req, resp, plain(page))

    @operation("Remove all dead letters", answer=Removed)
    def on_delete(self, req: falcon.Request, resp: falcon.Response) -> None:
        answer(req, resp, {"removed": self._broker.purge_dead()})

    @operation("A dead letter", answer=DeadLetter)
    def on_get_one(self, req: falcon.Request, resp: falcon.Response, letter_id: str) -> None:
        found = [letter for letter in self._broker.dead_letters(MOST) if letter.id == letter_id]
        if not found:
            raise _not_found(letter_id)
        answer(req, resp, plain(self._shown(found[:1])[0]))

    @operation("Remove a dead letter", answer=Done)
    def on_delete_one(self, req: falcon.Request, resp: falcon.Response, letter_id: str) -> None:
        try:
            self._broker.remove_dead(letter_id)
        except NotFound as error:
            raise _not_found(letter_id) from error
        answer(req, resp, dict(_OK))

    @operation("Have a dead letter handled again", answer=Done)
    def on_post_replay(self, req: falcon.Request, resp: falcon.Response, letter_id: str) -> None:
        """To be handled again; when that fails once more it is back here under another id."""
        try:
            self._broker.replay_dead(letter_id)
        except NotFound as error:
            raise _not_found(letter_id) from error
        answer(req, resp, dict(_OK))

    def _shown(self, letters: Sequence[DeadLetter]) -> list[DeadLetter]:
        documents = [_document(letter.body) for letter in letters]
        jobs = {job_id for document in documents for job_id in _job_ids(document)}
        known = self._reading.versions_of(jobs) if jobs else {}
        secrets = self._reading.secrets_of_each(known) if known else {}
        return [
            self._without_secrets(letter, document, known, secrets)
            for letter, document in zip(letters, documents, strict=True)
        ]

    def _without_secrets(
        self, letter: DeadLetter, document: Any, known: dict[str, int], secrets: dict[str, dict[str, str]]
    ) -> DeadLetter:
        jobs = set(_job_ids(document))
        values = [value for job_id in jobs for value in secrets.get(job_id, {}).values()]
        values += [value for value in _mask(document) if isinstance(value, str)]
        reason = self._redactor.redact_text(letter.reason, values)
        if not isinstance(document, dict | list):
            return replace(letter, reason=reason, body=self._redactor.hide(letter.body))
        if not jobs <= known.keys() and not _mask(document):
            document = self._hide_said(document)
        if isinstance(document, dict) and "mask" in document:
            document = {**document, "mask": [self._redactor.hide(value) for value in _mask(document)]}
        body = msgspec.json.encode(self._redactor.redact(document, values)).decode()
        return replace(letter, reason=reason, body=body)

    def _hide_said(self, value: Any) -> Any:
        match value:
            case dict():
                return {
                    key: self._redactor.hide(inner) if key in _SAID else self._hide_said(inner)
                    for key, inner in value.items()
                }
            case list():
                return [self._hide_said(inner) for inner in value]
            case _:
                return value


def _document(body: str) -> Any:
    try:
        return msgspec.json.decode(body)
    except msgspec.DecodeError:
        return None


def _job_ids(document: Any) -> Iterator[str]:
    """Every job that is named anywhere in it."""
    match document:
        case dict():
            if isinstance(job_id := document.get("jobId"), str):
                yield job_id
            parts: Iterable[Any] = document.values()
        case list():
            parts = document
        case _:
            return
    for part in parts:
        yield from _job_ids(part)


def _mask(document: Any) -> list[Any]:
    """What a message for a worker says that is to be hidden in logs: the secrets themselves."""
    mask = document.get("mask") if isinstance(document, dict) else None
    return mask if isinstance(mask, list) else []


def _not_found(letter_id: str) -> falcon.HTTPError:
    return refusal(404, f"dead letter {letter_id} not found")
