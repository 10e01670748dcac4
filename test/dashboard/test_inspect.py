"""`./run inspect` on bags that are not the black box's own."""
from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("duck_protection.msg", reason="needs the built messages: ./run test")

import numpy as np
import rosbag
import rospy
from duck_protection.msg import DuckVerdict
from page_kit import jpeg
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import String

from duck_protection.nodes import inspect_bag
from duck_protection.nodes.bag_story import stories_of


def bag(path: Path, *messages: Any) -> Path:
    """A bag with these (topic, message, seconds)."""
    with rosbag.Bag(str(path), "w") as out:
        for topic, message, at_s in messages:
            out.write(topic, message, rospy.Time.from_sec(at_s))
    return path


def verdict(level: int, stamp_s: float) -> DuckVerdict:
    message = DuckVerdict(level=level, reason="stop: seen", choices=["Stop"], probabilities=[1.0], age_ms=50.0)
    message.header.stamp = rospy.Time.from_sec(stamp_s)
    return message


def test_several_robots_and_a_robots_clock_that_is_an_hour_off(tmp_path: Path) -> None:
    """Ages come from what the verdict says; a stamp of another clock would make everything UNKNOWN."""
    told = [("/a/duck_protection_node/verdict", verdict(1, 5000.0 + k / 10), 1000.0 + k / 10) for k in range(20)]
    told += [("/b/duck_protection_node/verdict", verdict(3, 1000.0 + k / 10), 1000.05 + k / 10) for k in range(20)]
    stories = stories_of(bag(tmp_path / "two.bag", *told))
    assert [event.kind.value for event in stories["a"].events()] == ["RECORDING"]
    assert [event.kind.value for event in stories["b"].events()] == ["STOP"]
    assert {sample["level"] for sample in stories["a"].samples()} == {1}


def test_a_bag_of_raw_pictures_alone_is_one_film(tmp_path: Path) -> None:
    pixels = np.random.default_rng(1).integers(0, 255, (48, 64, 3)).astype(np.uint8)
    image = Image(height=48, width=64, encoding="bgr8", step=192, data=pixels.tobytes())
    file = bag(tmp_path / "raw.bag", *[("/car/camera_node/image", image, 10.0 + k / 10) for k in range(10)])
    assert inspect_bag.main([str(file), "--once", "--out", str(tmp_path)]) == 0
    assert len(list(tmp_path.glob("raw-*/car/*-RECORDING/clip.mp4"))) == 1


def test_each_run_has_a_folder_of_its_own_and_touches_no_other(tmp_path: Path) -> None:
    """It deleted OUT/drive, whosever that was."""
    own = tmp_path / "drive" / "notes.txt"
    own.parent.mkdir()
    own.write_text("do not lose this")
    file = bag(tmp_path / "drive.bag", ("/a/duck_protection_node/verdict", verdict(3, 1.0), 1.0))
    for _ in range(2):
        assert inspect_bag.main([str(file), "--once", "--out", str(tmp_path)]) == 0
    assert own.read_text() == "do not lose this"
    assert [len(list(folder.glob("a/*/event.json"))) for folder in tmp_path.glob("drive-*")] == [1, 1]


def test_a_port_that_is_taken_is_said_and_leaves_nothing_behind(tmp_path: Path, capsys: Any) -> None:
    file = bag(tmp_path / "drive.bag", ("/a/duck_protection_node/verdict", verdict(3, 1.0), 1.0))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert inspect_bag.main([str(file), "--port", port, "--out", str(tmp_path / "out")]) == 1
    assert capsys.readouterr().err.startswith("inspect: ")
    assert list((tmp_path / "out").iterdir()) == []


def test_the_drawn_debug_picture_is_not_taken_for_the_cameras(tmp_path: Path) -> None:
    topics = ("/a/duck_protection_node/debug/image/compressed", "/a/eye/image/compressed")
    told = [(topic, CompressedImage(format="jpeg", data=jpeg(seed)), 10.0) for seed, topic in enumerate(topics)]
    story = stories_of(bag(tmp_path / "c.bag", *told), (0.0, 20.0))["a"]
    assert [data for _, data in story.pictures] == [jpeg(1)]


@pytest.mark.parametrize("content", ["nothing", "text", "words"])
def test_what_is_no_bag_of_a_robot_is_refused_in_one_line(tmp_path: Path, content: str, capsys: Any) -> None:
    file = tmp_path / "x.bag"
    if content == "text":
        file.write_text("no bag at all")
    if content == "words":
        bag(file, ("/chatter", String("hello"), 1.0))
    assert inspect_bag.main([str(file), "--once", "--out", str(tmp_path)]) == 1
    assert capsys.readouterr().err.startswith(f"inspect: {file} ")
