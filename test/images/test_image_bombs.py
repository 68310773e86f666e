# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Small files that would keep a decoder busy or fill memory are refused, or read within a budget."""

import struct
import subprocess
import sys
import zlib
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any
from unittest import mock

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from image_bombs import PNG_SIGNATURE, black_png, chunk, grey_jpeg, zeros

from seg_node.images import png_file
from seg_node.images.buffer import MAX_PIXELS, MAX_SIDE, ImageError
from seg_node.images.decode import decode_compressed, decode_message
from seg_node.images.depth import decode_depth

HEADER = SimpleNamespace(stamp=SimpleNamespace(sec=0, nanosec=0), frame_id="camera")
CPU_S, MEMORY_MB = 10, 1000

# Decodes the file on standard input and optionally prepares it; prints the outcome, and the megabytes beyond
# those of the idle program.
LIMITED = f"""
import resource, sys
from types import SimpleNamespace
from seg_node.images.decode import ImageError, decode_message

def megabytes():  # not ru_maxrss, which a process inherits from its parent
    (line,) = (line for line in open("/proc/self/status") if line.startswith("VmHWM"))
    return int(line.split()[1]) // 1024

file, (_, format, *resizes) = sys.stdin.buffer.read(), sys.argv
if resizes:
    import torch
    from seg_node.preprocess.prepare import InputSpec, prepare_frames
    torch.set_num_threads(1)
header = SimpleNamespace(stamp=SimpleNamespace(sec=0, nanosec=0), frame_id="camera")
idle, spent = megabytes(), int(sum(resource.getrusage(resource.RUSAGE_SELF)[:2]))
resource.setrlimit(resource.RLIMIT_CPU, (spent + {CPU_S}, spent + {CPU_S}))
try:
    frame = decode_message(SimpleNamespace(header=header, format=format, data=file))
    for resize in resizes:
        for exact in (True, False):
            prepare_frames([frame], InputSpec(resize=resize), torch.device("cpu"), exact)
    print("decoded", *frame.pixels.shape, megabytes() - idle)
except ImageError as error:
    print(error.reason, megabytes() - idle)
"""


def decode_limited(file: bytes, format: str, resizes: Sequence[str] = ()) -> str:
    """ "decoded H W …" or the error's reason, from a process limited to CPU_S and MEMORY_MB."""
    done = subprocess.run([sys.executable, "-c", LIMITED, format, *resizes], input=file, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
    words, _, megabytes = done.stdout.decode().strip().rpartition(" ")
    assert int(megabytes) < MEMORY_MB
    return words


def long_chunk(name: bytes, length: int) -> bytes:
    """A PNG whose last chunk but one declares this length."""
    file = black_png(40, 40)
    at = file.index(b"IDAT") - 4 if name == b"IDAT" else len(file) - 12
    return file[:at] + struct.pack(">I4s", length, name) + file[at:]


def texts(name: bytes, size: int, count: int) -> bytes:
    return chunk(name, b"a\0\0" + zeros(size)) * count


@pytest.mark.parametrize(
    ("make", "format", "answer"),
    [
        (lambda: long_chunk(b"IDAT", 0xD8FFFFFF), "png", "truncated_data"),
        (lambda: long_chunk(b"IDAT", 2**31 - 1), "bgr8; png compressed bgr8", "truncated_data"),
        (lambda: long_chunk(b"zTXt", 2**32 - 1), "png", "truncated_data"),
        (lambda: black_png(16, 16, unpacked=5_000_000_000), "png", "decoded 16 16"),
        (lambda: black_png(16, 16, 16, 2, unpacked=5_000_000_000), "png", "corrupt_image"),
        (lambda: black_png(16, 16, 1, 3, unpacked=1_000_000_000), "png", "corrupt_image"),
        (lambda: black_png(16, 16, before=texts(b"zTXt", 7_900_000, 1000)), "png", "decoded 16 16"),
        (lambda: black_png(16, 16, before=texts(b"iCCP", 10**9, 1)), "", "decoded 16 16"),
        (lambda: black_png(400, 400, before=chunk(b"IDAT", b"") * 800_000), "png", "corrupt_image"),
        (lambda: black_png(8000, 8000, 16, 2), "png", "too_large"),
        (lambda: grey_jpeg(8000, 8000, 1000), "jpeg", "too_large"),
        (lambda: grey_jpeg(8000, 8000, 100, 3), "jpeg", "too_large"),
        (lambda: grey_jpeg(8000, 8000, 2000, 3, progressive=False), "jpeg", "too_large"),
        (lambda: grey_jpeg(16, 16, 200_000), "jpeg", "too_large"),
        (lambda: b"\xff\xd8" + b"\xff" * 10_000_000, "jpeg", "corrupt_image"),
        (lambda: b"\xff\xd8" + b"\xff\xe0\0\2" * 2_500_000, "jpeg", "corrupt_image"),
    ],
)
def test_a_bomb_is_refused_or_read_within_the_budget(
    make: Callable[[], bytes], format: str, answer: str
) -> None:
    file = make()
    assert len(file) <= 10_500_000
    assert decode_limited(file, format) == answer


@pytest.mark.slow
@pytest.mark.parametrize(
    ("make", "format", "answer"),
    [
        (lambda: black_png(8000, 8000, 8, 2), "png", "decoded 8000 8000 3"),
        (lambda: black_png(8000, 8000, 8, 6), "png", "decoded 8000 8000 4"),
        (lambda: black_png(8000, 8000, 16, 0), "16UC1; png compressed ", "decoded 8000 8000"),
        (lambda: black_png(8000, 8000, 16, 0), "bayer_rggb16; png compressed ", "decoded 8000 8000 3"),
        (lambda: black_png(976, 65535, 8, 2), "png", "decoded 976 65535 3"),
        (lambda: grey_jpeg(8000, 8000, 20, 1), "jpeg", "decoded 8000 8000"),
        (lambda: grey_jpeg(8000, 8000, 1, 3), "jpeg", "decoded 8000 8000 3"),
    ],
)
def test_the_largest_pictures_are_read_and_prepared_within_the_budget(
    make: Callable[[], bytes], format: str, answer: str
) -> None:
    assert decode_limited(make(), format, ["torchvision", "torch", "pillow", "opencv"]) == answer


@pytest.mark.parametrize("scans", [2, 10, 20])
def test_a_progressive_jpeg_of_a_usual_number_of_scans_is_read(scans: int) -> None:
    pixels, channels = decode_compressed(grey_jpeg(1500, 2000, scans), "jpeg")
    assert channels == "mono"
    np.testing.assert_array_equal(pixels, np.full((1500, 2000), 128))


def test_too_many_scans_are_refused_with_their_number() -> None:
    with pytest.raises(
        ImageError, match="8000x8000 has 31 scans, more than 20; set the publisher to baseline"
    ):
        decode_compressed(grey_jpeg(8000, 8000, 31), "jpeg")


def test_a_long_chunk_is_refused_with_its_length() -> None:
    with pytest.raises(ImageError, match=r"PNG chunk IDAT has 3640655871 bytes, but only \d+ are left"):
        decode_compressed(long_chunk(b"IDAT", 3640655871), "png")
    with pytest.raises(ImageError, match=r"PNG chunk a\\n\\x1b\\x00 has 99 bytes"):
        decode_compressed(long_chunk(b"a\n\x1b\0", 99), "png")


@pytest.mark.parametrize(
    ("colour", "bits", "transparency"),
    [
        *((colour, bits, b"") for colour in (0, 2, 4, 6) for bits in (8, 16)),
        *((0, bits, bytes(2)) for bits in (8, 16)),
        *((2, bits, bytes(6)) for bits in (8, 16)),
        (3, 8, b""),
        (3, 8, bytes([9, 99])),
    ],
)
def test_both_png_decoders_give_the_same_pixels(
    monkeypatch: pytest.MonkeyPatch, colour: int, bits: int, transparency: bytes
) -> None:
    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour]
    values = np.random.default_rng(colour).integers(0, 256, (13, 1 + 7 * channels * bits // 8), np.uint8)
    values[:, 0] = 0  # no filter
    file = PNG_SIGNATURE + chunk(b"IHDR", struct.pack(">IIBBBBB", 7, 13, bits, colour, 0, 0, 0))
    file += chunk(b"PLTE", bytes(range(256)) * 3) if colour == 3 else b""
    file += chunk(b"tRNS", transparency) if transparency else b""
    file += chunk(b"tEXt", b"a\0b") + chunk(b"IDAT", zlib.compress(values.tobytes()))
    file += chunk(b"IEND", b"") + b"more"
    expected = cv2.imdecode(np.frombuffer(file, np.uint8), cv2.IMREAD_UNCHANGED)
    for most in (png_file._MAX_UNPACKED_BYTES, 0):
        monkeypatch.setattr(png_file, "_MAX_UNPACKED_BYTES", most)
        pixels = png_file.decode_png(file)
        assert pixels.dtype == expected.dtype
        np.testing.assert_array_equal(pixels, expected)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from([(8, 0), (16, 0), (8, 2), (16, 2), (8, 3), (8, 6), (16, 6)]), st.data())
def test_no_damaged_png_raises_anything_else_in_either_decoder(kind: tuple[int, int], data: Any) -> None:
    file = black_png(5, 7, *kind, before=chunk(b"tEXt", b"a\0b"))
    at = data.draw(st.integers(0, len(file)))
    damaged = file[:at] + data.draw(st.binary(max_size=9)) + file[at + data.draw(st.integers(0, 9)) :]
    for most in (png_file._MAX_UNPACKED_BYTES, 0):
        with mock.patch.object(png_file, "_MAX_UNPACKED_BYTES", most):
            try:
                pixels = png_file.decode_png(damaged)
            except ImageError as error:
                assert str(error).isprintable()
            else:
                assert pixels.dtype in (np.uint8, np.uint16)


def test_an_interlaced_png_has_as_many_bytes_as_its_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(png_file, "_MAX_UNPACKED_BYTES", 0)
    height, width = 11, 3  # by hand: passes of 1x2, 0x0, 1x1, 1x3, 2x3, 1x6 and 3x5 pixels, 6 bytes each
    size = 2 * 7 + 1 * 7 + 3 * 7 + 3 * 13 + 6 * 7 + 5 * 19
    file = bytearray(black_png(height, width, 16, 2, unpacked=size))
    file[28] = 1
    file[29:33] = struct.pack(">I", zlib.crc32(file[12:29]))
    assert png_file.decode_png(bytes(file)).shape == (height, width, 3)
    longer = bytearray(black_png(height, width, 16, 2, unpacked=size + 1))
    longer[28:33] = file[28:33]
    with pytest.raises(ImageError, match=f"unpacks to more than its {size} bytes"):
        png_file.decode_png(bytes(longer))


def raw(height: int, width: int, encoding: str = "mono8", data: bytes = b"") -> Any:
    return SimpleNamespace(
        header=HEADER,
        height=height,
        width=width,
        encoding=encoding,
        step=2 * width,
        is_bigendian=0,
        data=data,
    )


def packed(file: bytes, format: str = "") -> Any:
    return SimpleNamespace(header=HEADER, format=format, data=file)


@pytest.mark.parametrize("decode", [decode_message, decode_depth])
@pytest.mark.parametrize(
    ("height", "width"),
    [(8001, 8000), (1, MAX_PIXELS + 1), (2**32 - 1, 2**32 - 1), (1, MAX_SIDE + 1), (MAX_SIDE + 1, 1)],
)
def test_too_large_a_size_is_refused_in_every_kind_of_message(decode: Any, height: int, width: int) -> None:
    png = bytearray(black_png(4, 4, 16))
    png[16:24] = struct.pack(">II", width, height)
    for message in (raw(height, width, "mono16"), packed(bytes(png), "16UC1; png compressed ")):
        with pytest.raises(ImageError, match=f"{width}x{height}, over") as caught:
            decode(message)
        assert caught.value.reason == "too_large"


@pytest.mark.parametrize("decode", [decode_message, decode_depth])
def test_the_caller_may_raise_max_pixels(decode: Any) -> None:
    messages = (
        raw(30, 40, "mono16", bytes(2400)),
        packed(black_png(30, 40, 16), "16UC1; png compressed "),
    )
    for message in messages:
        decode(message, max_pixels=1200)
        with pytest.raises(ImageError, match=r"40x30, over max_pixels \(0.001199 megapixels\)"):
            decode(message, max_pixels=1199)
    with pytest.raises(ImageError, match="40x30, over max_pixels"):
        decode_message(packed(grey_jpeg(30, 40)), max_pixels=1199)
    assert decode_message(packed(grey_jpeg(9000, 8000)), max_pixels=72_000_000).image_size == (9000, 8000)
