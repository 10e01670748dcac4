"""Any bytes become pixels or a FrameError; the limits hold before anything is unpacked."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from duck_protection.frames import FrameError, FrameLimits, decode, digest, encode_ppm, pad_to_square


def encoded(rgb: np.ndarray, kind: str, **how: int) -> bytes:
    out = io.BytesIO()
    Image.fromarray(rgb).save(out, kind, **how)
    return out.getvalue()


def refused(data: bytes, limits: FrameLimits = FrameLimits()) -> str:  # noqa: B008 - frozen
    with pytest.raises(FrameError) as caught:
        decode(data, limits)
    return caught.value.code


def test_png_and_ppm_round_trip_exactly(picture: np.ndarray) -> None:
    for data in (encoded(picture, "PNG"), encode_ppm(picture)):
        assert np.array_equal(decode(data), picture)


def test_a_padded_or_flipped_array_becomes_the_picture_it_shows(picture: np.ndarray) -> None:
    view = picture[::-1, ::2]
    assert np.array_equal(decode(encode_ppm(view)), view)


def test_jpeg_keeps_places_and_colours(picture: np.ndarray, jpeg: bytes) -> None:
    decoded = decode(jpeg)
    assert (decoded.shape, decoded.dtype) == (picture.shape, np.uint8)
    assert np.abs(decoded.astype(int) - picture).mean() < 12


def test_grey_and_transparent_pictures_become_rgb(picture: np.ndarray) -> None:
    grey = picture[:, :, 1]
    assert np.array_equal(decode(encoded(grey, "PNG")), np.repeat(grey[:, :, None], 3, axis=2))
    rgba = np.dstack([picture, np.full(picture.shape[:2], 9, np.uint8)])
    assert np.array_equal(decode(encoded(rgba, "PNG")), picture)


def test_every_truncation_of_a_jpeg_is_refused(jpeg: bytes) -> None:
    """llama.cpp decodes a truncated JPEG without complaint: half a picture may miss the duck."""
    for length in range(0, len(jpeg) - 2, 7):
        assert refused(jpeg[:length]) in ("empty", "unreadable")


@pytest.mark.parametrize("subsampling", [0, 1, 2])
@pytest.mark.parametrize("share", [0.3, 0.5, 0.8, 0.95, 0.99])
def test_a_truncated_jpeg_that_was_closed_properly_is_refused(subsampling: int, share: float) -> None:
    """An encoder that loses data and still writes the end: libjpeg makes the rest grey and only warns."""
    noise = np.random.default_rng(1).integers(0, 256, (240, 320, 3), dtype=np.uint8)
    whole = encoded(noise, "JPEG", quality=85, subsampling=subsampling)
    assert decode(whole).shape == noise.shape
    assert refused(whole[: int(len(whole) * share)] + b"\xff\xd9") == "unreadable"


def test_other_formats_are_refused(picture: np.ndarray) -> None:
    for kind in ("BMP", "GIF", "TIFF"):
        assert refused(encoded(picture, kind)) == "unreadable"
    assert refused(b"") == "empty"
    assert refused(b"no picture at all") == "unreadable"


def png_of(width: int, height: int) -> bytes:
    """A tiny PNG that claims any size: what a decompression bomb looks like."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 99)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def test_bombs_are_refused_by_their_header() -> None:
    assert refused(png_of(9_000, 9_000)) == "too_large"
    assert refused(png_of(60_000, 60_000)) == "unreadable"  # Pillow's own limit comes first
    assert refused(png_of(2**31 - 1, 2**31 - 1)) == "unreadable"
    assert refused(b"P6 9000 9000 255\n" + b"\0" * 50) == "too_large"
    assert refused(png_of(0, 480)) in ("too_small", "unreadable")


@pytest.mark.parametrize(
    ("limits", "code"),
    [
        (FrameLimits(max_pixels=64 * 48), None),  # at the limit
        (FrameLimits(max_pixels=64 * 48 - 1), "too_large"),
        (FrameLimits(min_side_px=48), None),
        (FrameLimits(min_side_px=49), "too_small"),
    ],
)
def test_limits_hold_exactly(picture: np.ndarray, limits: FrameLimits, code: str) -> None:
    data = encode_ppm(picture)
    if code is None:
        assert decode(data, limits).shape == (48, 64, 3)
    else:
        assert refused(data, limits) == code


def test_byte_limit_holds_exactly(picture: np.ndarray) -> None:
    data = encode_ppm(picture)
    assert decode(data, FrameLimits(max_bytes=len(data))).shape == (48, 64, 3)
    assert refused(data, FrameLimits(max_bytes=len(data) - 1)) == "too_large"


def test_default_limits_take_a_full_hd_raw_picture() -> None:
    assert decode(b"P6 1920 1080 255\n" + bytes(1920 * 1080 * 3)).shape == (1080, 1920, 3)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200), st.integers(0, 400), st.integers(0, 255))
def test_hostile_bytes_never_raise_anything_else(junk: bytes, at: int, value: int) -> None:
    base = bytearray(encoded(np.arange(48 * 64 * 3, dtype=np.uint32).reshape(48, 64, 3).astype(np.uint8), "JPEG"))
    base[at] = value
    for data in (junk, bytes(base[: at + 1]) + junk, bytes(base)):
        try:
            rgb = decode(data)
        except FrameError:
            continue
        assert rgb.dtype == np.uint8 and rgb.ndim == 3 and rgb.shape[2] == 3


@pytest.mark.parametrize(
    ("data", "limits", "text"),
    [
        (b"", FrameLimits(), "the picture has no bytes"),
        (b"P6", FrameLimits(max_bytes=1), "the picture has 2 bytes, at most 1 are read"),
        (b"P6 90 8 255\n", FrameLimits(), "the picture is 90x8, at least 16 needed"),
        (b"P6 90 80 255\n", FrameLimits(max_pixels=9), "the picture is 90x80, at most 9 pixels are read"),
    ],
)
def test_a_refusal_says_what_is_wrong(data: bytes, limits: FrameLimits, text: str) -> None:
    with pytest.raises(FrameError, match=f"^{text}$"):
        decode(data, limits)
    with pytest.raises(FrameError, match=r"^the picture cannot be decoded: cannot identify image file"):
        decode(b"no picture")


@pytest.mark.parametrize("shape", [(48, 64), (64, 48), (49, 64), (33, 33)])
def test_padding_keeps_every_pixel_in_the_middle_of_black(shape: tuple) -> None:
    rgb = np.random.default_rng(3).integers(1, 255, (*shape, 3)).astype(np.uint8)
    square = pad_to_square(rgb)
    side, top, left = max(shape), (max(shape) - shape[0]) // 2, (max(shape) - shape[1]) // 2
    assert (square.shape, square.dtype) == ((side, side, 3), np.uint8)
    assert np.array_equal(square[top : top + shape[0], left : left + shape[1]], rgb)
    assert square.astype(int).sum() == rgb.astype(int).sum()


def test_digest_tells_pictures_apart(jpeg: bytes) -> None:
    assert digest(jpeg) == digest(bytes(jpeg))
    assert digest(jpeg) != digest(jpeg[:-1] + b"\0")
    assert len(digest(jpeg)) == 16


def progressive(scans: int) -> bytes:
    """A progressive JPEG whose last scan comes so often."""
    rows, columns = np.mgrid[0:400, 0:400]
    out = io.BytesIO()
    Image.fromarray(((rows + columns) // 8).astype(np.uint8)).save(out, "JPEG", progressive=True)
    whole = out.getvalue()[:-2]
    return whole + whole[whole.rindex(b"\xff\xda") :] * scans + b"\xff\xd9"


def test_a_jpeg_of_thousands_of_scans_is_refused_unread() -> None:
    """Each scan costs a walk over all pixels: 60 kB kept a decoder, and so the model, busy for four seconds."""
    assert decode(progressive(0)).shape == (400, 400, 3)
    with pytest.raises(FrameError, match="scans"):
        decode(progressive(3000))


def test_the_limit_of_scans_is_exact_and_has_its_code() -> None:
    own = progressive(0).count(b"\xff\xda")
    assert decode(progressive(64 - own)).shape == (400, 400, 3)
    with pytest.raises(FrameError) as refused:
        decode(progressive(65 - own))
    assert refused.value.code == "unreadable"
