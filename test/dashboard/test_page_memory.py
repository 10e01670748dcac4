"""What the page and the black box remember, and what they call an event, a health, an age. No sockets, no ROS."""
from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import List, Tuple

import av
import pytest
from hypothesis import given
from hypothesis import strategies as st
from page_kit import LEVELS, jpeg, judged

from duck_protection.dashboard.births import Births
from duck_protection.dashboard.events import Event, EventWatch, Kind
from duck_protection.dashboard.health import Signs, parts_of
from duck_protection.dashboard.ring import Item, Ring
from duck_protection.dashboard.robot import Robot, Timing
from duck_protection.dashboard.store import EventStore
from duck_protection.dashboard.story import Story, write_clip, write_frame
from duck_protection.governor import LOST, Governor, Limits
from duck_protection.recording.drive import Heard, InForce
from duck_protection.verdict import Level

WELL = Signs(0.05, 20.0, 5.0, 0.05, 20.0, 25.0, "ready: duckling", "clear: p(clear) 0.9", 0.05)


@given(st.lists(st.tuples(st.floats(0, 5), st.integers(0, 400)), max_size=60), st.floats(0.1, 20), st.integers(1, 2000))
def test_the_ring_holds_what_its_seconds_and_its_bytes_permit_and_never_more(
    steps: List[Tuple[float, int]], seconds: float, most: int
) -> None:
    ring, now_s, sent = Ring(seconds, most), 0.0, []
    for step_s, size in steps:
        now_s += step_s
        sent.append(Item(now_s, "/a", "kind", b"x" * size))
        ring.put(sent[-1])
        kept = ring.between(0.0, now_s)
        assert sum(len(item.data) for item in kept) <= most
        assert all(item.at_s >= now_s - seconds for item in kept)
        assert kept == sent[len(sent) - len(kept) :]  # the newest, in order, without a hole
        while sent and (sent[0].at_s < now_s - seconds or sum(len(item.data) for item in sent) > most):
            sent.pop(0)
        assert kept == sent  # nothing was forgotten that might have stayed


def force(level: Level) -> InForce:
    return InForce(level, f"{level.name}: so", 0.1, Heard(1.0, 0.9, level, ""))


def events_of(levels: List[Tuple[float, Level]], hits: int = 0) -> List[Tuple[float, Kind]]:
    watch = EventWatch(span_s=5.0)
    return [(event.at_s, event.kind) for at_s, level in levels for event in watch.look(force(level), hits, at_s)]


def test_each_change_to_stop_or_unknown_is_an_event_and_staying_there_is_none() -> None:
    clear, stop, unknown = Level.CLEAR, Level.STOP, Level.UNKNOWN
    drive = [(0.0, clear), (1.0, stop), (1.1, stop), (2.0, unknown), (3.0, clear), (9.0, stop)]
    assert events_of(drive) == [(1.0, Kind.STOP), (2.0, Kind.UNKNOWN), (9.0, Kind.STOP)]


def test_a_flickering_level_is_one_event_of_its_kind_in_each_span() -> None:
    flicker = [(0.1 * k, Level.UNKNOWN if k % 2 else Level.CLEAR) for k in range(100)]
    assert [kind for _, kind in events_of(flicker)] == [Kind.UNKNOWN, Kind.UNKNOWN]


def test_the_start_is_no_event_but_a_first_stop_is() -> None:
    watch = EventWatch()
    assert watch.look(InForce(Level.UNKNOWN, "start", None, None), 0, 1.0) == []
    assert [event.kind for event in watch.look(force(Level.STOP), 0, 2.0)] == [Kind.STOP]


def test_a_hit_is_an_event_with_its_number() -> None:
    watch = EventWatch()
    assert watch.look(force(Level.CLEAR), 0, 1.0) == []
    assert watch.look(force(Level.CLEAR), 2, 2.0) == [Event(2.0, Kind.HIT, "hit: duck number 2")]
    assert watch.look(force(Level.CLEAR), 2, 3.0) == []


@pytest.mark.parametrize(
    ("changes", "part", "state", "words"),
    [
        ({}, "camera", "ok", "20 pictures a second"),
        ({"camera_age_s": None}, "camera", "bad", "no picture yet"),
        ({"camera_age_s": 0.6}, "camera", "bad", "silent for 0.6 s"),
        ({"camera_age_s": 9.0, "verdict_age_s": 9.0}, "camera", "warn",
         "not known: its pictures come through duck_protection_node"),
        ({"verdict_age_s": 120.0}, "link", "bad", "no verdict for 2 min: duck_protection_node is silent"),
        ({"link_ms": 151.0}, "link", "warn", "slow: a picture needs 151 ms to the workstation"),
        ({"status": "failed: no such file"}, "model", "bad", "failed: no such file"),
        ({"reason": "model: no answer within 0.25 s"}, "model", "bad", "no answer within 0.25 s"),
        ({"status": "loading", "verdict_hz": 0.0}, "model", "warn", "loading"),
        ({}, "model", "ok", "duckling: 20 looks a second, 25 ms each"),
        ({"beat_age_s": None}, "guard", "warn", "not heard: nothing here says that the wheels are governed"),
        ({"beat_age_s": 3.0}, "guard", "bad", "silent for 3.0 s: the watchdog holds the wheels"),
        ({"lost": "look there"}, "guard", "bad", "holds the wheels: look there"),
    ],
)
def test_health_is_told_in_words(changes: dict, part: str, state: str, words: str) -> None:
    told = {one.name: one for one in parts_of(replace(WELL, **changes))}
    assert list(told) == ["camera", "link", "model", "guard"]
    assert (told[part].state, told[part].words) == (state, words)


def test_a_robot_that_stands_over_a_lost_duck_is_shown_as_such_until_it_is_released() -> None:
    """The page said CLEAR beside a robot that stood, and nobody was told to look under its bumper."""
    robot, governor = Robot("duckie"), Governor(Limits(), LOST)
    heard = Heard(100.0, 99.95, Level.CLEAR, "clear: p(clear) 0.99", tuple(LEVELS), (0.99, 0.0, 0.01))
    robot.verdict(heard, Timing(50.0, 3.0, 1.0, 30.0), "duckling")
    robot.beat(100.0)

    def guard_says() -> None:
        permit = governor.permit(100.0, 50.0)
        robot.guarded(f"{permit.level.name}: {permit.reason}")

    assert robot.in_force(100.0).level is Level.CLEAR
    for frame in range(8):  # evidence enough to leave, if nothing had been lost
        governor.hear(Level.CLEAR, 99.3 + frame * 0.1, 99.3 + frame * 0.1, 49.3 + frame * 0.1)
    guard_says()
    force, guard = robot.in_force(100.0), robot.sample(100.0)["health"][3]
    assert force.level is Level.UNKNOWN and force.reason.startswith("lost: a duck left the picture")
    assert guard["state"] == "bad" and "look under the bumper, then release" in guard["words"]
    governor.release()
    guard_says()
    assert robot.in_force(100.0).level is Level.CLEAR and robot.sample(100.0)["health"][3]["words"] == "on duty"


def test_under_the_slower_profile_an_older_clear_is_still_clear() -> None:
    heard = Heard(100.0, 99.5, Level.CLEAR, "clear: p(clear) 0.99", tuple(LEVELS), (0.99, 0.0, 0.01))
    for max_age_s, level in ((0.4, Level.UNKNOWN), (0.8, Level.CLEAR)):
        robot = Robot("duckie", max_age_s=max_age_s)
        robot.verdict(heard, Timing(500.0, 3.0, 1.0, 300.0), "a slow model")
        assert robot.in_force(100.1).level is level


def test_what_was_never_heard_is_not_called_well() -> None:
    nothing = Signs(None, 0.0, None, None, 0.0, None, "", "", None)
    assert [part.state for part in parts_of(nothing)] == ["bad", "bad", "warn", "warn"]


def test_a_repeated_verdict_grows_old_though_it_says_the_same_age() -> None:
    births = Births()
    assert births.born_s(7.0, 100.0, 50.0) == pytest.approx(99.95)
    assert births.born_s(7.0, 100.3, 50.0) == pytest.approx(99.95)
    assert births.born_s(7.1, 100.4, 20.0) == pytest.approx(100.38)
    assert births.born_s(0.0, 100.5, 0.0) == 0.0
    assert births.born_s(7.2, 100.6, -3.0) == pytest.approx(100.6)


@pytest.mark.parametrize("age_ms", [float("nan"), float("inf"), -float("inf"), 1e6])
def test_a_frame_of_no_known_age_is_none(age_ms: float) -> None:
    """It was taken for newborn, and a CLEAR on it was shown as CLEAR."""
    assert Births().born_s(7.0, 100.0, age_ms) == 0.0


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_numbers_that_are_none_do_not_stop_the_samples(bad: float) -> None:
    robot, told = Robot("duckie"), Story("duckie")
    heard = Heard(100.0, bad, Level.STOP, "stop: as judged", tuple(LEVELS), (bad, 0.1, 0.9))
    robot.verdict(heard, Timing(50.0, 3.0, 1.0, 30.0), "duckling")
    robot.verdict(replace(heard, stamp_s=99.9), Timing(bad, bad, bad, bad), "duckling")
    sample = robot.sample(100.1)
    assert (sample["level"], sample["age"], sample["late"]) == (Level.STOP, 200, None)
    told.came(100.0)
    told.drive.hear(heard)
    assert [one["age"] for one in told.samples()] == [None]


def test_the_page_never_shows_more_than_the_governor_was_allowed() -> None:
    """CLEAR until its frame is 0.40 s old, UNKNOWN from then on; and silence is UNKNOWN even after a STOP."""
    robot = Robot("duckie")
    assert robot.in_force(1.0).level is Level.UNKNOWN
    judged(robot, Level.CLEAR, 100.0)  # of a frame 0.05 s before
    assert robot.in_force(100.34).level is Level.CLEAR
    assert robot.in_force(100.36).level is Level.UNKNOWN
    judged(robot, Level.STOP, 101.0)
    assert robot.in_force(101.4).level is Level.STOP
    assert robot.in_force(101.6).reason == "silence: no verdict for 0.6 s"


def test_a_sample_says_what_is_unknown_as_none_and_its_words_are_no_history() -> None:
    robot = Robot("duckie")
    empty = robot.sample(1.0)
    assert (empty["age"], empty["late"], empty["permitted"], empty["p"]) == (None, None, None, [])
    judged(robot, Level.SLOW, 100.0)
    robot.speed("permitted", 0.05, 99.5)
    sample = robot.sample(100.1)
    assert (sample["level"], sample["age"], sample["late"], sample["permitted"]) == (2, 150, 50, 0.05)
    assert (len(sample["health"]), sample["model"], sample["choices"]) == (4, "duckling", list(LEVELS))
    assert robot.sample(100.6)["permitted"] is None
    assert len(robot.history()) == 3 and not {"health", "choices", "model"} & set(robot.history()[1])


def test_an_unknown_without_words_leaves_the_minute_before_it_its_words() -> None:
    robot = Robot("duckie")
    judged(robot, Level.SLOW, 100.0)
    robot.verdict(Heard(100.1, 0.0, Level.UNKNOWN, "camera: silent for 0.3 s"), Timing(0.0, 0.0, 0.0, 0.0), "duckling")
    sample = robot.sample(100.2)
    assert (sample["p"], sample["choices"], robot.choices) == ([], list(LEVELS), list(LEVELS))


def test_the_oldest_events_are_deleted_first_and_the_newest_stays(tmp_path: Path) -> None:
    store = EventStore(tmp_path, 25_000)
    for number in range(5):
        folder = store.open("duckie", Event(1.7e9 + number, Kind.STOP, f"number {number}"))
        (folder / "frame.jpg").write_bytes(b"x" * 10_000)
        store.changed()
    assert len(store.events()) == 5  # telling deletes nothing: whoever reports an event must not read the disk
    store.prune()
    assert [event["reason"] for event in store.events()] == ["number 4", "number 3"]
    tight = EventStore(tmp_path, 1)
    tight.prune()
    assert [event["reason"] for event in tight.events()] == ["number 4"]


def test_an_event_says_whether_more_will_come_and_what_never_will(tmp_path: Path) -> None:
    store = EventStore(tmp_path, 10**6)
    folder = store.open("duckie", Event(5.0, Kind.STOP, "stop"))
    before = store.version
    store.miss(folder, "no film")
    store.miss(folder, "no bag")
    assert [(event["unfinished"], event["missing"]) for event in store.events()] == [(True, ["no film", "no bag"])]
    store.finish(folder)
    assert store.events()[0]["unfinished"] is False and store.version != before
    assert EventStore(tmp_path, 10**6).events()[0]["unfinished"] is False  # after a restart nobody goes on with it
    shutil.rmtree(folder)
    store.miss(folder, "too late")
    assert not folder.exists()


def test_a_half_written_event_of_somebody_else_is_not_listed(tmp_path: Path) -> None:
    store = EventStore(tmp_path, 10**6)
    for name, text in (("a", "{"), ("b", "[]"), ("c", '{"kind": "STOP"}'), ("d", '{"at_s": NaN, "kind": "STOP"}')):
        (tmp_path / "duckie" / name).mkdir(parents=True)
        (tmp_path / "duckie" / name / "event.json").write_text(text)
    assert store.events() == []
    kept = store.open("duckie", Event(5.0, Kind.HIT, "hit"))
    assert [(event["id"], event["files"]) for event in store.events()] == [(kept.name, [])]
    assert store.open("duckie", Event(5.0, Kind.HIT, "again")) != kept


def story() -> Story:
    """Two seconds: CLEAR, then STOP from 1.0 s on, at 10 Hz."""
    told = Story("duckie")
    for number in range(20):
        at_s = 1000.0 + number / 10
        told.came(at_s)
        told.pictures.append((at_s, jpeg(number)))
        level = Level.CLEAR if number < 10 else Level.STOP
        told.drive.hear(Heard(at_s, at_s - 0.05, level, "so", tuple(LEVELS), (0.5, 0.3, 0.2)))
        told.commands.append((at_s, 0.1 if number < 10 else 0.0))
    return told


def test_a_story_tells_its_events_and_its_film_has_every_picture(tmp_path: Path) -> None:
    told = story()
    assert [(event.kind, round(event.at_s, 1)) for event in told.events()] == [(Kind.STOP, 1001.0)]
    assert write_clip(tmp_path / "clip.mp4", told, {word: Level(level) for word, level in LEVELS.items()}) == 20
    with av.open(str(tmp_path / "clip.mp4")) as film:
        assert abs(sum(1 for _ in film.decode(video=0)) - 1.9 * 15) < 3
    write_frame(tmp_path / "frame.jpg", told, 1001.02)
    assert (tmp_path / "frame.jpg").read_bytes() == jpeg(10)
    assert [sample["level"] for sample in told.samples(4)][:2] == [1, 1] and told.samples()[-1]["level"] == 3


def test_a_recording_in_which_nothing_happened_can_be_looked_at_all_the_same() -> None:
    told = Story("duckie")
    assert told.events() == [] and told.samples() == []
    told.came(5.0)
    assert told.events() == [Event(5.0, Kind.RECORDING, "recording: no verdict was recorded")]
