"""The pictures of a rosbag, in the order in which they were recorded.

Promise: the bag is read picture by picture, never as a whole; one topic only, and where it is not clear which, the
error names those there are.
"""
from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Iterator

from sensor_msgs.msg import CompressedImage, Image

from duck_protection.frames import FrameError
from duck_protection.nodes import messages

if TYPE_CHECKING:
    from duck_protection.recording.replay import Picture, Source

KINDS = {"sensor_msgs/CompressedImage": CompressedImage, "sensor_msgs/Image": Image}


def pictures_of_bag(path: Path, topic: str = "") -> Source:
    """Every picture of the bag's image topic.

    Raises:
        ValueError: No such bag, it is broken, or it has no image topic or several and none is chosen.
    """
    import rosbag

    from duck_protection.recording.replay import Source

    try:
        with rosbag.Bag(str(path)) as bag:
            known = bag.get_type_and_topic_info().topics
    except (OSError, rosbag.ROSBagException) as err:
        raise ValueError(f"{path} cannot be read: {err or type(err).__name__}") from err
    images = sorted(name for name, about in known.items() if about.msg_type in KINDS)
    chosen = [name for name in images if not topic or name == topic]
    if len(chosen) != 1:
        raise ValueError(f"{path} needs one image topic; it has {', '.join(images) or 'none'}; choose with ~topic")
    return Source(known[chosen[0]].message_count, _pictures(path, chosen[0]))


def _pictures(path: Path, topic: str) -> Iterator[Picture]:
    import rosbag

    from duck_protection.recording.replay import Picture

    with rosbag.Bag(str(path)) as bag:
        # raw: rosbag would make up a class of its own, which is no CompressedImage to anybody
        for number, (_, (kind, data, *_), stamp) in enumerate(bag.read_messages(topics=[topic], raw=True)):
            message = KINDS[kind]().deserialize(data)
            frame = messages.frame_from(message, stamp.to_sec(), stamp.to_sec())
            try:
                picture = messages.picture_of(frame)
            except FrameError:
                picture = CompressedImage(data=message.data)  # the pipeline says what is wrong with it
            name = f"{number:06d} {message.header.stamp.to_sec():.3f}"
            yield Picture(name, bytes(picture.data), picture.format or "jpeg")
