# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Readable image files, conversion of their values, and refusals."""

import mmap
import os
import struct
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from seg_node.sources.find_images import IMAGE_SUFFIXES
from seg_node.sources.image_files import read_image
from seg_node.sources.image_formats import PICTURE_FORMATS
from seg_node.untrusted.memory_limit import limited_memory

RANDOM = np.random.default_rng(0)
SMOOTH = cv2.resize(RANDOM.integers(0, 256, (6, 10, 3), np.uint8), (80, 48), interpolation=cv2.INTER_CUBIC)


def save(path: Path, pixels: np.ndarray = SMOOTH, **options: Any) -> Path:
    Image.fromarray(pixels).save(path, **options)
    return path


def tiff(values: np.ndarray, tags: dict[int, int]) -> bytes:
    """A little-endian TIFF of one strip with these tags (all SHORT) in addition to those of its size."""
    height, width = values.shape
    data = values.tobytes()
    entries = {256: width, 257: height, 259: 1, 273: 8, 277: 1, 278: height, 279: len(data), **tags}
    directory = b"".join(struct.pack("<HHII", tag, 3, 1, value) for tag, value in sorted(entries.items()))
    body = data + bytes(len(data) % 2)
    return (
        b"II*\0"
        + struct.pack("<I", 8 + len(body))
        + body
        + struct.pack("<H", len(entries))
        + directory
        + bytes(4)
    )


GREY16 = (np.arange(60, dtype=np.uint16).reshape(6, 10) * 257).astype("<u2")


def refusal(path: Path) -> str:
    with pytest.raises(ValueError) as error:
        read_image(path)
    text = str(error.value)
    assert text.startswith(f"{path}: cannot be read as an image (") and "\n" not in text and len(text) < 1000
    return text


@pytest.mark.parametrize("suffix", [".jfif", ".jpe", ".gif", ".jp2", ".tga", ".pnm", ".webp", ".avif"])
def test_what_pillow_opens_is_read(tmp_path: Path, suffix: str) -> None:
    if suffix not in Image.registered_extensions():
        pytest.skip(f"this Pillow does not know {suffix}")
    assert suffix in IMAGE_SUFFIXES
    frame = read_image(save(tmp_path / f"a{suffix}"))
    assert (frame.channels, frame.image_size) == ("rgb", (48, 80))
    assert np.abs(frame.pixels.astype(int) - SMOOTH).mean() < 10, "what JPEG, GIF and AVIF lose"


def test_formats_that_pillow_lacks_are_not_requested() -> None:
    assert set(PICTURE_FORMATS) <= set(Image.OPEN) and "EPS" not in PICTURE_FORMATS


@pytest.mark.skipif(os.name != "posix", reason="a program made here stands for Ghostscript")
def test_a_postscript_file_starts_no_program_whatever_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = tmp_path / "started"
    program = tmp_path / "gs"
    program.write_text(f"#!/bin/sh\ntouch '{started}'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setattr("PIL.EpsImagePlugin.gs_binary", None)
    drawing = "%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 100 100\n%%EndComments\nshowpage\n%%EOF"
    (tmp_path / "picture.png").write_text(drawing)
    assert "convert it to PNG or JPEG" in refusal(tmp_path / "picture.png")
    assert not started.exists()


@pytest.mark.parametrize(
    "content", [b"", b"text", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF89a", b"II*\0"]
)
def test_a_file_that_is_not_an_image_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.png").write_bytes(content)
    refusal(tmp_path / "a.png")


def test_a_missing_file_and_a_pipe_are_refused_and_not_waited_for(tmp_path: Path) -> None:
    assert "no such file" in refusal(tmp_path / "missing.png")
    os.mkfifo(tmp_path / "pipe.png")
    assert "no such file" in refusal(tmp_path / "pipe.png")


# --- sizes ------------------------------------------------------------------------------------------


def png(width: int, height: int) -> bytes:
    """A PNG's header with one byte of data."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")


@pytest.mark.parametrize(("width", "height"), [(9000, 9000), (64_000_001, 1), (65535, 65535)])
def test_more_than_64_megapixels_are_refused_by_the_header(tmp_path: Path, width: int, height: int) -> None:
    (tmp_path / "a.png").write_bytes(png(width, height))
    assert "64 megapixels; scale it down" in refusal(tmp_path / "a.png")


def test_up_to_64_megapixels_are_decoded(tmp_path: Path) -> None:
    """One row keeps the test fast; only the header matters."""
    (tmp_path / "a.png").write_bytes(png(64_000_000, 1))
    assert "scale it down" not in refusal(tmp_path / "a.png")


def test_a_tiff_of_huge_tiles_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.tif").write_bytes(tiff(GREY16, {258: 16, 262: 1, 322: 60000, 323: 60000}))
    assert "its tiles are over 64 megapixels" in refusal(tmp_path / "a.tif")


def progressive(scans: int) -> bytes:
    """A progressive JPEG with at least this many scans, by repeating its last one."""
    done, encoded = cv2.imencode(".jpg", SMOOTH, [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])
    assert done
    data = encoded.tobytes()
    last = data.rfind(b"\xff\xda")
    return data[:-2] + data[last:-2] * scans + data[-2:]


def test_a_jpeg_of_many_scans_is_refused(tmp_path: Path) -> None:
    (tmp_path / "usual.jpg").write_bytes(progressive(0))
    np.testing.assert_allclose(read_image(tmp_path / "usual.jpg").pixels[..., ::-1], SMOOTH, atol=60)
    (tmp_path / "many.jpg").write_bytes(progressive(101))
    assert "over 100 scans" in refusal(tmp_path / "many.jpg")


def test_data_after_a_jpeg_are_not_scanned(tmp_path: Path) -> None:
    """Phones append a video."""
    path = save(tmp_path / "a.jpg")
    expected = read_image(path).pixels
    path.write_bytes(path.read_bytes() + b"\xff\xda\x00\x08" * 1000)
    np.testing.assert_array_equal(read_image(path).pixels, expected)


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is limited on Linux only")
def test_memory_is_limited_inside_the_context_only() -> None:
    with pytest.raises(OSError, match="Cannot allocate"), limited_memory(50_000_000):
        mmap.mmap(-1, 200_000_000, flags=mmap.MAP_PRIVATE)  # and not from memory freed before
    mmap.mmap(-1, 200_000_000, flags=mmap.MAP_PRIVATE).close()


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is limited on Linux only")
def test_a_chunk_longer_than_the_file_takes_no_memory(tmp_path: Path) -> None:
    whole = png(10, 10)
    at = whole.index(b"IDAT") - 4
    (tmp_path / "a.png").write_bytes(whole[:at] + struct.pack(">I", 2**31 - 1) + whole[at + 4 :])
    refusal(tmp_path / "a.png")


# --- truncation -------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"quality": 30}])
def test_a_jpeg_cut_anywhere_is_refused_by_name(tmp_path: Path, options: dict[str, Any]) -> None:
    whole = save(tmp_path / "whole.jpg", **options).read_bytes()
    cut = tmp_path / "cut.jpg"
    for length in range(0, len(whole) - 2, 7):
        cut.write_bytes(whole[:length])
        refusal(cut)


# --- values -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pixels", "words"),
    [
        (np.arange(60, dtype=np.int32).reshape(6, 10) * 1000, "32 bit and a sign"),
        (np.full((6, 10), 0.5, np.float32), "floating point"),
    ],
)
def test_a_tiff_of_another_depth_is_refused(tmp_path: Path, pixels: np.ndarray, words: str) -> None:
    text = refusal(save(tmp_path / "a.tif", pixels))
    assert words in text and "8 bit" in text


@pytest.mark.parametrize(
    ("dtype", "tags", "words"),
    [
        ("<i2", {258: 16, 262: 1, 339: 2}, "16 bit and a sign"),
        ("|i1", {258: 8, 262: 1, 339: 2}, "8 bit and a sign"),
        ("<u4", {258: 32, 262: 1, 339: 1}, "32 bit;"),
        ("<u2", {258: 16, 262: 1, 254: 1}, "thumbnail"),
    ],
)
def test_files_that_pillow_would_read_wrongly_are_refused(
    tmp_path: Path, dtype: str, tags: dict[int, int], words: str
) -> None:
    (tmp_path / "a.tif").write_bytes(tiff(GREY16.astype(dtype), tags))
    assert words in refusal(tmp_path / "a.tif")


@pytest.mark.parametrize(("photometric", "first", "last"), [(1, 0, 59), (0, 255, 196)])
def test_16_bit_grey_is_scaled_and_white_is_white(
    tmp_path: Path, photometric: int, first: int, last: int
) -> None:
    (tmp_path / "a.tif").write_bytes(tiff(GREY16, {258: 16, 262: photometric}))
    pixels = read_image(tmp_path / "a.tif").pixels
    assert pixels.shape == (6, 10, 3) and (pixels[0, 0].tolist(), pixels[-1, -1].tolist()) == (
        [first] * 3,
        [last] * 3,
    )


def test_16_bit_grey_is_rounded(tmp_path: Path) -> None:
    """65535 → 255; no 16-bit value is halfway between two 8-bit values."""
    values = np.array([[0, 128, 129, 385, 386, 32768, 65406, 65407, 65535]], np.uint16)
    pixels = read_image(save(tmp_path / "a.png", values)).pixels
    assert pixels[0, :, 0].tolist() == [0, 0, 1, 1, 2, 128, 254, 255, 255]
