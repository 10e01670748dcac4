"""The FastAPI application: llama.cpp's paths over one model.

Runs under uvicorn (serving.py) or any other ASGI server. Promise: no route touches the model on the event loop, so
/health answers while the model works; every error has llama.cpp's body.
"""

from __future__ import annotations

from typing import Any, Dict, Type

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from duck_protection.server import about, chat, deciding, metrics
from duck_protection.server.body import read_body
from duck_protection.server.errors import ApiError, broken, not_found, not_supported
from duck_protection.server.guard import Guard, client_of
from duck_protection.server.service import Service
from duck_protection.server.wire import ChatRequest, DecisionRequest

ELSEWHERE = (  # llama.cpp has these; a duck guard does not
    "/completion", "/completions", "/v1/completions", "/v1/responses", "/v1/messages", "/embedding", "/embeddings",
    "/v1/embeddings", "/rerank", "/v1/rerank", "/infill", "/tokenize", "/detokenize", "/apply-template",
    "/lora-adapters", "/props", "/v1/chat/completions/input_tokens",  # changing /props, that is
)  # fmt: skip
REFUSALS = {400: "cannot be kept", 401: "no or wrong key", 403: "not allowed", 408: "too slow", 413: "too large",
            500: "our fault", 503: "loading, full, late or stopping"}  # fmt: skip
ERROR_SCHEMA = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["code", "message", "type"],
            "properties": {
                "code": {"type": "integer"}, "message": {"type": "string"}, "type": {"type": "string"},
                "n_prompt_tokens": {"type": "integer"}, "n_ctx": {"type": "integer"},
            },
        }
    },
}  # fmt: skip
RESPONSES: Dict[Any, Dict[str, Any]] = {
    status: {"description": text, "content": {"application/json": {"schema": ERROR_SCHEMA}}}
    for status, text in REFUSALS.items()
}


class Json(JSONResponse):
    """With the charset that llama.cpp says."""

    media_type = "application/json; charset=utf-8"


def make_app(service: Service) -> Guard:
    """The application behind its door."""
    app = FastAPI(title="duck_protection", docs_url=None, redoc_url=None, default_response_class=Json)
    app.add_exception_handler(ApiError, _refuse)
    app.add_exception_handler(HTTPException, _refuse_path)
    _add_reading(app, service)
    _add_asking(app, service)
    for path in ELSEWHERE:
        app.add_api_route(path, _elsewhere, methods=["GET", "POST"], include_in_schema=False)
    return Guard(app, service.settings)


def _add_reading(app: FastAPI, service: Service) -> None:
    settings = service.settings

    @app.get("/health", responses=RESPONSES)
    @app.get("/v1/health", include_in_schema=False)
    async def health() -> Response:
        service.check_health()
        return Json({"status": "ok"})

    for path in ("/health", "/v1/health"):
        app.add_api_route(path, health, methods=["HEAD"], include_in_schema=False)

    @app.get("/v1/models", responses=RESPONSES)
    @app.get("/models", include_in_schema=False)
    async def models() -> Response:
        return Json(about.models(service))

    @app.get("/props", responses=RESPONSES)
    async def props() -> Response:
        return Json(about.props(service))

    @app.get("/slots", responses=RESPONSES)
    async def slots() -> Response:
        return Json(about.slots(service))

    @app.get("/metrics", responses={**RESPONSES, 200: {"content": {"text/plain": {}}}, 501: RESPONSES[500]})
    async def measured() -> Response:
        if not settings.metrics:
            raise not_supported("This server does not support metrics endpoint.")
        return Response(metrics.exposition(service.scheduler), media_type=metrics.CONTENT_TYPE)


def _add_asking(app: FastAPI, service: Service) -> None:
    settings = service.settings
    streams = {200: {"description": "the answer", "content": {"text/event-stream": {}, "application/json": {}}}}

    @app.post("/v1/chat/completions", responses={**RESPONSES, **streams}, openapi_extra=_body(ChatRequest))
    @app.post("/chat/completions", include_in_schema=False)
    async def completions(request: Request) -> Response:
        service.check_health()
        body = await read_body(request, settings.body_bytes, settings.body_s)
        return await chat.answer(service, request, body)

    @app.post("/v1/systemone", responses=RESPONSES, openapi_extra=_body(DecisionRequest))
    async def systemone(request: Request) -> Response:
        service.check_health()
        body = await read_body(request, settings.body_bytes, settings.body_s)
        return Json(await deciding.decide(service, body, client_of(request.scope)))


def _body(kind: Type[BaseModel]) -> Dict[str, Any]:
    schema = kind.model_json_schema(ref_template="#/$defs/{model}")
    definitions = schema.pop("$defs", {})
    content = {"application/json": {"schema": _inlined(schema, definitions)}}
    return {"requestBody": {"required": True, "content": content}}


def _inlined(schema: Any, definitions: Dict[str, Any]) -> Any:
    if isinstance(schema, list):
        return [_inlined(item, definitions) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return _inlined(definitions[schema["$ref"].rsplit("/", 1)[1]], definitions)
    return {key: _inlined(value, definitions) for key, value in schema.items()}


async def _elsewhere() -> Response:
    raise not_supported("This endpoint is not supported by this server; see /v1/chat/completions and /v1/systemone")


async def _refuse(_: Request, err: Exception) -> Response:
    assert isinstance(err, ApiError)
    return Json(err.body, err.status, headers=dict(err.headers))


async def _refuse_path(request: Request, err: Exception) -> Response:
    assert isinstance(err, HTTPException)
    return await _refuse(request, not_found() if err.status_code in (404, 405) else broken("internal error"))
