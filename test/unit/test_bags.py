"""The pictures of a rosbag come out as a camera would have sent them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from duck_protection import frames

rosbag = pytest.importorskip("rosbag", reason="needs the ROS environment of ./run test")
from sensor_msgs.msg import CompressedImage, Image  # noqa: E402

from duck_protection.nodes.bags import pictures_of_bag  # noqa: E402

rospy = pytest.importorskip("rospy")


def bag_of(path: Path, **topics: list) -> Path:
    with rosbag.Bag(str(path), "w") as bag:
        for topic, messages in topics.items():
            for number, message in enumerate(messages):
                message.header.stamp = rospy.Time(100, 50_000_000 * number)
                bag.write(f"/{topic}", message, message.header.stamp)
    return path


def test_compressed_pictures_keep_their_bytes_and_order(tmp_path: Path, jpeg: bytes) -> None:
    messages = [CompressedImage(format="jpeg", data=jpeg + bytes([number])) for number in range(3)]
    source = pictures_of_bag(bag_of(tmp_path / "a.bag", image=messages))
    pictures = list(source.pictures)
    assert source.count == 3
    assert [picture.data for picture in pictures] == [jpeg + bytes([number]) for number in range(3)]
    assert [picture.name for picture in pictures] == ["000000 100.000", "000001 100.050", "000002 100.100"]


def test_raw_pictures_become_readable(tmp_path: Path, picture: np.ndarray) -> None:
    height, width = picture.shape[:2]
    message = Image(height=height, width=width, encoding="rgb8", step=3 * width, data=picture.tobytes())
    only = next(pictures_of_bag(bag_of(tmp_path / "a.bag", image=[message])).pictures)
    assert only.kind == "ppm"
    assert np.array_equal(frames.decode(only.data), picture)


def test_an_empty_picture_is_passed_on_for_the_pipeline_to_refuse(tmp_path: Path) -> None:
    only = next(pictures_of_bag(bag_of(tmp_path / "a.bag", image=[CompressedImage(format="jpeg")])).pictures)
    assert only.data == b""


def test_one_topic_must_be_chosen_and_the_error_names_them(tmp_path: Path, jpeg: bytes) -> None:
    message = CompressedImage(format="jpeg", data=jpeg)
    path = bag_of(tmp_path / "a.bag", left=[message], right=[message, message])
    with pytest.raises(ValueError, match="/left, /right"):
        pictures_of_bag(path)
    assert pictures_of_bag(path, "/right").count == 2
    with pytest.raises(ValueError, match="/left, /right"):
        pictures_of_bag(path, "/middle")


@pytest.mark.parametrize("content", [None, b"", b"no bag at all"])
def test_what_is_no_bag_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.bag"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ValueError, match="cannot be read"):
        pictures_of_bag(path)
