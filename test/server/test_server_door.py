"""Who may ask: keys, addresses without keys, web pages, sizes."""

from __future__ import annotations

import http.client
import json
import socket
from typing import Any

import pytest
from server_kit import KEY, Client

CHAT = {"messages": [{"role": "user", "content": "x"}], "max_tokens": 2}


def test_a_key_opens_by_either_header(scripted: Any) -> None:
    with scripted([{"text": "quack"}]) as (client, _, _):
        stranger = Client(client.url, key="")
        for headers in ({"Authorization": f"Bearer {KEY}"}, {"authorization": f"bearer {KEY}"}, {"X-Api-Key": KEY}):
            assert stranger.call("POST", "/v1/chat/completions", CHAT, **headers).status == 200
        for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": f"Basic {KEY}"}, {"X-Api-Key": ""},
                        {"Authorization": f"Bearer {KEY}x"}, {"X-Forwarded-For": "127.0.0.1"}):  # fmt: skip
            answer = stranger.call("POST", "/v1/chat/completions", CHAT, **headers)
            assert answer.status == 401
            assert answer.json == {"error": {"message": "Invalid API Key", "type": "authentication_error", "code": 401}}
        for path in ("/health", "/v1/health", "/v1/models", "/models"):
            assert stranger.get(path).status == 200
        for path in ("/props", "/slots", "/metrics", "/openapi.json", "/nope"):
            assert stranger.get(path).status == 401


def test_without_a_key_this_machine_may_ask(scripted: Any) -> None:
    with scripted([{"text": "quack"}], keys=()) as (client, _, _):
        assert Client(client.url, key="").chat().status == 200


def test_listed_addresses_need_no_key_and_others_do(scripted: Any) -> None:
    with scripted([{"text": "quack"}], keys=(), keyless_from=("127.0.0.0/8",)) as (client, _, _):
        assert Client(client.url, key="").chat().status == 200
    with scripted([{"text": "quack"}], keyless_from=("192.168.1.0/24",)) as (client, _, _):
        stranger = Client(client.url, key="")
        assert stranger.chat().status == 401
        assert stranger.call("POST", "/v1/chat/completions", CHAT, **{"X-Forwarded-For": "192.168.1.7"}).status == 401
        assert client.chat().status == 200


def test_web_pages_may_not_ask_unless_listed(scripted: Any) -> None:
    """A page in the workstation's browser must not use the model behind the user's back."""
    with scripted([{"text": "quack"}], origins=("http://lab.local",)) as (client, _, _):
        assert client.chat().status == 200
        assert client.call("POST", "/v1/chat/completions", CHAT, Origin="http://evil").status == 403
        listed = client.call("POST", "/v1/chat/completions", CHAT, Origin="http://lab.local")
        assert listed.status == 200 and listed.headers["access-control-allow-origin"] == "http://lab.local"
        preflight = client.call("OPTIONS", "/v1/chat/completions", None, Origin="http://lab.local")
        assert preflight.status == 200 and preflight.headers["access-control-allow-origin"] == "http://lab.local"
        assert "access-control-allow-origin" not in client.call("OPTIONS", "/x", None, Origin="http://evil").headers


def test_a_body_beyond_the_limit_is_refused_announced_or_not(scripted: Any) -> None:
    with scripted([{"text": "quack"}], body_bytes=2000) as (client, _, _):
        big = {**CHAT, "x": "y" * 3000}
        assert client.call("POST", "/v1/chat/completions", big).status == 413
        connection = client.connect()
        body = iter([json.dumps(big).encode()])
        connection.request(
            "POST", "/v1/chat/completions", body, {"Authorization": f"Bearer {KEY}"}, encode_chunked=True
        )
        assert connection.getresponse().status == 413
        connection.close()


def test_a_body_that_does_not_come_is_refused(scripted: Any) -> None:
    with scripted([{"text": "quack"}], body_s=1.0) as (client, _, _):
        host, port = client.url.split("//")[1].split(":")
        with socket.create_connection((host, int(port)), timeout=20) as sock:
            sock.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n"
                         b"Authorization: Bearer " + KEY.encode() + b"\r\n\r\n{")  # fmt: skip
            assert b" 408 " in sock.recv(4096).split(b"\r\n")[0]
            while sock.recv(4096):  # and then the end: what holds a connection holds a place
                pass
        with socket.create_connection((host, int(port)), timeout=20) as sock:
            sock.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 999999999\r\n"
                         b"Authorization: Bearer " + KEY.encode() + b"\r\n\r\n{")  # fmt: skip
            assert b" 413 " in sock.recv(4096).split(b"\r\n")[0]
            while sock.recv(4096):
                pass


def test_a_probe_may_ask_for_the_head_alone(scripted: Any) -> None:
    with scripted([{"text": "quack"}]) as (client, _, _):
        for path in ("/health", "/v1/health"):
            answer = client.call("HEAD", path)
            assert answer.status == 200 and answer.raw == b""


@pytest.mark.parametrize("method, path, status", [
    ("GET", "/v1/chat/completions", 404), ("PUT", "/v1/chat/completions", 404), ("GET", "/v1/nope", 404),
    ("DELETE", "/health", 404), ("POST", "/v1/embeddings", 501), ("POST", "/completion", 501),
    ("POST", "/props", 501), ("POST", "/v1/chat/completions/input_tokens", 501),
])  # fmt: skip
def test_paths_that_are_not_there(scripted: Any, method: str, path: str, status: int) -> None:
    with scripted([{"text": "quack"}]) as (client, _, _):
        answer = client.call(method, path, CHAT if method != "GET" else None)
        assert answer.status == status == answer.json["error"]["code"]


def test_metrics_may_be_switched_off(scripted: Any) -> None:
    with scripted([{"text": "quack"}], metrics=False) as (client, _, _):
        assert client.get("/metrics").status == 501


def test_an_id_comes_back_if_it_is_harmless(scripted: Any) -> None:
    with scripted([{"text": "quack"}]) as (client, _, _):
        assert client.get("/health", **{"X-Request-Id": "robot-7.41"}).headers["x-request-id"] == "robot-7.41"
        assert len(client.get("/health", **{"X-Request-Id": "a b\tc" * 30}).headers["x-request-id"]) == 16


def test_what_is_not_http_is_refused_and_the_server_lives(scripted: Any) -> None:
    with scripted([{"text": "quack"}]) as (client, _, _):
        host, port = client.url.split("//")[1].split(":")
        for junk in (b"\x16\x03\x01\x02\x00", b"QUACK\r\n\r\n", b"GET / HTTP/9\r\n\r\n", b"POST /v1/x HTTP/1.1"
                     b"\r\nContent-Length: -5\r\n\r\n"):  # fmt: skip
            with socket.create_connection((host, int(port)), timeout=20) as sock:
                sock.sendall(junk)
                sock.shutdown(socket.SHUT_WR)
                while sock.recv(4096):
                    pass
        assert client.chat().status == 200


def test_one_connection_serves_many_requests(scripted: Any) -> None:
    with scripted([{"text": "quack"}]) as (client, _, _):
        connection: http.client.HTTPConnection = client.connect()
        connection.connect()
        kept = connection.sock
        for _ in range(3):
            connection.request("POST", "/v1/chat/completions", json.dumps(CHAT), {"Authorization": f"Bearer {KEY}"})
            assert connection.getresponse().read()
            assert connection.sock is kept
        connection.close()
