"""``POST /v1/classify``: from a body to an answer whose photo and row are kept."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

from starlette.requests import Request
from starlette.responses import Response

from flowers_onnx.errors import StorageError
from flowers_onnx.record import to_json
from flowers_onnx.results import Failure, Query
from flowers_onnx.serve.asking import (
    exchange_of,
    image_problem,
    json_response,
    parameters_of,
    query_of,
    welcome,
    with_body,
)
from flowers_onnx.serve.bodies import Upload, boundary_of, files_of
from flowers_onnx.serve.exchange import Classified, Exchange
from flowers_onnx.serve.idempotency import Answer
from flowers_onnx.serve.keep import KeptPhoto
from flowers_onnx.serve.keep.lines import unavailable_row
from flowers_onnx.serve.keep.metadata import CannotCleanError, clean, kind_of
from flowers_onnx.serve.keys.key import hidden
from flowers_onnx.serve.problems import RETRY_SOON, Problem
from flowers_onnx.serve.service import Service

_KEY = re.compile(r'"?([!#-~]{1,255}?)"?')


class Classify:
    """The route, for one service."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._keep = (service.options.keep or "").rstrip("/")

    async def answer(self, request: Request) -> Response:
        service, exchange = self._service, exchange_of(request)
        await welcome(service, exchange)
        query = query_of(parameters_of(request), service.options.query)
        boundary = boundary_of(exchange.headers.get("content-type"))
        exchange.idempotency_key = key_of(exchange.headers)
        if why := service.ledger.problem():
            raise _unavailable(why)

        async def answer(body: bytes) -> Response:
            try:
                return await self._answer(exchange, body, boundary, query)
            except StorageError as error:
                raise _unavailable(str(error)) from error

        advice = "try again" if boundary is None else "send fewer files, or try again"
        return await with_body(service, request, advice, answer)

    async def _answer(
        self, exchange: Exchange, body: bytes, boundary: bytes | None, query: Query
    ) -> Response:
        """A new answer, or the one that was given to the same request before."""
        uploads = [Upload(body)] if boundary is None else await self._files(body, boundary)
        is_form = boundary is not None
        if exchange.idempotency_key is None:
            return json_response(await self._new_answer(exchange, uploads, query, is_form=is_form))
        answers = self._service.answers
        key = f"{exchange.caller}\n{exchange.idempotency_key}"
        with self._service.admission.place():  # to hash 32 MB would hold the loop up
            work = partial(_fingerprint, uploads, query, is_form=is_form)
            fingerprint, _ = await self._service.admission.run(work, len(body))
        earlier = await answers.claim(key, fingerprint)
        if earlier is not None:
            exchange.replay_of, exchange.status = earlier.request_id, earlier.status
            await self._record(exchange, [], query)
            return json_response(earlier.body, {"Idempotent-Replayed": "true"})
        try:
            text = await self._new_answer(exchange, uploads, query, is_form=is_form)
            await answers.finish(key, Answer(fingerprint, exchange.request_id, 200, text))
        except BaseException:
            with contextlib.suppress(StorageError):
                await answers.release(key)
            raise
        return json_response(text)

    async def _files(self, body: bytes, boundary: bytes) -> list[Upload]:
        admission, most = self._service.admission, self._service.options.max_files
        with admission.place():
            files, _ = await admission.run(partial(files_of, body, boundary, most), len(body))
        return files

    async def _new_answer(
        self, exchange: Exchange, uploads: Sequence[Upload], query: Query, *, is_form: bool
    ) -> str:
        """Classify, keep, and give the text of the answer; raises ``Problem``."""
        with self._service.admission.place():
            photos = [await self._classified(upload, query) for upload in uploads]
        exchange.queued, result = photos[0].queued, photos[0].result
        exchange.status = 200
        if not is_form and isinstance(result, Failure):
            problem = image_problem(result.code, result.message)
            exchange.refuse(problem)
            if self._service.traces:
                exchange.refused_photo = exchange.photo_row(photos[0], 0, query, self._keep)
            raise problem
        await self._record(exchange, photos, query)
        if not is_form:
            return to_json({"request_id": exchange.request_id, **result.to_record()})
        records = [photo.result.to_record() for photo in photos]
        return to_json({"request_id": exchange.request_id, "results": records})

    async def _classified(self, upload: Upload, query: Query) -> Classified:
        work, size = partial(self._work, upload, query), len(upload.data)
        photo, waited = await self._service.admission.run(work, size)
        photo = replace(photo, queued=waited)
        self._service.metrics.photo(photo)
        return photo

    def _work(self, upload: Upload, query: Query) -> Classified:
        """All that takes time, in a slot's thread."""
        data = upload.data
        result = self._service.classifier.result(data, query)
        if upload.name is not None:
            result = replace(result, path=upload.name)
        if not self._service.traces and not self._keep:
            return Classified(result, len(data), None)
        kind = kind_of(data)
        media_type = kind and kind.media_type
        if not self._keep or kind is None or not result.ok:
            return Classified(result, len(data), media_type)
        kept = data
        if not self._service.options.keep_exif:
            try:
                kept = clean(data).data
            except CannotCleanError:  # what can't be told from the picture isn't kept
                return Classified(result, len(data), media_type)
        digest = result.sha256 if kept is data else hashlib.sha256(kept).hexdigest()
        photo = KeptPhoto(f"{result.sha256}{kind.suffix}", kept)
        return Classified(result, len(data), media_type, photo, digest)

    async def _record(self, exchange: Exchange, photos: Sequence[Classified], query: Query) -> None:
        service = self._service
        rows = []
        if service.traces:
            rows = [
                exchange.photo_row(photo, part, query, self._keep)
                for part, photo in enumerate(photos)
            ] or [exchange.row()]
        kept = [photo.kept for photo in photos if photo.kept]
        exchange.kept = True
        try:
            if rows or kept:
                await service.ledger.record(rows, kept)
        except (StorageError, asyncio.CancelledError):
            rows = [unavailable_row(row) for row in rows]
            raise
        finally:
            if service.fresh:
                service.fresh.note(rows)


def key_of(headers: Mapping[str, str]) -> str | None:
    """The Idempotency-Key, with or without its quotes; raises ``Problem``, 400."""
    text = headers.get("idempotency-key")
    if text is None:
        return None
    match = _KEY.fullmatch(text)
    if match is None:
        raise Problem(400, "bad_request", "Idempotency-Key needs 1 to 255 characters of ASCII")
    if hidden(text) != text:  # it would stay in the trace
        raise Problem(400, "bad_request", "Idempotency-Key is a name for this request, not a key")
    return match[1]


def _fingerprint(uploads: Sequence[Upload], query: Query, *, is_form: bool) -> str:
    """Of all that decides on the answer; a form has another boundary at each try."""
    asked = f"Query(top_k={query.top_k}, lang={query.lang!r})"
    if query.min_confidence is not None:  # without it, as before there was one: answers are kept
        asked += f" {query.min_confidence}"
    digest = hashlib.sha256(f"{asked} {is_form}".encode())
    for upload in uploads:
        digest.update(f"\n{upload.name!r} {len(upload.data)}\n".encode())
        digest.update(upload.data)
    return digest.hexdigest()


def _unavailable(why: str) -> Problem:
    return Problem(503, "unavailable", f"it can't be kept just now: {why}", RETRY_SOON)
