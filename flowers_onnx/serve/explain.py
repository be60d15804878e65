"""``POST /v1/explain``: why a photo has its name, as a heat map. Nothing of it is kept."""

from __future__ import annotations

import logging
import threading
from functools import partial
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from flowers_onnx.errors import ImageError, ModelError, UsageError
from flowers_onnx.record import to_json
from flowers_onnx.results import Query
from flowers_onnx.serve.asking import (
    exchange_of,
    image_problem,
    json_response,
    parameters_of,
    query_of,
    welcome,
    with_body,
)
from flowers_onnx.serve.bodies import boundary_of
from flowers_onnx.serve.problems import Problem
from flowers_onnx.serve.service import Service

#: Letters of a label: the nearest names are looked for, which takes the longer the longer it is.
_MOST_LETTERS = 100


class Explain:
    """The route, for one service. The first request loads the network once more."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._loading = threading.Lock()

    async def answer(self, request: Request) -> Response:
        service, exchange = self._service, exchange_of(request)
        await welcome(service, exchange)
        values = parameters_of(request)
        label = values.pop("label", None)
        query = query_of(values, service.options.query)
        if label is not None and len(label) > _MOST_LETTERS:
            raise Problem(400, "bad_request", f"a label has at most {_MOST_LETTERS} letters")
        if boundary_of(exchange.headers.get("content-type")) is not None:
            detail = "send one photo as the body (image/jpeg, say); forms are for /v1/classify"
            raise Problem(415, "unsupported_media_type", detail)
        if not service.explainable:
            detail = f"{service.classifier.info.id} has no map that would tell why"
            raise Problem(501, "not_explainable", detail)

        async def answer(body: bytes) -> Response:
            with service.admission.place():
                work = partial(self._work, body, label, query)
                record, exchange.queued = await service.admission.run(work, len(body))
            return json_response(to_json({"request_id": exchange.request_id, **record}))

        return await with_body(service, request, "try again", answer)

    def _work(self, photo: bytes, label: str | None, query: Query) -> dict[str, Any]:
        """All that takes time, in a slot's thread."""
        classifier = self._service.classifier
        try:
            self._load()
            explanation = classifier.explain(
                photo,
                label,
                top_k=query.top_k,
                lang=query.lang,
                min_confidence=query.min_confidence,
            )
        except ImageError as error:
            raise image_problem(error.code, str(error)) from error
        except UsageError as error:
            raise Problem(400, "bad_request", str(error)) from error
        except ModelError as error:
            logging.getLogger(__name__).error("%s", error)  # noqa: TRY400  it says enough
            detail = (
                f"the file of {classifier.info.id} is gone, or another than the one that was "
                "loaded: put it back, or restart the server; its log tells more"
            )
            raise Problem(501, "not_explainable", detail) from error
        return explanation.to_record()

    def _load(self) -> None:
        """Load the network that explains, once for all that come at first.

        Raises ``ModelError`` where the model's file is gone or another one; the next photo may do.
        """
        with self._loading:
            self._service.classifier.explanations(())  # of no photos: it begins with the network
