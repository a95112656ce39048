"""Endpoints and middleware of operators, through the whole application."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import falcon
import pytest
from msgspec.structs import replace

from tests.support.api_fakes import a_job, a_task
from tests.unit.api.conftest import Api
from tork.errors import NotFound, Refused, StartError
from tork.job import JobDefinition
from torkd.accounts.caller import ANYBODY, NOBODY
from torkd.accounts.caller import Caller as SignedIn
from torkd.api.middleware.cors import CorsOptions
from torkd.api.options import ApiOptions
from torkd.endpoints import EndpointContext
from torkd.extensions import Extensions
from torkd.middleware import Caller, JobMiddleware, LogMiddleware, TaskMiddleware

JOB = "name: a\ntasks: [{name: t, run: 'true'}]\n"


def serve(api: Api, extensions: Extensions, **options: Any) -> None:
    api.serve(
        middleware=tuple(extensions.web_middleware),
        endpoints=tuple(extensions.endpoints),
        submitted=extensions.submitted(),
        shown=extensions.shown(),
        **({"options": ApiOptions(**options)} if options else {}),
    )


def hello(req: falcon.Request, resp: falcon.Response, context: EndpointContext) -> None:
    resp.media = {"hello": context.fields["name"], "version": context.version, "caller": context.caller.username}


def endpoint(method: str = "GET", path: str = "/reports/{name}", handler: Any = hello, **options: Any) -> Extensions:
    extensions = Extensions()
    extensions.register_endpoint(method, path, handler, **options)
    return extensions


def test_an_endpoint_answers_its_method_of_its_path(api: Api) -> None:
    serve(api, endpoint())
    assert api.get("/reports/may").json == {"hello": "may", "version": "0.1", "caller": "guest"}
    assert api.client.simulate_delete("/reports/may").status_code == 405
    assert "/reports/{name}" in api.get("/openapi.json").json["paths"]


def test_an_endpoint_reads_submits_and_cancels(api: Api) -> None:
    def act(req: falcon.Request, resp: falcon.Response, context: EndpointContext) -> None:
        submitted = context.submit({"name": "made", "tasks": [{"name": "t", "run": "true"}], "secrets": {"s": "hush"}})
        context.cancel(submitted.id)
        job = context.reading.get_job(submitted.id)
        resp.media = context.document(submitted.id, replace(job, description="hush hush").name), context.fields

    serve(api, endpoint("POST", "/act", act))
    answer = api.client.simulate_post("/act")
    assert (answer.status_code, answer.json) == (200, ["made", {}])
    assert [definition.name for definition, _ in api.commands.submitted] == ["made"]
    assert len(api.commands.cancelled) == 1


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        (ZeroDivisionError("secret of ours"), 500, "Internal Server Error"),
        (NotFound("no such report"), 404, "no such report"),
        (falcon.HTTPConflict(title="not now"), 409, "not now"),
    ],
)
def test_what_a_handler_raises_is_answered_as_everywhere(
    api: Api, error: Exception, status: int, message: str, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(req: falcon.Request, resp: falcon.Response, context: EndpointContext) -> None:
        raise error

    serve(api, endpoint(handler=fails))
    answer = api.get("/reports/x")
    assert (answer.status_code, answer.json) == (status, {"message": message})
    assert ("ZeroDivisionError" in caplog.text) == (status == 500)


def test_an_endpoint_passes_the_same_layers_as_ours(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    serve(api, endpoint("POST"), body_limit=10, cors=CorsOptions(), request_log_level="INFO")
    with caplog.at_level(logging.INFO):
        answer = api.client.simulate_post("/reports/x", body="x" * 11, headers={"Origin": "http://a"})
    assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (413, "*")
    assert "POST /reports/x 413" in caplog.text


@pytest.mark.parametrize(
    ("path", "ours"),
    [
        ("/health", "/health"),
        ("/jobs/{id}", "/jobs/{job_id}"),
        ("/jobs/mine", "/jobs/{job_id}"),
        ("/{anything}", "/health"),
        ("/{rest:path}", "/health"),
        ("/queues/dead/{x}/replay", "/queues/dead/{letter_id}/replay"),
    ],
)
@pytest.mark.parametrize("method", ["GET", "PATCH"])
def test_an_endpoint_in_the_way_of_ours_is_refused_at_the_start(api: Api, method: str, path: str, ours: str) -> None:
    with pytest.raises(StartError) as refused:
        serve(api, endpoint(method, path))
    assert str(refused.value) == f"the endpoint {method} {path} can't be added: {ours} is torkd's own path"


def test_two_endpoints_share_a_path_by_method_and_not_otherwise(api: Api) -> None:
    extensions = endpoint()
    extensions.register_endpoint("PUT", "/reports/{name}", hello)
    serve(api, extensions)
    assert (api.get("/reports/x").status_code, api.put("/reports/x").status_code) == (200, 200)
    with pytest.raises(StartError, match=r"^the endpoint GET /reports/{name} is registered twice$"):
        extensions.register_endpoint("get", "/reports/{name}", hello)
    extensions.register_endpoint("GET", "/reports/{other}", hello)
    with pytest.raises(StartError, match=r"^the endpoint at /reports/{other} can't be added: "):
        serve(api, extensions)


@pytest.mark.parametrize(
    ("method", "path", "handler", "reason"),
    [
        ("FETCH", "/x", hello, "right would be one of GET, POST"),
        ("GET", "x", hello, "a path begins with /"),
        ("GET", "/x", None, "its handler is no function"),
    ],
)
def test_what_is_no_endpoint_is_refused(method: str, path: str, handler: Any, reason: str) -> None:
    with pytest.raises(StartError, match=reason):
        endpoint(method, path, handler)


@pytest.mark.parametrize(
    ("admin", "caller", "status"), [(False, NOBODY, 200), (True, NOBODY, 403), (True, ANYBODY, 200)]
)
def test_an_endpoint_may_be_for_admins_alone(api: Api, admin: bool, caller: SignedIn, status: int) -> None:
    class SignsIn:
        def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:
            req.context.caller = caller

    extensions = endpoint(admin=admin)
    extensions.register_web_middleware(SignsIn())
    serve(api, extensions)
    assert api.get("/reports/x").status_code == status


def test_an_endpoint_goes_with_its_group(api: Api) -> None:
    serve(api, endpoint(group="metrics"), groups=frozenset({"health"}))
    assert api.get("/reports/x").status_code == 404
    with pytest.raises(StartError, match=r"^the endpoint GET /reports/{name} is in no known group: 'mine'"):
        serve(api, endpoint(group="mine"))


def test_web_middleware_is_outermost_in_the_order_of_registration(api: Api) -> None:
    class Marks:
        def __init__(self, name: str) -> None:
            self.name = name

        def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:
            resp.append_header("X-Order", self.name)
            if req.path == "/stop":
                raise falcon.HTTPForbidden(title="stopped")

    extensions = Extensions()
    extensions.register_web_middleware(Marks("first"))
    extensions.register_web_middleware(Marks("second"))
    serve(api, extensions)
    assert api.get("/health").headers["x-order"] == "first, second"
    assert api.get("/stop").json == {"message": "stopped"}


def test_wsgi_middleware_wraps_the_application_the_first_outermost() -> None:
    def adds(name: str) -> Callable[[Any], Any]:
        return lambda app: lambda environ, start: [name.encode(), *app(environ, start)]

    extensions = Extensions()
    extensions.register_web_middleware(adds("a"))
    extensions.register_web_middleware(adds("b"))
    assert list(extensions.wrap(lambda environ, start: [b"!"])({}, None)) == [b"a", b"b", b"!"]
    extensions.register_web_middleware(lambda app: app.missing)
    with pytest.raises(StartError, match=r"^the web middleware .* failed at the start: .*missing"):
        extensions.wrap(lambda environ, start: [b"!"])


class Rules(JobMiddleware):
    """Tags jobs, refuses some, and spoils others."""

    def submitted(self, definition: JobDefinition, caller: Caller) -> JobDefinition:
        if definition.name == "no":
            raise Refused(f"{caller.username} may not run no")
        if definition.name == "bug":
            raise ZeroDivisionError("a bug")
        if definition.name == "spoilt":
            return replace(definition, name="")
        return replace(definition, tags=[*definition.tags, "seen"])

    def shown(self, document: dict[str, Any]) -> dict[str, Any]:
        return document | {"name": document["name"].upper()}


def with_rules() -> Extensions:
    extensions = Extensions()
    extensions.register_job_middleware(Rules())
    return extensions


def test_job_middleware_changes_what_is_submitted(api: Api) -> None:
    serve(api, with_rules())
    answer = api.post(JOB)
    assert (answer.status_code, answer.json["name"]) == (200, "A")
    assert api.commands.submitted[0][0].tags == ["seen"]


@pytest.mark.parametrize(
    ("name", "message"),
    [("'no'", "guest may not run no"), ("spoilt", "name: ")],
    ids=["refused", "wrong after it was changed"],
)
def test_job_middleware_refuses(api: Api, name: str, message: str) -> None:
    serve(api, with_rules())
    answer = api.post(JOB.replace("name: a", f"name: {name}"))
    assert answer.status_code == 400
    assert answer.json["message"].startswith(message)
    assert api.commands.submitted == []


def test_job_middleware_that_fails_stands_in_nobodys_way(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    serve(api, with_rules())
    assert api.post(JOB.replace("name: a", "name: bug")).status_code == 200
    assert "the middleware Rules failed in submitted: a bug" in caplog.text


def test_every_document_passes_middleware_after_its_secrets_are_hidden(api: Api) -> None:
    class Marks(TaskMiddleware, LogMiddleware):
        def shown(self, document: dict[str, Any]) -> dict[str, Any]:
            return document | {"mark": document.get("name", document.get("contents"))}

    extensions = with_rules()
    extensions.register_task_middleware(Marks())
    extensions.register_log_middleware(Marks())
    serve(api, extensions)
    api.reading.put(a_job(name="hush", secrets={"s": "hush"}, execution=[a_task()]))
    api.reading.put(a_task())
    api.reading.print("j1", "t1", 1, "hush\n")
    job = api.get("/jobs/j1").json
    assert (job["name"], job["execution"][0]["mark"]) == ("[REDACTED]", "one")
    assert [item["name"] for item in api.get("/jobs").json["items"]] == ["[REDACTED]"]
    assert api.get("/tasks/t1").json["mark"] == "one"
    assert [part["mark"] for part in api.get("/tasks/t1/log").json["items"]] == ["[REDACTED]\n"]
