"""What the routes that take photos share: who may ask, for what, with which body."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping

from starlette.requests import Request
from starlette.responses import Response

from flowers_onnx.errors import UsageError
from flowers_onnx.results import Query
from flowers_onnx.serve.bodies import Body
from flowers_onnx.serve.exchange import Exchange
from flowers_onnx.serve.problems import RETRY_SOON, STATUS_OF_IMAGE_ERROR, Problem
from flowers_onnx.serve.service import Service

#: From the last byte of the body to the answer; the system that stops us gives 10 s in all.
ANSWER_SECONDS = 8


def exchange_of(request: Request) -> Exchange:
    """The exchange that a request is part of."""
    exchange: Exchange = request.scope["flowers.exchange"]
    return exchange


async def welcome(service: Service, exchange: Exchange) -> None:
    """Let in who may have photos named; raises ``Problem`` for others."""
    _refuse_other_pages(exchange.headers, service.options.cors)
    caller = await service.authenticator.caller(exchange.headers)
    exchange.caller = caller.id
    caller.require("classify")
    exchange.is_welcome = True


def _refuse_other_pages(headers: Mapping[str, str], allowed: tuple[str, ...]) -> None:
    """Any page may send a form to any server: not to this one, unless --cors names it."""
    if headers.get("sec-fetch-site") == "cross-site" and not (
        {"*", headers.get("origin")} & set(allowed)
    ):
        raise Problem(403, "forbidden", "a page of another site asks; --cors would let it in")


async def with_body(
    service: Service, request: Request, advice: str, answer: Callable[[bytes], Awaitable[Response]]
) -> Response:
    """What ``answer`` makes of the body, in time; ``advice`` is for whose answer takes too long.

    Raises ``Problem``.
    """
    with Body(request.receive, service.admission, service.options.max_body) as reader:
        body = await reader.read(exchange_of(request).headers.get("content-length"))
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                return await answer(body)
        except TimeoutError:
            detail = f"it took more than {ANSWER_SECONDS} s; {advice}"
            raise Problem(503, "timeout", detail, RETRY_SOON) from None


def parameters_of(request: Request) -> dict[str, str]:
    """What the URL says behind its question mark; raises ``Problem``, 400."""
    if not request.scope["query_string"]:
        return {}
    pairs = request.query_params.multi_items()
    values = dict(pairs)
    if len(values) != len(pairs):
        raise Problem(400, "bad_request", "a parameter is given twice")
    return values


def query_of(values: Mapping[str, str], default: Query) -> Query:
    """What these parameters ask for; raises ``Problem``, 400."""
    if not values:
        return default
    rest = dict(values)
    lang = rest.pop("lang", default.lang)
    top_k, least = rest.pop("top_k", None), rest.pop("min_confidence", None)
    if rest:
        raise Problem(400, "bad_request", f"no such parameter: {next(iter(rest))[:80]!r}")
    if top_k is not None and not re.fullmatch(r"[0-9]{1,4}", top_k, re.ASCII):
        raise Problem(400, "bad_request", "top_k must be a whole number from 1 to 9999")
    try:
        return Query(
            default.top_k if top_k is None else int(top_k),
            lang,
            default.min_confidence if least is None else _share(least),
        )
    except UsageError as error:
        raise Problem(400, "bad_request", str(error)[:200]) from error


def _share(text: str) -> float:
    """A number, in the form of JSON's."""
    if not re.fullmatch(r"-?[0-9]{1,30}(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,3})?", text, re.ASCII):
        raise Problem(400, "bad_request", "min_confidence must be a number from 0 to 1")
    return float(text)


def image_problem(code: str, message: str) -> Problem:
    """The refusal of a photo that has no answer."""
    return Problem(STATUS_OF_IMAGE_ERROR.get(code, 422), code, message)


def json_response(text: str, headers: dict[str, str] | None = None) -> Response:
    """An answer in JSON."""
    return Response(text, media_type="application/json", headers=headers)
