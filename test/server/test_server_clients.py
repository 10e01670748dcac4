"""Stock clients, unchanged: the openai package and curl."""

from __future__ import annotations

import json
import shutil
import subprocess
from typing import Any

import pytest
from server_kit import KEY, PROMPT, Client, data_uri, image_message


@pytest.fixture
def openai_client(tiny: Client) -> Any:
    openai = pytest.importorskip("openai")
    with openai.OpenAI(base_url=f"{tiny.url}/v1", api_key=KEY, max_retries=0, timeout=60) as client:
        yield client


def test_openai_chat_with_a_picture(openai_client: Any) -> None:
    model = openai_client.models.list().data[0].id
    answer = openai_client.chat.completions.create(
        model=model, messages=[image_message()], max_tokens=4, temperature=0, logprobs=True, top_logprobs=2
    )
    assert answer.choices[0].message.role == "assistant" and answer.usage.completion_tokens == 4
    assert len(answer.choices[0].logprobs.content[0].top_logprobs) == 2


def test_openai_stream_joins_to_the_whole(openai_client: Any) -> None:
    asked = {"model": "any", "messages": [image_message()], "max_completion_tokens": 6, "temperature": 0}
    whole = openai_client.chat.completions.create(**asked).choices[0].message.content
    chunks = list(openai_client.chat.completions.create(**asked, stream=True, stream_options={"include_usage": True}))
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == whole
    assert chunks[-1].usage.completion_tokens == 6


def test_openai_structured_outputs(openai_client: Any) -> None:
    answer = openai_client.chat.completions.create(
        model="any", messages=[image_message()], extra_body={"structured_outputs": {"choice": ["Stop", "Clear"]}}
    )
    assert answer.choices[0].message.content in ("Stop", "Clear")
    schema = {"type": "object", "properties": {"duck": {"type": "boolean"}}, "required": ["duck"],
              "additionalProperties": False}  # fmt: skip
    answer = openai_client.chat.completions.create(
        model="any", messages=[image_message()],
        response_format={"type": "json_schema", "json_schema": {"name": "verdict", "schema": schema, "strict": True}},
    )  # fmt: skip
    assert isinstance(json.loads(answer.choices[0].message.content)["duck"], bool)


def test_openai_errors_have_their_kinds(openai_client: Any) -> None:
    import openai

    with pytest.raises(openai.BadRequestError):
        openai_client.chat.completions.create(model="any", messages=[image_message()], max_tokens=-7)
    with pytest.raises(openai.AuthenticationError):
        openai_client.with_options(api_key="wrong").chat.completions.create(model="any", messages=[])
    with pytest.raises(openai.NotFoundError):
        openai_client.get("/nope", cast_to=object)


@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl here")
def test_curl(tiny: Client) -> None:
    body = {"messages": [{"role": "user", "content": [
        {"type": "text", "text": PROMPT}, {"type": "image_url", "image_url": {"url": data_uri()}}]}],
        "max_tokens": 3, "stream": True}  # fmt: skip
    command = ["curl", "-sS", "-N", "--max-time", "60", "--noproxy", "*", f"{tiny.url}/v1/chat/completions", "-H",
               f"Authorization: Bearer {KEY}", "-H", "Content-Type: application/json", "-d", "@-"]  # fmt: skip
    done = subprocess.run(command, input=json.dumps(body), capture_output=True, text=True, timeout=90, check=True)
    assert done.stdout.startswith('data: {"choices":[{"finish_reason":null,"index":0,"delta":{"role":"assistant"')
    assert done.stdout.endswith("data: [DONE]\n\n")
