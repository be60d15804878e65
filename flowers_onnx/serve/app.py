"""The routes, and what all of them share: ids, headers, problems, the log and the metrics."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable

from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from flowers_onnx.errors import StorageError
from flowers_onnx.record import to_json
from flowers_onnx.serve import metrics
from flowers_onnx.serve.admission import Admission
from flowers_onnx.serve.asking import ANSWER_SECONDS, exchange_of, parameters_of, query_of
from flowers_onnx.serve.classify import Classify
from flowers_onnx.serve.exchange import Exchange
from flowers_onnx.serve.explain import Explain
from flowers_onnx.serve.keys import Scope as KeyScope
from flowers_onnx.serve.openapi import openapi
from flowers_onnx.serve.problems import MEDIA_TYPE, RETRY_SOON, Problem
from flowers_onnx.serve.service import Service

CLASSIFY = "/v1/classify"
EXPLAIN = "/v1/explain"

#: On every answer; the page has a stricter policy of its own.
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "geolocation=(), microphone=()",
    "Cache-Control": "no-store",
}
#: Nobody wants a line each time that a probe looks in.
_QUIET = frozenset({"/livez", "/readyz", "/metrics"})

#: Statuses of a server that has too much to do; so many a second have a line and a row.
_OVERLOAD = frozenset({429, 503})
_TOLD_A_SECOND = 20

Handler = Callable[[Request], Awaitable[Response]]


def make_app(service: Service) -> ASGIApp:
    """The application of one service."""
    routes = _Routes(service)
    table: dict[str, tuple[str, Handler]] = {
        CLASSIFY: ("POST", Classify(service).answer),
        EXPLAIN: ("POST", Explain(service).answer),
        "/v1/labels": ("GET", routes.labels),
        "/v1/model": ("GET", routes.model),
        "/livez": ("GET", routes.livez),
        "/readyz": ("GET", routes.readyz),
        "/metrics": ("GET", routes.metrics),
        "/openapi.json": ("GET", routes.openapi),
        "/": ("GET", routes.page),
    }
    app: ASGIApp = _Dispatcher(table, service.admission)
    if origins := service.options.cors:
        app = CORSMiddleware(
            app,
            allow_origins=origins,
            allow_methods=["GET", "POST"],
            allow_headers=[
                *("Authorization", "X-API-Key", "Content-Type"),
                *("Idempotency-Key", "X-Request-Id", "Traceparent"),
            ],
            expose_headers=["Request-Id", "X-Request-Id", "Retry-After", "Idempotent-Replayed"],
        )
    return Exchanges(app, service, frozenset(table))


class _Dispatcher:
    """From a path to its route. All paths are fixed: a router with patterns would be wasted."""

    def __init__(self, table: dict[str, tuple[str, Handler]], admission: Admission) -> None:
        self._table, self._admission = table, admission

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        try:
            handler = self._handler(scope)
            if scope["path"] in {CLASSIFY, EXPLAIN}:
                self._admission.check()  # before all else: to refuse must cost next to nothing
            response = await handler(request)
        except Problem as problem:
            response = _refusal(exchange_of(request), problem)
        except asyncio.CancelledError:  # the server stops, and can wait no longer
            response = _refusal(
                exchange_of(request),
                Problem(503, "stopping", "the server is stopping; try again", RETRY_SOON),
            )
        except Exception:
            exchange = exchange_of(request)
            logging.getLogger(__name__).exception(
                "a fault of the server", extra={"request_id": exchange.request_id}
            )
            response = _refusal(
                exchange,
                Problem(500, "internal_error", "a fault of the server; its log tells more"),
            )
        await response(scope, receive, send)

    def _handler(self, scope: Scope) -> Handler:
        if scope["path"] not in self._table:
            raise Problem(404, "not_found", "no such path; /openapi.json describes all")
        method, handler = self._table[scope["path"]]
        allowed = ("GET", "HEAD") if method == "GET" else (method,)
        if scope["method"] not in allowed:
            allow = ", ".join(allowed)
            detail = f"this path is for {allow}"
            raise Problem(405, "method_not_allowed", detail, {"Allow": allow})
        return handler


class Exchanges:
    """Around the application: gives each request its ``Exchange``, and tells of it afterwards."""

    def __init__(self, app: ASGIApp, service: Service, paths: frozenset[str]) -> None:
        self._app, self._service, self._paths = app, service, paths
        self._second = self._told = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        service = self._service
        # A dictionary: they are looked up ten times and more. Of two, the first counts.
        headers = {
            name.decode("latin-1"): value.decode("latin-1")
            for name, value in reversed(scope["headers"])
        }
        client = scope["client"]
        exchange = Exchange(
            scope["method"],
            headers,
            service.instance,
            client[0] if client and service.options.client_address else None,
            route=scope["path"] if scope["path"] in self._paths else "(unknown)",
        )
        scope["flowers.exchange"] = exchange
        extra = _extra_headers(exchange)
        is_spared = False

        async def send_with_headers(message: Message) -> None:
            nonlocal is_spared
            if message["type"] == "http.response.start":
                exchange.status = message["status"]
                given = {name for name, _ in message["headers"]}
                more = [(name, value) for name, value in _RAW_HEADERS if name not in given]
                message["headers"] = [*message["headers"], *more, *extra]
                is_spared = exchange.status in _OVERLOAD and not self._has_room_to_tell()
                if not is_spared:
                    await self._note(exchange)
            else:
                exchange.sent += len(message.get("body", b""))
            await send(message)

        try:
            await self._app(scope, receive, send_with_headers)
        finally:
            service.metrics.request(exchange)
            if not is_spared and (exchange.route not in _QUIET or exchange.status >= 400):
                service.log.request(exchange)

    async def _note(self, exchange: Exchange) -> None:
        """The row of a request that was refused, whether that can be kept in time or not."""
        is_refusal = exchange.status >= 400  # not so what a browser asks before a request
        if exchange.kept or exchange.route != CLASSIFY or not (self._service.traces and is_refusal):
            return
        exchange.kept = True
        rows, ledger = [exchange.refused_photo or exchange.row()], self._service.ledger
        if self._service.fresh:
            self._service.fresh.note(rows)
        if not exchange.is_welcome or exchange.status >= 429:
            ledger.note(rows)  # strangers, and who comes too often, are never waited for
            return
        with contextlib.suppress(StorageError, TimeoutError):
            async with asyncio.timeout(ANSWER_SECONDS):
                await ledger.record(rows, [])

    def _has_room_to_tell(self) -> bool:
        """To tell of refusals for overload must not add to it; the metrics count them all."""
        second = int(time.monotonic())
        if second != self._second:
            self._second, self._told = second, 0
        self._told += 1
        return self._told <= _TOLD_A_SECOND


class _Routes:
    """All routes but those that take photos."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._openapi = _json(openapi(service.options, service.authenticator.kind)).body

    async def labels(self, request: Request) -> Response:
        await self._authorize(request, "classify")
        lang = query_of(parameters_of(request), self._service.options.query).lang
        labels = [label.to_row(lang) for label in self._service.classifier.info.labels]
        return _json({"labels": labels})

    async def model(self, request: Request) -> Response:
        await self._authorize(request, "classify")
        facts = self._service.model_facts
        return _json({**facts, "explainable": self._service.explainable})

    async def livez(self, _request: Request) -> Response:
        return _json({"status": "ok"})

    async def readyz(self, _request: Request) -> Response:
        if why := await self._service.health.problem():
            raise Problem(503, "not_ready", why, RETRY_SOON)
        return _json({"status": "ok"})

    async def metrics(self, request: Request) -> Response:
        await self._authorize(request, "metrics")
        return Response(self._service.metrics.text(), media_type=metrics.MEDIA_TYPE)

    async def openapi(self, _request: Request) -> Response:
        return Response(bytes(self._openapi), media_type="application/json")

    async def page(self, request: Request) -> Response:
        body, headers = self._service.page.render(
            exchange_of(request).headers.get("accept-language"), request.query_params.get("lang")
        )
        if exchange_of(request).headers.get("if-none-match") == headers["ETag"]:
            return Response(status_code=304, headers=headers)
        return Response(body, headers=headers)

    async def _authorize(self, request: Request, scope: KeyScope) -> None:
        caller = await self._service.authenticator.caller(exchange_of(request).headers)
        exchange_of(request).caller = caller.id
        caller.require(scope)


def _json(value: object) -> Response:
    return Response(to_json(value), media_type="application/json")


def _extra_headers(exchange: Exchange) -> list[tuple[bytes, bytes]]:
    extra = [(b"request-id", exchange.request_id.encode())]
    if (theirs := exchange.client_request_id) is not None:
        extra.append((b"x-request-id", theirs.encode()))
    if exchange.trace_id is not None:
        extra.append((b"traceparent", exchange.headers["traceparent"].encode()))
    return extra


def _refusal(exchange: Exchange, problem: Problem) -> Response:
    exchange.refuse(problem)
    text = to_json(problem.to_record(exchange.request_id))
    return Response(text, problem.status, problem.headers, media_type=MEDIA_TYPE)


_RAW_HEADERS = [(name.lower().encode(), value.encode()) for name, value in _HEADERS.items()]
