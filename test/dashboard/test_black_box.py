"""The black box with slow films, a slow disk and rings that hold too little: what is kept all the same, and said."""
from __future__ import annotations

import io
import sys
import threading
import time
from pathlib import Path
from typing import Any, Callable, Iterator, List

import pytest

pytest.importorskip("duck_protection.msg", reason="needs the built messages: ./run test")

import rosbag
import rospy
from std_msgs.msg import String

from duck_protection.dashboard.events import Event, Kind
from duck_protection.dashboard.ring import Item, Ring
from duck_protection.dashboard.store import EventStore
from duck_protection.nodes.black_box import BlackBox

pytestmark = pytest.mark.filterwarnings("ignore:The 'warn' method is deprecated")  # rospy's own throttled log calls it
BEFORE_S, AFTER_S, STEP_S = 1.0, 0.3, 0.05
QUICK = (sys.executable, "-c", "import pathlib, sys; (pathlib.Path(sys.argv[1]) / 'clip.mp4').write_text('film')")
SLOW = (sys.executable, "-c", "import time; time.sleep(60)")
FAILS = (sys.executable, "-c", "raise SystemExit(1)")


@pytest.fixture
def boxes() -> Iterator[List[BlackBox]]:
    """Those that a test opens; ended after it."""
    rospy.rostime.set_rostime_initialized(True)  # no node is started here
    opened: List[BlackBox] = []
    yield opened
    for box in opened:
        box.close()


def words(at_s: float) -> Item:
    out = io.BytesIO()
    String(f"{at_s:.3f}").serialize(out)
    return Item(at_s, "/duckie/words", String._type, out.getvalue())


def ring_of(from_s: float, to_s: float) -> Ring:
    ring = Ring(30.0, 10**6)
    for step in range(int((to_s - from_s) / STEP_S)):
        ring.put(words(from_s + step * STEP_S))
    return ring


def until(claim: Callable[[], Any]) -> None:
    begun_s = time.monotonic()
    while not claim():
        assert time.monotonic() < begun_s + 20.0
        time.sleep(0.01)


def test_the_bags_of_three_events_within_a_second_are_whole_though_a_film_takes_a_minute(
    tmp_path: Path, boxes: List[BlackBox]
) -> None:
    """The second bag waited for the first film, and the ring had forgotten its seconds by then."""
    now_s, store = time.time(), EventStore(tmp_path, 10**8)
    ring = ring_of(now_s - 2.0, now_s + 2.0)
    boxes.append(BlackBox(store, {"duckie": ring}, BEFORE_S, AFTER_S, SLOW))
    for number in range(3):
        boxes[0].happened("duckie", Event(now_s + 0.3 * number, Kind.STOP, f"number {number}"), b"jpeg")
    until(lambda: len(list(tmp_path.glob("*/*/drive.bag"))) == 3)
    for event in store.events():
        with rosbag.Bag(str(tmp_path / "duckie" / event["id"] / "drive.bag")) as bag:
            times = [at.to_sec() - event["at_s"] for _, _, at in bag.read_messages()]
        assert times[0] < -BEFORE_S + 2 * STEP_S and times[-1] > AFTER_S - 2 * STEP_S
        assert len(times) >= (BEFORE_S + AFTER_S) / STEP_S - 1
        assert set(event["files"]) == {"frame.jpg", "drive.bag"}
        assert (event["unfinished"], event["missing"]) == (True, [])


def test_a_film_for_which_there_is_no_room_is_said_in_the_event(tmp_path: Path, boxes: List[BlackBox]) -> None:
    now_s, store = time.time(), EventStore(tmp_path, 10**8)
    boxes.append(BlackBox(store, {"duckie": ring_of(now_s - 2.0, now_s)}, BEFORE_S, 0.0, SLOW, films_waiting=1))
    for number in range(4):  # the first is drawn, and before or after that one waits
        boxes[0].happened("duckie", Event(now_s - 0.1 * number, Kind.STOP, "stop"), b"")
    until(lambda: any(event["missing"] for event in store.events()))
    until(lambda: len(list(tmp_path.glob("*/*/drive.bag"))) == 4)
    told = [(event["unfinished"], event["missing"]) for event in store.events() if event["missing"]]
    assert told[0] == (False, ["too many events at once: no film was made"])


def test_a_film_that_fails_is_said_and_the_next_one_is_made(tmp_path: Path, boxes: List[BlackBox]) -> None:
    now_s = time.time()
    for name, film, missing, files in (("a", FAILS, ["the film could not be made"], ["drive.bag"]),
                                       ("b", QUICK, [], ["clip.mp4", "drive.bag"])):  # fmt: skip
        store = EventStore(tmp_path / name, 10**8)
        boxes.append(BlackBox(store, {"duckie": ring_of(now_s - 2.0, now_s)}, BEFORE_S, 0.0, film))
        boxes[-1].happened("duckie", Event(now_s, Kind.HIT, "hit"), b"")
        until(lambda kept=store: kept.events() and not kept.events()[0]["unfinished"])
        assert (store.events()[0]["missing"], store.events()[0]["files"]) == (missing, files)


@pytest.mark.parametrize(
    ("from_s", "to_s", "said"),
    [
        (-2.0, 1.0, []),
        (-0.8, 1.0, []),  # within LATE_S of the beginning
        (-0.2, 1.0, ["the rosbag begins 0.8 s late: nothing was kept before"]),
        (-5.0, -2.0, ["the rosbag is empty: nothing was kept of these seconds"]),
    ],
)
def test_a_bag_says_which_seconds_it_lacks(
    tmp_path: Path, boxes: List[BlackBox], from_s: float, to_s: float, said: List[str]
) -> None:
    now_s, store = time.time(), EventStore(tmp_path, 10**8)
    boxes.append(BlackBox(store, {"duckie": ring_of(now_s + from_s, now_s + to_s)}, BEFORE_S, 0.0, QUICK))
    boxes[0].happened("duckie", Event(now_s, Kind.UNKNOWN, "camera: silent"), b"")
    until(lambda: store.events() and not store.events()[0]["unfinished"])
    assert store.events()[0]["missing"] == said


class StuckStore(EventStore):
    """On a disk that does not answer."""

    answers = threading.Event()

    def open(self, robot: str, event: Event) -> Path:
        assert self.answers.wait(20.0)
        return super().open(robot, event)


def test_whoever_reports_an_event_does_not_wait_for_the_disk(tmp_path: Path, boxes: List[BlackBox]) -> None:
    now_s, store = time.time(), StuckStore(tmp_path, 10**8)
    boxes.append(BlackBox(store, {"duckie": ring_of(now_s - 2.0, now_s)}, BEFORE_S, 0.0, QUICK))
    for number in range(3):
        boxes[0].happened("duckie", Event(now_s + 0.001 * number, Kind.STOP, "stop"), b"")
    assert store.events() == [] and not store.answers.is_set()  # we are here, and nothing is written yet
    store.answers.set()
    until(lambda: len(store.events()) == 3)


def test_a_full_disk_costs_the_event_its_files_and_says_so(tmp_path: Path, boxes: List[BlackBox]) -> None:
    class Full(EventStore):
        def open(self, robot: str, event: Event) -> Path:
            folder = super().open(robot, event)
            for name in ("frame.jpg", ".partial-drive.bag"):
                (folder / name).mkdir()  # nothing can be written under this name
            return folder

    now_s, store = time.time(), Full(tmp_path, 10**8)
    boxes.append(BlackBox(store, {"duckie": ring_of(now_s - 2.0, now_s)}, BEFORE_S, 0.0, QUICK))
    boxes[0].happened("duckie", Event(now_s, Kind.STOP, "stop"), b"jpeg")
    until(lambda: store.events() and not store.events()[0]["unfinished"])
    missing = [words.partition(":")[0] for words in store.events()[0]["missing"]]
    assert missing == ["the picture could not be written", "the rosbag could not be written"]
