"""From image_url to pixels: data URIs and bare base64, checked before a pixel is unpacked; nothing else unless allowed.

Promise: no file is ever opened, no address is asked unless fetching was switched on, and then within a deadline and a
size, without redirects; a picture that is cut short, broken or too large is refused with 400, never judged.
"""

from __future__ import annotations

import base64
import binascii
import re
import time
from contextlib import closing
from urllib.parse import urlsplit, urlunsplit

import numpy as np

from duck_protection.frames import FrameError, FrameLimits, decode
from duck_protection.server.errors import bad_request
from duck_protection.vlm.bounded_http import BoundedHttp, HttpError

FETCH_S = 5.0  # in all, for a picture from an http address; llama.cpp waits 10 s
DATA_URI = re.compile(r"data:image/[\w.+-]+(;[^;,]{1,64}){0,4};base64,", re.IGNORECASE)


def picture(url: str, limits: FrameLimits, *, fetch: bool = False) -> np.ndarray:
    """The picture: uint8, (height, width, 3), RGB.

    Args:
        fetch: Whether http and https addresses may be asked.

    Raises:
        ApiError: 400, with what to do.
    """
    try:
        return decode(_bytes(url, limits, fetch), limits)
    except FrameError as err:
        raise bad_request(f"Failed to load image: {err}") from err


def _bytes(url: str, limits: FrameLimits, fetch: bool) -> bytes:
    if not url:
        raise bad_request("image_url.url is missing or empty")
    head = url[:64].lower()
    if head.startswith("data:"):
        match = DATA_URI.match(url)
        if match is None:
            raise bad_request("Invalid url format: a data URI must begin with data:image/...;base64,")
        return _decoded(url[match.end() :], limits)
    if head.startswith(("http://", "https://")):
        if not fetch:
            raise bad_request("http image URLs are not allowed here: send the image as a data URI")
        return _fetched(url, limits)
    if head.startswith("file:"):
        raise bad_request("file:// URLs are not allowed: send the image as a data URI")
    if re.match(r"[a-z][a-z0-9+.-]*:", head):
        raise bad_request("Invalid url value: send the image as a data URI")
    return _decoded(url, limits)


def _decoded(text: str, limits: FrameLimits) -> bytes:
    if len(text) > 4 * (limits.max_bytes // 3 + 2):
        raise bad_request(f"Failed to load image: more than {limits.max_bytes} bytes")
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError) as err:
        raise bad_request("Failed to load image: the data is not base64") from err


def _fetched(url: str, limits: FrameLimits) -> bytes:
    ends_s = time.monotonic() + FETCH_S
    try:
        parts = urlsplit(url)
        path = urlunsplit(("", "", parts.path or "/", parts.query, ""))
        with closing(BoundedHttp(f"{parts.scheme}://{parts.netloc}", {"Connection": "close"})) as http:
            reply = http.request("GET", path, None, ends_s, limits.max_bytes)
    except (HttpError, ValueError) as err:
        raise bad_request("the image URL cannot be fetched") from err
    if reply.status != 200:
        raise bad_request("the image URL cannot be fetched")
    return reply.body
