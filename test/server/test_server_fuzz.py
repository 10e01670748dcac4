"""schemathesis against the server's own OpenAPI: whatever the schema allows or nearly allows, no 5xx and no hang."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from server_kit import KEY, Client

schemathesis = pytest.importorskip("schemathesis")
POSTS = ("/v1/chat/completions", "/v1/systemone")
TRIES = 60  # per operation; about 20 s in all on two cores


@pytest.mark.filterwarnings("ignore")
@pytest.mark.timeout(300)
@pytest.mark.parametrize("mode, path", [
    *(("positive", path) for path in ("/health", "/v1/models", "/props", "/slots", "/metrics")),
    *((mode, path) for mode in ("positive", "negative") for path in POSTS),
])  # fmt: skip
def test_whatever_comes_there_is_no_5xx(tiny: Client, mode: str, path: str) -> None:
    schema = schemathesis.openapi.from_dict(tiny.get("/openapi.json").json)
    schema.config.update(base_url=tiny.url)
    operation = schema[path]["POST" if path in POSTS else "GET"]
    strategy = operation.as_strategy(generation_mode=schemathesis.GenerationMode(mode))
    checks = [schemathesis.checks.not_a_server_error]

    @settings(max_examples=TRIES, deadline=None, database=None, derandomize=True, phases=[Phase.generate],
              suppress_health_check=list(HealthCheck))  # fmt: skip
    @given(strategy)
    def attempt(case: Any) -> None:
        if isinstance(case.body, dict):
            case.body = {**case.body, "max_tokens": 4}  # otherwise each answer fills the context
        response = case.call(headers={"Authorization": f"Bearer {KEY}"}, timeout=30)
        case.validate_response(response, checks=checks)
        assert response.status_code < 500, response.text

    attempt()
