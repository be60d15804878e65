"""The endpoint's own description, OpenAPI 3.1; the record's part comes from ``record.py``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from flowers_onnx import __version__
from flowers_onnx.errors import IMAGE_ERROR_CODES
from flowers_onnx.metadata import LANGUAGES
from flowers_onnx.record import Field, Record, fields_of
from flowers_onnx.serve.options import Options
from flowers_onnx.serve.problems import MEDIA_TYPE

_TYPES: dict[str, list[str]] = {
    "string": ["string"],
    "integer": ["integer"],
    "float": ["number"],
    "boolean": ["boolean"],
    "timestamp": ["string"],
    "class_id": ["integer", "string"],
}

#: Codes of refusals beside those of images.
PROBLEM_CODES = {
    "unauthorized": (401, "no key, or one that isn't valid"),
    "forbidden": (403, "a key that is not for this"),
    "not_found": (404, "no such page"),
    "method_not_allowed": (405, "another method is meant; Allow names it"),
    "incomplete_body": (408, "the body came too slowly, or not to its end"),
    "incomplete_header": (408, "the header came too slowly"),
    "idempotency_key_in_use": (409, "a request of this Idempotency-Key is being answered"),
    "unsupported_media_type": (415, "neither a photo nor a form"),
    "idempotency_key_reused": (422, "this Idempotency-Key was used for another request"),
    "too_many_files": (400, "more files in a form than --max_files"),
    "too_many_requests": (429, "no slot and no place in the queue is free"),
    "rate_limited": (429, "this key has asked too often"),
    "header_too_large": (431, "too many or too large header fields"),
    "keys_unavailable": (503, "the keys can't be read just now"),
    "unavailable": (503, "photos and rows can't be kept just now"),
    "timeout": (503, "no answer within the time for one"),
    "stopping": (503, "the server stops before the answer was there"),
    "not_explainable": (501, "a model without a map that would tell why"),
    "too_many_connections": (503, "too many connections"),
    "not_ready": (503, "what /readyz says while something is wrong"),
}

_PROBLEMS = {
    "400": "A broken request: a bad parameter, an empty body, a broken form",
    "401": "No key, or one that isn't valid",
    "403": "A key that is not for this",
    "408": "The body came too slowly",
    "409": "A request of this Idempotency-Key is being answered",
    "413": "The body is too large",
    "415": "Not a photo, or one of a format that isn't read",
    "422": "A broken photo, one with too many pixels, or an Idempotency-Key of another request",
    "429": "Too busy: try again after Retry-After seconds",
    "500": "A fault of the server",
    "501": "The model can't be explained",
    "503": "Not just now (photos, rows or keys can't be kept or read), or it took too long",
}


def openapi(options: Options, auth: str) -> dict[str, Any]:
    """The document for a server with these options."""
    document: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {
            "title": "flowers-onnx",
            "version": __version__,
            "description": "Names the flower in a photo.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": {
            "/v1/classify": {"post": _classify(options)},
            "/v1/explain": {"post": _explain(options)},
            "/v1/labels": _get("The classes that the model knows", "Labels", [_LANG], safe=False),
            "/v1/model": _get("The model and its metadata", "Model", safe=False),
            "/livez": _get("Whether the process is alive", "Status"),
            "/readyz": _get("Whether it can do its work", "Status", more=("503",)),
            "/metrics": _text("Figures for Prometheus", "text/plain", "401", "403", "429", "503"),
            "/": _text("The page for people", "text/html"),
        },
        "components": {"schemas": _schemas(options)},
    }
    if auth != "none":
        document["components"]["securitySchemes"] = {
            "bearer": {"type": "http", "scheme": "bearer"},
            "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
        }
        schemes: list[dict[str, list[str]]] = (
            [{"bearer": []}, {"header": []}] if auth == "keys" else [{"bearer": []}]
        )
        for path in ("/v1/classify", "/v1/explain", "/v1/labels", "/v1/model", "/metrics"):
            for operation in document["paths"][path].values():
                operation["security"] = schemes
    return document


_LANG = {
    "name": "lang",
    "in": "query",
    "description": "language of the names",
    "schema": {"type": "string", "enum": list(LANGUAGES)},
}
_TOP_K = {
    "name": "top_k",
    "in": "query",
    "description": "candidates a photo",
    "schema": {"type": "integer", "minimum": 1, "maximum": 9999},
}
_MIN_CONFIDENCE = {
    "name": "min_confidence",
    "in": "query",
    "description": "confidence from which an answer is known, in place of the model's own rule",
    "schema": {"type": "number", "minimum": 0, "maximum": 1},
}
_LABEL = {
    "name": "label",
    "in": "query",
    "description": "the class to explain, by its id or its name in any language; the best one",
    "schema": {"type": "string", "maxLength": 100},
}
_IDEMPOTENCY_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "a repeated request with the same key gets the same answer",
    "schema": {"type": "string", "pattern": "^[!#-~]{1,255}$"},
}


def _classify(options: Options) -> dict[str, Any]:
    files = {"type": "array", "items": {"type": "string", "format": "binary"}, "minItems": 1}
    return {
        "operationId": "classify",
        "summary": "Name the flower in a photo, or in each of several",
        "parameters": [_TOP_K, _LANG, _MIN_CONFIDENCE, _IDEMPOTENCY_KEY],
        "requestBody": {
            "required": True,
            "content": {
                **_photo(options),
                "multipart/form-data": {
                    "schema": {
                        "type": "object",
                        "required": ["file"],
                        "properties": {"file": {**files, "maxItems": options.max_files}},
                    }
                },
            },
        },
        "responses": {
            "200": {
                "description": "The record of the photo; for a form, those of its files",
                "headers": {"Request-Id": {"schema": {"type": "string"}}},
                "content": _content("application/json", "Answer"),
            },
            **_refusals(*(status for status in _PROBLEMS if status != "501")),
        },
    }


def _explain(options: Options) -> dict[str, Any]:
    return {
        "operationId": "explain",
        "summary": "Name the flower in a photo, and tell which parts of it speak for that",
        "parameters": [_LABEL, _TOP_K, _LANG, _MIN_CONFIDENCE],
        "requestBody": {"required": True, "content": _photo(options)},
        "responses": {
            "200": {
                "description": "The record of the photo, and the heat map of one class",
                "headers": {"Request-Id": {"schema": {"type": "string"}}},
                "content": _content("application/json", "Explained"),
            },
            **_refusals(*(status for status in _PROBLEMS if status != "409")),
        },
    }


def _photo(options: Options) -> dict[str, Any]:
    """A photo as the body."""
    photo = {"type": "string", "contentMediaType": "image/*", "maxLength": options.max_body}
    return {"image/*": {"schema": photo}, "application/octet-stream": {"schema": photo}}


def _get(
    summary: str,
    schema: str,
    parameters: Iterable[dict[str, Any]] = (),
    *,
    safe: bool = True,
    more: Iterable[str] = (),
) -> dict[str, Any]:
    statuses = (*more, *(() if safe else ("400", "401", "403", "429", "503")))
    return {
        "get": {
            "summary": summary,
            "parameters": list(parameters),
            "responses": {
                "200": {"description": "OK", "content": _content("application/json", schema)},
                **_refusals(*statuses),
            },
        }
    }


def _text(summary: str, media_type: str, *refusals: str) -> dict[str, Any]:
    answer = {"description": "OK", "content": {media_type: {"schema": {"type": "string"}}}}
    return {
        "get": {
            "summary": summary,
            "responses": {"200": answer, **_refusals(*refusals)},
        }
    }


def _refusals(*statuses: str) -> dict[str, Any]:
    return {
        status: {"description": _PROBLEMS[status], "content": _content(MEDIA_TYPE, "Problem")}
        for status in statuses
    }


def _content(media_type: str, schema: str) -> dict[str, Any]:
    return {media_type: {"schema": {"$ref": f"#/components/schemas/{schema}"}}}


def _schemas(options: Options) -> dict[str, Any]:
    text = {"type": "string"}
    record = _object(fields_of(Record))
    with_id = {**record, "required": ["request_id", *record["required"]]}
    with_id["properties"] = {"request_id": text, **record["properties"]}
    codes = sorted({*IMAGE_ERROR_CODES, *PROBLEM_CODES})
    explained = {**with_id, "required": [*with_id["required"], "explanation"]}
    explained["properties"] = {**with_id["properties"], "explanation": _explanation()}
    reference = {"$ref": "#/components/schemas/Record"}
    several = {"type": "array", "items": reference, "maxItems": options.max_files}
    return {
        "Record": record,
        "Answer": {
            "anyOf": [
                with_id,
                _plain_object({"request_id": text, "results": several}),
            ]
        },
        "Explained": explained,
        "Problem": _plain_object(
            {
                "type": text,
                "title": text,
                "status": {"type": "integer"},
                "code": {"type": "string", "enum": codes},
                "detail": text,
                "request_id": {"type": ["string", "null"]},
            }
        ),
        "Labels": _plain_object({"labels": {"type": "array", "items": {"type": "object"}}}),
        "Model": {"type": "object"},
        "Status": _plain_object({"status": text}),
    }


def _explanation() -> dict[str, Any]:
    number = {"type": "number"}
    row = {"type": "array", "items": number}
    cells = "what each part of the area says for the class, in rows; below 0 it speaks against it"
    area = "left, top, right, bottom: what the network saw, in pixels of the photo as displayed"
    return _plain_object(
        {
            "label": {"type": "string"},
            "class_id": {"type": ["integer", "string"]},
            "confidence": number,
            "cells": {"type": "array", "items": row, "description": cells},
            "bias": {**number, "description": "with the mean of the cells, the logit"},
            "area": {**row, "minItems": 4, "maxItems": 4, "description": area},
        }
    )


def _plain_object(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "required": list(properties), "properties": properties}


def _object(fields: Iterable[Field]) -> dict[str, Any]:
    return _plain_object({field.name: _property(field) for field in fields})


def _property(field: Field) -> dict[str, Any]:
    if field.fields:
        inner = _object(field.fields)
        if field.repeated:
            return {"type": "array", "items": inner, "description": field.description}
        choice = [inner, {"type": "null"}] if field.nullable else [inner]
        return {"anyOf": choice, "description": field.description}
    types = [*_TYPES[field.type], *(["null"] if field.nullable else [])]
    return {"type": types, "description": field.description}
