"""From bytes to pixels, and never further than the limits allow.

Answers: is this picture readable, and what does it show? Every array is uint8, shape (height, width, 3), RGB order.
Promise: decode() of any bytes whatsoever returns such an array or raises FrameError; the header is checked
against the limits before a single pixel is unpacked, so a decompression bomb costs nothing.
"""
from __future__ import annotations

import hashlib
import io
import warnings
from dataclasses import dataclass

import numpy as np
from PIL import Image

FORMATS = ("JPEG", "PNG", "PPM")  # what cameras and cv_bridge give us; every further decoder is attack surface


@dataclass(frozen=True)
class FrameLimits:
    """What a picture may be. A Duckiebot's is 640x480 in 66 to 112 kB."""

    max_bytes: int = 8 * 1024 * 1024  # a raw 1920x1080 RGB picture has 6.2 MB
    max_pixels: int = 4_200_000  # twice 1920x1080
    min_side_px: int = 16


DEFAULT_LIMITS = FrameLimits()


UNFILLED = 128  # grey: what libjpeg leaves, with a warning that Pillow drops, where an encoder lost data and said "end"
MAX_SCANS = 64  # a camera's JPEG has one, a progressive one about ten; each costs a walk over all pixels


class FrameError(ValueError):
    """This picture cannot be judged. `code` is one word for counters, the text is for people."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


def decode(data: bytes, limits: FrameLimits = DEFAULT_LIMITS) -> np.ndarray:
    """The picture in these bytes, uint8, shape (height, width, 3), RGB order, read-only.

    Raises:
        FrameError: empty, too large, of another format, truncated or corrupt. Treat the frame as UNKNOWN.
    """
    if not data:
        raise FrameError("empty", "the picture has no bytes")
    if len(data) > limits.max_bytes:
        raise FrameError("too_large", f"the picture has {len(data)} bytes, at most {limits.max_bytes} are read")
    if data[:2] == b"\xff\xd8" and data.count(b"\xff\xda") > MAX_SCANS:
        raise FrameError("unreadable", f"a JPEG of more than {MAX_SCANS} scans")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns about what the limits below refuse or allow on purpose
            with Image.open(io.BytesIO(data), formats=FORMATS) as picture:
                _check_size(picture.width, picture.height, limits)
                rgb = np.asarray(picture.convert("RGB"))
                if picture.format == "JPEG" and (rgb[-8:, -8:] == UNFILLED).all():
                    raise FrameError("unreadable", "a JPEG that ends before its picture does")
                return rgb
    except FrameError:
        raise
    except Exception as err:  # Pillow's plug-ins raise a dozen kinds on hostile bytes: OSError, SyntaxError, ...
        raise FrameError("unreadable", f"the picture cannot be decoded: {err or type(err).__name__}") from err


def _check_size(width_px: int, height_px: int, limits: FrameLimits) -> None:
    if min(width_px, height_px) < limits.min_side_px:
        raise FrameError("too_small", f"the picture is {width_px}x{height_px}, at least {limits.min_side_px} needed")
    if width_px * height_px > limits.max_pixels:
        raise FrameError(
            "too_large", f"the picture is {width_px}x{height_px}, at most {limits.max_pixels} pixels are read"
        )


def pad_to_square(rgb: np.ndarray) -> np.ndarray:
    """The whole picture, centred on a black square of its longer side: nothing at the sides is ever cut off.

    FastVLM was trained so (image_aspect_ratio "pad"); cropping would lose a quarter of a 640x480 view.
    """
    height, width = rgb.shape[:2]
    side = max(height, width)
    if height == width:
        return rgb
    square = np.zeros((side, side, 3), dtype=np.uint8)
    top, left = (side - height) // 2, (side - width) // 2
    square[top : top + height, left : left + width] = rgb
    return square


def encode_ppm(rgb: np.ndarray) -> bytes:
    """The picture as binary PPM: lossless, and as fast as a copy, for raw images that travel in one process."""
    height, width = rgb.shape[:2]
    return b"P6 %d %d 255\n" % (width, height) + np.ascontiguousarray(rgb).tobytes()


def digest(data: bytes) -> bytes:
    """Sixteen bytes that tell whether a camera repeats itself; sensor noise makes two real pictures differ."""
    return hashlib.blake2b(data, digest_size=16).digest()
