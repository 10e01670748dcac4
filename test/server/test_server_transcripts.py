"""The requests that were recorded with a real llama-server, sent to ours: same status, same keys, same error type.

Each difference is listed here with its reason, and in docs/server.md; one that is not listed fails.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Dict, Iterator, List

import pytest
from server_kit import KEY, Client, data_uri, ready, serving

ROOT = Path(__file__).parents[2]
FILE = next((path for path in (ROOT / "shared", ROOT.parent / "shared") if path.is_dir()), ROOT) / "data"
FILE = FILE / "llama_server_transcripts.jsonl"
DIFFERENT: Dict[str, Any] = {  # name: our status, and why
    "err_bad_json": (400, "a client's mistake is 400; llama.cpp's builds differ"),
    "err_empty_body": (400, "as err_bad_json"),
    "err_image_url_missing": (400, "a client's mistake is 400"),
    "err_image_url_empty": (400, "a client's mistake is 400"),
    "err_unknown_content_type": (400, "a client's mistake is 400; llama.cpp's builds differ"),
    "err_truncated_jpeg": (400, "half a picture must never be judged"),
    "err_http_unreachable": (400, "http images are refused unless --fetch"),
    "models_no_key": (200, "newer llama.cpp builds list models without a key"),
    "options_cors": (200, "no CORS headers for pages that were not listed"),
}
OWN_KEYS = {"timings": {"wait_ms"}}  # what we say beyond llama.cpp


def exchanges() -> List[Dict[str, Any]]:
    if not FILE.exists():
        return []
    return [json.loads(line) for line in FILE.read_text().splitlines()]


@pytest.fixture(scope="module")
def keyed(tiny_model: Any) -> Iterator[Client]:
    with serving(tiny_model, slots=4, keys=(KEY,)) as client:
        yield ready(client)


def send(client: Client, request: Dict[str, Any]) -> Any:
    body = request["body"]
    if isinstance(body, dict):
        body = json.dumps(body)
        body = re.sub(r'"(data:image/jpeg;base64,)?/9j/[^"<]*<(\d+) chars>"', _picture, body)
        body = re.sub(r'(red cup on the table )[^"]*<63000 chars>"', "red cup on the table " * 3000 + '"', body)
    headers = {name: value.replace("secret", KEY) for name, value in request["headers"].items()}
    client = Client(client.url, key="")
    return client.call(request["method"], request["path"], body.encode() if body else None, **headers)


def _picture(found: Any) -> str:
    """Recorded pictures stand shortened; ours stands for them, half of it where theirs was half on purpose."""
    uri = data_uri() if int(found[2]) > 10_000 else data_uri()[:800]
    return json.dumps(uri if found[1] else uri.split(",")[1])


def shape(value: Any) -> Any:
    """Keys and kinds, without numbers and words."""
    if isinstance(value, dict):
        return {key: shape(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [shape(value[0])] if value else []
    return "number" if isinstance(value, (int, float)) and not isinstance(value, bool) else type(value).__name__


def missing(theirs: Any, ours: Any, path: str = "") -> List[str]:
    """What theirs has and ours lacks, or has of another kind."""
    if isinstance(theirs, dict) and isinstance(ours, dict):
        gaps = [f"{path}.{key}" for key in theirs if key not in ours]
        return gaps + [gap for key in theirs if key in ours for gap in missing(theirs[key], ours[key], f"{path}.{key}")]
    if isinstance(theirs, list) and isinstance(ours, list):
        return missing(theirs[0], ours[0], f"{path}[]") if theirs and ours else []
    return [] if theirs == ours else [f"{path}: {theirs} is {ours}"]


@pytest.mark.skipif(not FILE.exists(), reason="no recorded transcripts here (shared/data)")
@pytest.mark.parametrize("exchange", exchanges(), ids=lambda exchange: exchange["name"])
def test_a_recorded_request_is_answered_as_llama_server_did(keyed: Client, exchange: Dict[str, Any]) -> None:
    theirs = exchange["response"]
    answer = send(keyed, exchange["request"])
    expected, _ = DIFFERENT.get(exchange["name"], (theirs["status"], ""))
    assert answer.status == expected, answer.raw
    if exchange["name"] in DIFFERENT and expected != theirs["status"]:
        if expected >= 400:
            assert set(answer.json["error"]) == {"code", "message", "type"} and answer.json["error"]["code"] == expected
        return
    if "sse_lines" in theirs:
        lines = [line[6:] for line in theirs["sse_lines"] if line.startswith("data: ")]
        recorded = [json.loads(line) for line in lines[:-1]]
        assert lines[-1] == answer.events[-1] == "[DONE]"
        for mine, other in ((answer.events[0], recorded[0]), (answer.events[-2], recorded[-1])):
            assert missing(shape(other), shape(mine)) == []
        return
    if not answer.headers["content-type"].startswith("application/json"):
        return
    gaps = missing(shape(theirs["body"]), shape(answer.json))
    assert [gap for gap in gaps if not known_gap(exchange["name"], gap)] == []
    if answer.status >= 400:
        assert answer.json["error"]["type"] == theirs["body"]["error"]["type"]


# What clients read from /props; the rest of llama.cpp's (its samplers, its user interface, its files) is not ours.
PROPS = ("default_generation_settings.n_ctx", "params.temperature", "params.top_k", "params.seed", "total_slots",
         "model_alias", "model_path", "modalities", "media_marker", "chat_template", "build_info")  # fmt: skip


def known_gap(name: str, gap: str) -> bool:
    """Absent from ours on purpose."""
    if name == "props":
        return not gap.endswith(PROPS)
    return name == "models" and gap == ".data[].meta.ftype"
