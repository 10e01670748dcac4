"""The camera's pictures again, from the workstation, for whoever looks: they cross the robot's WiFi once.

Promise: costs nothing while nobody looks; a compressed picture is passed on as it came, a raw one becomes a JPEG in a
thread of its own, the newest only and at most RAW_HZ times a second, so that no verdict waits for it.
"""
from __future__ import annotations

import rospy
from sensor_msgs.msg import CompressedImage

from duck_protection.frames import FrameError, decode
from duck_protection.nodes import messages
from duck_protection.nodes.messages import Frame
from duck_protection.nodes.newest import show_newest
from duck_protection.slot import Slot

RAW_HZ = 10.0  # what the operator's page shows; 3 ms of encoding each


class SeenPicture:
    """Publishes ~seen/image/compressed."""

    def __init__(self, raw: bool) -> None:
        self._publisher = rospy.Publisher("~seen/image/compressed", CompressedImage, queue_size=1, tcp_nodelay=True)
        self._raw: Slot[Frame] = Slot()
        if raw:
            show_newest(self._raw, self._encode, RAW_HZ, "seen picture")

    def show(self, frame: Frame) -> None:
        """Takes a frame as it came, if somebody looks."""
        if not self._publisher.get_num_connections():
            return
        message = frame.message
        if isinstance(message, CompressedImage):
            self._say(CompressedImage(header=frame.header, format=message.format, data=message.data))
        else:
            self._raw.put(frame)

    def _encode(self, frame: Frame) -> None:
        try:
            picture = decode(messages.picture_of(frame).data)
        except FrameError:
            return  # its verdict says what is wrong with it
        self._say(messages.jpeg_message(picture, frame.header))

    def _say(self, message: CompressedImage) -> None:
        try:
            self._publisher.publish(message)
        except rospy.ROSException:
            if not rospy.is_shutdown():  # the topic closes before the threads end
                raise
