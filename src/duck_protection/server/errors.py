"""What the server says when it cannot do what was asked: llama.cpp's error bodies.

Promise: every refusal is an ApiError, made here, so that status, type and body always belong together. Messages name
the field and the limit and repeat nothing of pictures or keys.
"""

from __future__ import annotations

from typing import Any, Dict, Mapping

RETRY_AFTER_S = 1  # a robot's next frame comes sooner, but a queue is not emptied faster
CLOSE = {"Connection": "close"}


class ApiError(Exception):
    """A refusal with its HTTP status, llama.cpp's type word, and what else stands in its body and headers."""

    def __init__(self, status: int, kind: str, message: str, **extra: Any) -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind
        self.message = message
        self.extra = extra

    @property
    def body(self) -> Dict[str, Any]:
        """The JSON body."""
        return {"error": {"code": self.status, "message": self.message, "type": self.kind, **self.extra}}

    @property
    def headers(self) -> Mapping[str, str]:
        """Retry-After where trying again helps; Connection: close where a body may still come, or never."""
        return {503: {"Retry-After": str(RETRY_AFTER_S)}, 408: CLOSE, 413: CLOSE}.get(self.status, {})


def bad_request(message: str) -> ApiError:
    """400: the request cannot be kept as it stands."""
    return ApiError(400, "invalid_request_error", message)


def no_key() -> ApiError:
    """401: llama.cpp's words."""
    return ApiError(401, "authentication_error", "Invalid API Key")


def forbidden(message: str) -> ApiError:
    """403: this address or web page may not ask."""
    return ApiError(403, "permission_error", message)


def not_found() -> ApiError:
    """404: llama.cpp's words, for a wrong path and for a wrong method."""
    return ApiError(404, "not_found_error", "File Not Found")


def too_slow(seconds: float) -> ApiError:
    """408: the request's body did not arrive in time."""
    return ApiError(408, "invalid_request_error", f"the request's body took longer than {seconds:g} s")


def too_large(limit_bytes: int) -> ApiError:
    """413: the request's body breaks the limit."""
    return ApiError(413, "invalid_request_error", f"the request is larger than {limit_bytes} bytes")


def broken(message: str) -> ApiError:
    """500: our own fault."""
    return ApiError(500, "server_error", message)


def not_supported(message: str) -> ApiError:
    """501: llama.cpp can, this server cannot."""
    return ApiError(501, "not_supported_error", message)


def unavailable(message: str) -> ApiError:
    """503: loading, full, stopping, out of memory or too late. Try again."""
    return ApiError(503, "unavailable_error", message)


def context_full(prompt_tokens: int, context_tokens: int) -> ApiError:
    """400: the prompt is longer than the context; llama.cpp's words."""
    message = (
        f"request ({prompt_tokens} tokens) exceeds the available context size ({context_tokens} tokens), "
        "try increasing it"
    )
    extra = {"n_prompt_tokens": prompt_tokens, "n_ctx": context_tokens}
    return ApiError(400, "exceed_context_size_error", message, **extra)
