"""Who may look and who may act: the door of the operator's page, asked by a real client over a real socket."""
from __future__ import annotations

import http.client
import json
import logging
import socket
import time
from contextlib import ExitStack, closing
from http.cookiejar import CookieJar
from pathlib import Path
from typing import Any, Dict, Tuple
from urllib.request import HTTPCookieProcessor, build_opener

import pytest
from page_kit import TOKEN, Served, heard_as, jpeg, judged
from websockets.sync.client import connect

from duck_protection.dashboard.door import cookie_name
from duck_protection.dashboard.events import Event, Kind
from duck_protection.dashboard.robot import Robot
from duck_protection.dashboard.serving import CONNECTIONS, token_from, write_token
from duck_protection.settings import SettingsError
from duck_protection.verdict import Level


def asked(served: Served, method: str, path: str, **headers: str) -> Tuple[int, str, Dict[str, str]]:
    return sent(served, method, path, b'{"question": "how many?"}' if method == "POST" else None, headers)


def sent(served: Served, method: str, path: str, body: Any, headers: Dict[str, str]) -> Tuple[int, str, Dict[str, str]]:
    with closing(http.client.HTTPConnection("127.0.0.1", served.port, timeout=10)) as client:
        client.request(method, path, body, headers)
        with client.getresponse() as reply:
            text = reply.read().decode(errors="replace")
            return reply.status, text, {name.lower(): value for name, value in reply.getheaders()}


def cookies(served: Served, token: str = TOKEN) -> Dict[str, str]:
    return {"Cookie": f"{cookie_name(served.port)}={token}"}


ASK = "/api/robots/duckie/ask"
BEARER = {"Authorization": f"Bearer {TOKEN}"}


def test_on_this_machine_everybody_looks_and_only_the_token_acts(served: Served) -> None:
    served.start()
    status, _, headers = asked(served, "GET", "/")
    assert status == 200 and TOKEN in headers["set-cookie"] and "HttpOnly" in headers["set-cookie"]
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert asked(served, "GET", "/api/events")[0] == 200
    assert asked(served, "POST", ASK)[0] == 401
    assert asked(served, "POST", ASK, **cookies(served, "wrong"))[0] == 401
    assert served.desk.asked == []
    assert asked(served, "POST", ASK, **cookies(served))[0] == 200
    assert asked(served, "POST", ASK, **BEARER)[0] == 200


@pytest.mark.parametrize(
    "headers", [{"Origin": "http://evil.example"}, {"Host": "evil.example:80"}, {"Host": "["}, {"Origin": "http://["}],
)
def test_a_page_of_another_origin_gets_nothing_even_with_the_cookie(served: Served, headers: Dict[str, str]) -> None:
    served.start()
    assert asked(served, "POST", ASK, **cookies(served), **headers)[0] == 403
    assert asked(served, "GET", "/api/events", **headers)[0] == 403
    upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
               "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="}  # fmt: skip
    assert asked(served, "GET", "/ws", **upgrade, **headers)[0] == 403


def test_two_pages_of_one_machine_do_not_overwrite_each_others_cookie(served: Served, tmp_path: Path) -> None:
    """A browser knows no ports in cookies: the second page opened made the first one's questions fail."""
    other = Served(tmp_path / "other", ["duckie"], "another-token-for-tests")
    browser = build_opener(HTTPCookieProcessor(CookieJar()))
    try:
        urls = [page.start() for page in (served, other)]
        for url in urls:
            browser.open(url, timeout=10).close()
        for url in urls:
            with browser.open(url + ASK[1:], b'{"question": "how many?"}', timeout=10) as reply:
                assert reply.status == 200
    finally:
        other.stop()


def test_at_another_address_nothing_is_shown_without_the_token(served: Served) -> None:
    """0.0.0.0 is reachable at 127.0.0.1 too, and it is the address that is listened to which counts."""
    served.start("0.0.0.0")
    status, body, headers = asked(served, "GET", "/")
    assert status == 401 and "token" in body and TOKEN not in str(headers)
    for path in ("/api/events", "/page/main.js"):
        assert asked(served, "GET", path)[0] == 401
        assert asked(served, "GET", path, **cookies(served))[0] == 200
    status, _, headers = asked(served, "GET", f"/?token={TOKEN}")
    assert (status, headers["location"]) == (303, "/") and TOKEN in headers["set-cookie"]
    assert asked(served, "GET", "/?token=guess")[0] == 401


def test_only_known_files_of_known_events_are_given_out(served: Served) -> None:
    served.start()
    folder = served.store.open("duckie", Event(1.7e9, Kind.STOP, "stop"))
    (folder / "frame.jpg").write_bytes(b"picture")
    (folder / "secret.txt").write_text("secret")
    base = f"/api/events/duckie/{folder.name}"
    assert asked(served, "GET", f"{base}/frame.jpg")[:2] == (200, "picture")
    for path in (f"{base}/secret.txt", f"{base}/event.json", f"{base}/%2e%2e/frame.jpg", "/api/events/../../etc/passwd",
                 "/api/events/%2e%2e/%2e%2e/frame.jpg", "/page/../app.py", "/page/%2e%2e/app.py"):  # fmt: skip
        assert asked(served, "GET", path)[0] == 404, path


def test_what_is_no_question_is_refused_in_words(served: Served) -> None:
    served.start()
    assert asked(served, "POST", "/api/robots/nobody/ask", **cookies(served))[0] == 404
    for body, status in ((b"", 400), (b"[]", 400), (b'{"question": " "}', 400), (b'{"question": 5}', 400),
                         (json.dumps({"question": "x" * 4001}).encode(), 400), (b"x" * 20_000, 413)):  # fmt: skip
        got, text, _ = sent(served, "POST", ASK, body, cookies(served))
        assert got == status and json.loads(text)["detail"], body[:40]
    assert served.desk.asked == []


def begun(served: Served, body: bytes) -> socket.socket:
    """A question of which only the beginning has come."""
    client = socket.create_connection(("127.0.0.1", served.port), timeout=10)
    head = [f"POST {ASK} HTTP/1.1", f"Host: 127.0.0.1:{served.port}", f"Authorization: Bearer {TOKEN}",
            "Content-Length: 100", "", ""]  # fmt: skip
    client.sendall("\r\n".join(head).encode() + body)
    return client


def test_a_question_that_does_not_come_to_its_end_is_refused(served: Served, caplog: pytest.LogCaptureFixture) -> None:
    """It was waited for without end; one that was cut off was a traceback in the log."""
    served.start()
    begun(served, b"{").close()
    with begun(served, b"{") as client:
        reply = client.recv(4096)
    assert reply.startswith(b"HTTP/1.1 408 ") and served.desk.asked == []
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


def test_more_connections_than_people_have_are_refused_and_it_recovers(served: Served) -> None:
    served.start()
    with ExitStack() as stack:
        for _ in range(CONNECTIONS):
            stack.enter_context(begun(served, b"{"))
        status, _, _ = asked(served, "GET", "/")
        assert status == 503
    ended_s = time.monotonic() + 10
    while asked(served, "GET", "/")[0] != 200:
        assert time.monotonic() < ended_s


def test_a_question_without_an_answer_does_not_keep_the_page_from_ending(served: Served) -> None:
    """It was asked in the event loop's executor, whose end is waited for: up to 32 s."""
    served.start()
    served.desk.may_answer.clear()
    with begun(served, json.dumps({"question": "?" * 80}).encode().ljust(100)):
        ended_s = time.monotonic() + 10
        while not served.desk.asked:
            assert time.monotonic() < ended_s
            time.sleep(0.01)
        served.stop()
        assert served.server is not None and not served.server.alive
    served.desk.may_answer.set()


@pytest.mark.parametrize("text", ["", "short", "with spaces in the token", "Ünsäglich-langer-token"])
def test_a_bad_token_file_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "token"
    file.write_text(text)
    with pytest.raises(SettingsError, match="token"):
        token_from(str(file), "0.0.0.0")


def test_another_address_needs_a_token_file_and_a_written_one_is_its_owners(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"host 0\.0\.0\.0 needs token_file"):
        token_from("", "0.0.0.0")
    first, second = (token_from("", "127.0.0.1") for _ in range(2))
    assert first != second
    write_token(tmp_path / "a" / "token", first)
    assert (tmp_path / "a" / "token").stat().st_mode & 0o777 == 0o600
    assert token_from(str(tmp_path / "a" / "token"), "0.0.0.0") == first
    (tmp_path / "a" / "token").chmod(0o644)  # made by hand, or by a version before
    write_token(tmp_path / "a" / "token", second)
    assert (tmp_path / "a" / "token").stat().st_mode & 0o777 == 0o600


def test_a_slow_visitor_gets_fewer_messages_not_older_ones(served: Served) -> None:
    """He takes none: two are under way, and no third is sent before he says that he has taken one."""
    served.start()
    with connect(f"ws://127.0.0.1:{served.port}/ws") as socket:
        assert json.loads(socket.recv(10))["live"] is True
        messages: Any = [socket.recv(10), socket.recv(10)]
        with pytest.raises(TimeoutError):
            socket.recv(0.5)
        judged(served.robots[0], Level.STOP, time.time())
        served.robots[0].frame(jpeg(1), time.time())
        begun_s = time.monotonic()
        while served.robots[0].history()[-1]["level"] != Level.STOP:  # the site looks ten times a second
            assert time.monotonic() < begun_s + 10
            time.sleep(0.01)
            judged(served.robots[0], Level.STOP, time.time())
        socket.send("taken")
        messages.append(socket.recv(10))
    heads = [json.loads(m[4 : 4 + int.from_bytes(m[:4], "little")]) for m in messages]
    assert [head["robots"]["duckie"]["level"] for head in heads] == [0, 0, 3]
    assert heads[2]["pictures"] == {"duckie": len(jpeg(1))} and messages[2].endswith(jpeg(1))


def strict(text: Any) -> Any:
    """JSON as a browser reads it: NaN is no number."""
    return json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))


def test_numbers_that_are_none_reach_the_page_as_null(served: Served) -> None:
    """json.dumps wrote NaN, and the browser's JSON.parse gave up on the whole page."""
    bad = float("nan")
    heard_as(served.robots[0], Level.STOP, (bad, 0.1, 0.9), time.time())
    served.robots[0].sample(time.time())
    served.desk.verdict = {"probabilities": [bad], "age_ms": float("inf")}
    served.start()
    with connect(f"ws://127.0.0.1:{served.port}/ws") as socket:
        assert strict(socket.recv(10))["history"]["duckie"][0]["p"] == [None, 0.1, 0.9]
        heard_as(served.robots[0], Level.STOP, (bad, 0.1, 0.9), time.time())
        message: Any = socket.recv(10)
        while not (shares := strict(message[4 : 4 + int.from_bytes(message[:4], "little")])["robots"]["duckie"]["p"]):
            socket.send("taken")
            message = socket.recv(10)
        assert shares == [None, 0.1, 0.9]
    status, text, _ = asked(served, "POST", "/api/robots/duckie/check", **cookies(served))
    assert (status, strict(text)["probabilities"], strict(text)["age_ms"]) == (200, [None], None)


class Broken(Robot):
    """A bug: its samples raise."""

    def sample(self, now_s: float) -> Dict[str, Any]:
        raise ZeroDivisionError(now_s)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")  # the traceback that a person sees
def test_a_page_that_cannot_look_any_more_ends(served: Served) -> None:
    """It went on serving, with pictures that stood still, and the node saw nothing."""
    served.robots[0] = Broken("duckie")
    served.start()
    begun_s = time.monotonic()
    while served.server and served.server.alive:
        assert time.monotonic() < begun_s + 10
        time.sleep(0.01)
