"""Frames, questions to the model and verdicts, as ROS messages: the only file that knows those fields.

The robot's side (robot_messages.py) and the town's (town_messages.py) have their own files, so that a workstation
needs no duckietown_msgs and a robot no picture library. Promise: whatever a message holds, reading it returns core
values or raises FrameError; what is written says everything that the core value says. Pictures keep their bytes:
nothing is copied that need not be.
"""
from __future__ import annotations

import functools
import io
from dataclasses import dataclass
from typing import Any, Optional, Sequence, Union

import numpy as np
from PIL import Image as Pillow
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from duck_protection.evidence import Arrival
from duck_protection.frames import DEFAULT_LIMITS, FrameError, encode_ppm
from duck_protection.msg import DuckVerdict, ShadowReading
from duck_protection.question import Question
from duck_protection.srv import InferImageRequest, InferImageResponse
from duck_protection.verdict import Identity, Judgement, Reply, Timings

RAW_CHANNELS = {"rgb8": 3, "bgr8": 3, "mono8": 1}  # bytes a pixel


@dataclass(frozen=True)
class Frame:
    """A camera's message as it came, and when that was."""

    message: Union[CompressedImage, Image]
    arrival: Arrival

    @property
    def header(self) -> Header:
        """A copy: rospy writes into the headers it sends."""
        header = self.message.header
        return Header(stamp=header.stamp, frame_id=header.frame_id)


def frame_from(message: Union[CompressedImage, Image], clock_s: float, mono_s: float) -> Frame:
    """The frame that came at these times, of our wall clock and our monotonic clock."""
    return Frame(message, Arrival(message.header.stamp.to_sec(), clock_s, mono_s))


def picture_of(frame: Frame) -> CompressedImage:
    """The frame's picture in bytes that frames.decode() reads; a raw one as PPM.

    Raises:
        FrameError: no bytes, too many, an encoding that we do not read, or sizes that do not fit.
    """
    message = frame.message
    if not message.data:
        raise FrameError("empty", "the picture has no bytes")
    if len(message.data) > DEFAULT_LIMITS.max_bytes:
        raise FrameError("too_large", f"{len(message.data)} bytes, at most {DEFAULT_LIMITS.max_bytes} are read")
    if isinstance(message, CompressedImage):
        return message
    return CompressedImage(header=frame.header, format="ppm", data=encode_ppm(_rgb_of(message)))


def _rgb_of(message: Image) -> np.ndarray:
    """uint8, shape (height, width, 3), RGB order."""
    if message.encoding not in RAW_CHANNELS:
        raise FrameError("encoding", f"encoding {message.encoding[:20]!r}, only {', '.join(RAW_CHANNELS)} are read")
    height, width, row_bytes = message.height, message.width, message.width * RAW_CHANNELS[message.encoding]
    if not (height and row_bytes and message.step >= row_bytes and message.step * height == len(message.data)):
        sizes = f"{width}x{height} {message.encoding}, step {message.step}, {len(message.data)} bytes"
        raise FrameError("unreadable", f"a raw picture whose sizes do not fit: {sizes}")
    rows = np.frombuffer(message.data, np.uint8).reshape(height, message.step)[:, :row_bytes]
    # without their padding: cv_bridge shears a picture whose step is no multiple of its channels
    packed = Image(height=height, width=width, encoding=message.encoding, step=row_bytes, data=rows.tobytes())
    return np.asarray(cv_bridge().imgmsg_to_cv2(packed, "rgb8"))


@functools.lru_cache(maxsize=1)
def cv_bridge() -> Any:
    """The bridge for raw pictures; imported only where a node reads some, for it brings OpenCV."""
    from cv_bridge import CvBridge

    return CvBridge()


def jpeg_message(rgb: np.ndarray, header: Header) -> CompressedImage:
    """The picture as a JPEG message. rgb: uint8, shape (height, width, 3), RGB order."""
    target = io.BytesIO()
    Pillow.fromarray(rgb).save(target, "JPEG", quality=85)
    return CompressedImage(header=header, format="jpeg", data=target.getvalue())


def choice_request(picture: CompressedImage, question: Question, deadline_s: float) -> InferImageRequest:
    """Asks for the probabilities of the question's choices."""
    return InferImageRequest(
        image=picture, prompt=question.prompt, picture_last=question.picture_last, choices=list(question.words),
        deadline_s=deadline_s,
    )  # fmt: skip


def text_request(picture: CompressedImage, prompt: str, max_tokens: int, deadline_s: float) -> InferImageRequest:
    """Asks a free question."""
    return InferImageRequest(image=picture, prompt=prompt, max_tokens=max_tokens, deadline_s=deadline_s)


def echoes(request: InferImageRequest, response: InferImageResponse) -> bool:
    """Whether this is the answer to that request, and not to another one."""
    return response.stamp == request.image.header.stamp and list(response.choices) == list(request.choices)


def reply_from(response: InferImageResponse) -> Reply:
    """What the model said; not yet believed, that is judge()'s matter."""
    return Reply(
        tuple(response.probabilities),
        response.off_mass,
        response.text,
        Identity(response.model, response.revision, response.dtype, response.backend),
        Timings(response.decode_ms, response.wait_ms, response.infer_ms),
    )


def response_to(request: InferImageRequest, reply: Reply) -> InferImageResponse:
    """The reply as the answer to the request, which it repeats."""
    response = _echo(request)
    response.probabilities = list(reply.probabilities)
    response.off_mass, response.text = reply.off_mass, reply.text
    _identify(response, reply.identity)
    timings = reply.timings
    response.decode_ms, response.wait_ms, response.infer_ms = timings.decode_ms, timings.wait_ms, timings.infer_ms
    return response


def refusal_of(
    request: InferImageRequest, status: int, error: str, identity: Optional[Identity] = None
) -> InferImageResponse:
    """No answer, and why: status as in InferImage.srv."""
    response = _echo(request)
    response.status, response.error = status, error
    if identity is not None:
        _identify(response, identity)
    return response


def _echo(request: InferImageRequest) -> InferImageResponse:
    return InferImageResponse(stamp=request.image.header.stamp, choices=list(request.choices))


def _identify(target: InferImageResponse, identity: Identity) -> None:
    target.model, target.revision = identity.model, identity.revision
    target.dtype, target.backend = identity.dtype, identity.backend


def shadow_message(header: Header, words: Sequence[str], driver: Reply, shadow: Reply) -> ShadowReading:
    """Two replies to one question about one frame."""
    return ShadowReading(
        header=header, choices=list(words), driver=list(driver.probabilities), driver_off_mass=driver.off_mass,
        driver_model=driver.identity.model, driver_ms=driver.timings.infer_ms, shadow=list(shadow.probabilities),
        shadow_off_mass=shadow.off_mass, shadow_model=shadow.identity.model, shadow_ms=shadow.timings.infer_ms,
    )  # fmt: skip


def verdict_message(
    header: Header, judgement: Judgement, question_key: str, choices: Sequence[str] = (),
    reply: Optional[Reply] = None, calibrated: bool = False, age_ms: float = 0.0,
) -> DuckVerdict:
    """The verdict to publish. Without a reply nothing was read: no probabilities, no model."""
    verdict = DuckVerdict(header=header, level=int(judgement.level), reason=judgement.reason, question=question_key)
    verdict.choices, verdict.calibrated, verdict.age_ms = list(choices), calibrated, age_ms
    if reply is not None:
        verdict.probabilities, verdict.off_mass = list(reply.probabilities), reply.off_mass
        verdict.model, verdict.revision = reply.identity.model, reply.identity.revision
        verdict.backend = reply.identity.backend
        timings = reply.timings
        verdict.decode_ms, verdict.wait_ms, verdict.infer_ms = timings.decode_ms, timings.wait_ms, timings.infer_ms
    return verdict
