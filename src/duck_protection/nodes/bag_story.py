"""Rosbags of the black box: written as the messages came, and any bag read back as one story for each robot.

A topic's first name is its robot's. Promise: messages are written and read by their type and md5 sum, bytes untouched;
what a bag holds beside them is left alone, and reading never takes a whole bag's pictures into memory.
"""
from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, Iterable, Iterator, List, Optional, Tuple

import genpy
import rosbag
import rospy
from duckietown_msgs.msg import Twist2DStamped
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header, String

from duck_protection.frames import FrameError, decode
from duck_protection.msg import DuckVerdict, TownTruth
from duck_protection.nodes import messages, robot_messages, town_messages

if TYPE_CHECKING:
    from duck_protection.dashboard.ring import Item
    from duck_protection.dashboard.story import Story

KINDS = (CompressedImage, Image, DuckVerdict, Twist2DStamped, String, Header, TownTruth)
CLASSES = {kind._type: kind for kind in KINDS}
PICTURES = (CompressedImage._type, Image._type)
COMMANDS = ("guard", "follower", "switch", "")  # which command is the final one, by a part of its topic's name
Window = Tuple[float, float]  # wall clock, s


def write_bag(path: Path, items: Iterable[Item]) -> None:
    """All items into a bag, whole or not at all."""
    partial = path.with_name(f".partial-{path.name}")
    with rosbag.Bag(str(partial), "w") as bag:
        for item in items:
            kind = CLASSES[item.kind]
            bag.write(item.topic, (item.kind, item.data, kind._md5sum, kind), rospy.Time.from_sec(item.at_s), raw=True)
    partial.replace(path)


def stories_of(path: Path, window: Optional[Window] = None, robot: str = "") -> Dict[str, Story]:
    """What the bag tells of each robot; with a window of time its pictures too.

    Args:
        robot: That one only; empty: all.

    Raises:
        ValueError: It cannot be read, or tells of no robot.
    """
    try:
        with rosbag.Bag(str(path)) as bag:
            stories = _told(bag, window, robot)
    except (OSError, rosbag.ROSBagException) as err:
        raise ValueError(f"{path} cannot be read: {err or type(err).__name__}") from err
    if not stories:
        raise ValueError(f"{path} has neither pictures nor verdicts")
    return stories


def _told(bag: Any, window: Optional[Window], robot: str) -> Dict[str, Story]:
    from duck_protection.dashboard.births import Births
    from duck_protection.dashboard.story import Story

    chosen = [topic for topic in _chosen(bag) if not robot or _robot_of(topic) == robot]
    stories = {_robot_of(topic): Story(_robot_of(topic)) for topic in chosen}
    births = {name: Births() for name in stories}
    for topic, kind, data, at_s in _messages(bag, chosen, window):
        story = stories[_robot_of(topic)]
        story.came(at_s)
        if kind in PICTURES:  # without a window only their times are wanted
            if window:
                story.pictures += [(at_s, jpeg) for jpeg in _jpeg(kind, data, at_s)]
            continue
        message = CLASSES[kind]().deserialize(data)
        if kind == DuckVerdict._type:
            story.drive.hear(town_messages.heard_here(message, at_s, births[story.robot]))
        elif kind == Twist2DStamped._type:
            story.commands.append((at_s, robot_messages.car_command(message)[0]))
        elif kind == TownTruth._type:
            story.hits.append((at_s, message.ducks_hit + message.flank_hits))
    return stories


def _chosen(bag: Any) -> List[str]:
    """The topics to read: of each robot one with pictures, one with verdicts, one with commands, one with truth."""
    known = bag.get_type_and_topic_info().topics
    best: Dict[Tuple[str, str], Tuple[int, str]] = {}
    for topic, about in sorted(known.items()):
        kind = PICTURES[0] if about.msg_type in PICTURES else about.msg_type
        if kind in (CompressedImage._type, DuckVerdict._type, Twist2DStamped._type, TownTruth._type):
            key = (_robot_of(topic), kind)
            best[key] = min(best.get(key, (99, "")), (_rank(topic, kind), topic))
    return [topic for _, topic in best.values()]


def _rank(topic: str, kind: str) -> int:
    """Small for the topic to prefer."""
    if kind == Twist2DStamped._type:
        return next(rank for rank, word in enumerate(COMMANDS) if word in topic)
    return int("debug" in topic)


def _messages(bag: Any, topics: List[str], window: Optional[Window]) -> Iterator[Tuple[str, str, bytes, float]]:
    times = {}
    if window:
        times = {"start_time": rospy.Time.from_sec(max(0.0, window[0])), "end_time": rospy.Time.from_sec(window[1])}
    if not topics:
        return
    for topic, (kind, data, md5, *_), at in bag.read_messages(topics=topics, raw=True, **times):
        if md5 == CLASSES[kind]._md5sum:  # another version of a message is no message of ours
            yield topic, kind, data, at.to_sec()


def _jpeg(kind: str, data: bytes, at_s: float) -> List[bytes]:
    """The picture; nothing when it cannot be read."""
    try:
        message = CLASSES[kind]().deserialize(data)
        if kind == CompressedImage._type:
            return [bytes(message.data)]
        frame = messages.frame_from(message, at_s, at_s)
        return [bytes(messages.jpeg_message(decode(messages.picture_of(frame).data), frame.header).data)]
    except (genpy.DeserializationError, FrameError):
        return []


def _robot_of(topic: str) -> str:
    return topic.strip("/").split("/")[0]
