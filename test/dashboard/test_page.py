"""The operator's page in a real Chromium, against a real server: look, click, ask, lose it and find it again."""
from __future__ import annotations

import re
import threading
import time
from pathlib import Path
from typing import Any, Iterator

import numpy as np
import pytest
from page_kit import Served, heard_as, jpeg, judged

from duck_protection.dashboard.events import Event, Kind
from duck_protection.recording.video import VideoWriter
from duck_protection.verdict import Level

WAIT_MS = 30_000  # a busy machine



@pytest.fixture
def page(chromium: Any, served: Served) -> Iterator[Any]:
    """The page, open, with two robots that are judged ten times a second: the first STOP, the second CLEAR."""
    url = served.start()
    ended = threading.Event()

    def drive() -> None:
        number = 0
        while not ended.wait(0.1):
            number += 1
            for robot, level in zip(served.robots, (Level.STOP, Level.CLEAR)):
                judged(robot, level, time.time())
                robot.frame(jpeg(number), time.time())
                robot.beat(time.time())

    thread = threading.Thread(target=drive, daemon=True)
    thread.start()
    tab = chromium.new_page()
    tab.set_default_timeout(WAIT_MS)
    troubles: list = []
    tab.on("pageerror", lambda err: troubles.append(str(err)))
    tab.goto(url)
    yield tab
    tab.close()
    ended.set()
    thread.join()
    assert troubles == []


def expect(locator: Any) -> Any:
    """Waits for what is claimed of it; the page's own rules forbid the browser to evaluate text as a script."""
    from playwright.sync_api import expect as claim

    claim.set_options(timeout=WAIT_MS)
    return claim(locator)


def card(page: Any, robot: str) -> Any:
    return page.locator(f'.robot[data-robot="{robot}"]')


def test_two_robots_side_by_side_each_with_word_shape_and_words(page: Any) -> None:
    for robot, word in (("duckie", "STOP"), ("yanberbot", "CLEAR")):
        card(page, robot).locator(f'.view[data-level="{word}"]').wait_for()
        assert card(page, robot).locator("strong").text_content() == word
        card(page, robot).locator(f'figcaption .shape[data-name="{word}"]').wait_for()
        expect(card(page, robot).locator(".health li")).to_have_count(4)
        expect(card(page, robot).locator(".health")).to_contain_text("on duty")
        expect(card(page, robot).locator(".view img")).to_have_js_property("naturalWidth", 320)


def test_a_question_is_asked_and_its_answer_shown_and_silence_too(page: Any, served: Served) -> None:
    duckie = card(page, "duckie")
    duckie.locator("input").fill("<b>how many?</b>")
    duckie.get_by_role("button", name="Ask").click()
    duckie.locator('output[data-state="answered"]').wait_for()
    assert "you said <b>how many?</b>" in duckie.locator("output").text_content()
    duckie.get_by_role("button", name="Verdict now").click()
    expect(duckie.locator("output")).to_contain_text("STOP: p(stop) 0.9")
    duckie.locator("input").fill("silence")
    duckie.get_by_role("button", name="Ask").click()
    duckie.locator('output[data-state="failed"]').wait_for()
    assert "no answer within 30 s" in duckie.locator("output").text_content()
    assert served.desk.asked == ["duckie: <b>how many?</b>", "duckie: check", "duckie: silence"]


def test_a_share_that_is_no_number_is_a_question_mark_and_the_page_goes_on(chromium: Any, served: Served) -> None:
    tab = chromium.new_page()
    troubles: list = []
    tab.on("pageerror", lambda err: troubles.append(str(err)))
    tab.goto(served.start())
    bars = tab.locator('.robot[data-robot="duckie"] .bars')
    for share, shown in ((float("nan"), ["?", "10 %", "90 %"]), (0.2, ["20 %", "10 %", "90 %"])):
        ended_s = time.monotonic() + WAIT_MS / 1e3
        while bars.locator("em").all_text_contents() != shown:
            assert time.monotonic() < ended_s and not troubles, troubles
            heard_as(served.robots[0], Level.STOP, (share, 0.1, 0.9), time.time())
    tab.close()
    assert troubles == []


def test_the_bars_bear_the_words_of_the_verdict_that_they_show(chromium: Any, served: Served) -> None:
    """Another question with as many words kept the words of the one before."""
    tab = chromium.new_page()
    tab.goto(served.start())
    bars = tab.locator('.robot[data-robot="duckie"] .bars')
    for words in (("Clear", "Slow", "Stop"), ("No", "Maybe", "Yes")):
        ended_s = time.monotonic() + WAIT_MS / 1e3
        while bars.locator("span").all_text_contents() != list(words):
            assert time.monotonic() < ended_s
            heard_as(served.robots[0], Level.STOP, (0.1, 0.2, 0.7), time.time(), words)
    tab.close()


def test_it_says_that_the_node_is_gone_and_comes_back_by_itself(page: Any, served: Served) -> None:
    page.locator('#connection[data-state="live"]').wait_for()
    served.stop()
    page.locator('#connection[data-state="lost"]').wait_for()
    served.start()
    page.locator('#connection[data-state="live"]').wait_for()
    expect(page.locator(".robot")).to_have_count(2)
    card(page, "duckie").locator('.view[data-level="STOP"]').wait_for()


def test_an_event_appears_by_itself_and_opens_with_reason_and_film(page: Any, served: Served) -> None:
    folder = served.store.open("duckie", Event(1.7e9, Kind.STOP, "stop: p(stop) 0.768"))
    (folder / "frame.jpg").write_bytes(jpeg(5))
    film(folder / "clip.mp4")
    served.store.changed()
    served.store.open("yanberbot", Event(1.7e9 + 9, Kind.UNKNOWN, "camera: silent for 0.3 s"))
    page.locator("#event-list button").nth(1).click()
    assert page.locator("#event-reason").text_content() == "stop: p(stop) 0.768"
    expect(page.locator("video")).to_have_js_property("videoWidth", 64)
    page.get_by_role("button", name="Close").click()
    page.locator("#filter").get_by_role("button", name="STOP").click()
    expect(page.locator("#event-list li")).to_have_count(1)


def test_no_film_is_promised_that_nobody_makes(page: Any, served: Served) -> None:
    """It said "is being made" for ever."""
    folder = served.store.open("duckie", Event(1.7e9, Kind.STOP, "stop: p(stop) 0.768"))
    page.locator("#event-list button").click()
    expect(page.locator("#event-film")).to_contain_text("being made")
    expect(page.locator("#event-missing")).to_be_hidden()
    served.store.miss(folder, "too many events at once")
    served.store.finish(folder)
    expect(page.locator("#event-film")).to_have_text("There is no film of this event.")
    expect(page.locator("#event-missing")).to_have_text("Not kept whole: too many events at once.")


def film(path: Path) -> None:
    with VideoWriter(path, (64, 48), 15.0) as video:
        for number in range(15):
            video.add(np.full((48, 64, 3), 8 * number, np.uint8), number / 15)


def test_nothing_is_loaded_from_elsewhere_and_a_phone_need_not_scroll_sideways(chromium: Any, served: Served) -> None:
    url = served.start()
    tab = chromium.new_page(viewport={"width": 360, "height": 740}, color_scheme="dark")
    asked: list = []
    tab.on("request", lambda request: asked.append(request.url))
    tab.goto(url)
    tab.locator(".robot").first.wait_for(timeout=WAIT_MS)
    assert all(re.match(r"(http|ws|blob:http)://127\.0\.0\.1:", name) for name in asked) and len(asked) >= 6
    assert tab.evaluate("document.documentElement.scrollWidth") <= 360
    tab.close()
