# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""decode.hpp against seg_node/masks/encoding.py: each decodes the bytes that the other encoded."""

import random
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from seg_node.masks.encoding import decode_crop, decode_mask, encode_mask
from seg_node.types import MaskCrop, Roi

ROOT = Path(__file__).resolve().parents[2]
COMPILER = shutil.which("c++") or shutil.which("g++") or shutil.which("clang++")
ENCODINGS = ("mono8", "bits", "rle")

pytestmark = pytest.mark.skipif(COMPILER is None, reason="no C++ compiler; apt-get install g++")


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    """Function: list of request lines → list of answer lines of test/cpp/decode_lines.cpp."""
    program = tmp_path_factory.mktemp("cpp") / "decode_lines"
    flags = ["-std=c++17", "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Werror"]
    source = ROOT / "test" / "cpp" / "decode_lines.cpp"
    command = [COMPILER, *flags, f"-I{ROOT / 'include'}", str(source), "-o", str(program)]
    compiled = subprocess.run(command, capture_output=True, text=True)
    assert compiled.returncode == 0, compiled.stderr

    def ask(requests):
        lines = "\n".join(requests) + "\n"
        done = subprocess.run([program], input=lines, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()

    return ask


def crops_in_images():
    """(crop, (height, width)): empty, one row, one column, at the borders, full, odd widths, random."""
    rng = np.random.default_rng(5)
    cases = [
        (MaskCrop(0, 0, np.zeros((0, 0), bool)), (4, 7)),
        (MaskCrop(0, 0, np.ones((4, 7), bool)), (4, 7)),
        (MaskCrop(6, 3, np.ones((1, 1), bool)), (4, 7)),
        (MaskCrop(2, 1, np.zeros((3, 5), bool)), (4, 7)),
    ]
    for _ in range(200):
        height, width = rng.integers(1, 30, 2)
        rows, columns = rng.integers(1, height + 1), rng.integers(1, width + 1)
        x_offset, y_offset = rng.integers(0, width - columns + 1), rng.integers(0, height - rows + 1)
        pixels = rng.random((rows, columns)) < rng.choice([0.02, 0.5, 0.98])
        cases.append((MaskCrop(int(x_offset), int(y_offset), pixels), (int(height), int(width))))
    return cases


def request(verb, encoding, image_size, roi, payload):
    place = f"{roi.x_offset} {roi.y_offset} {roi.width} {roi.height}"
    return f"{verb} {encoding} {image_size[0]} {image_size[1]} {place} {payload or '-'}"


def as_text(mask):
    return "".join("01"[value] for value in mask.reshape(-1).astype(int))


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_cpp_decodes_what_python_encoded(answers, encoding):
    cases = crops_in_images()
    requests = [
        request("decode", encoding, size, crop.roi, encode_mask(crop, encoding, size).tobytes().hex())
        for crop, size in cases
    ]
    for (crop, size), answer in zip(cases, answers(requests), strict=True):
        full = np.zeros(size, bool)
        height, width = crop.pixels.shape
        full[crop.y_offset : crop.y_offset + height, crop.x_offset : crop.x_offset + width] = crop.pixels
        assert answer == f"ok {as_text(crop.pixels) or '-'} {as_text(full)}"


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_python_decodes_what_cpp_encoded(answers, encoding):
    cases = crops_in_images()
    requests = [request("encode", encoding, size, crop.roi, as_text(crop.pixels)) for crop, size in cases]
    for (crop, size), answer in zip(cases, answers(requests), strict=True):
        data = bytes.fromhex(answer.removeprefix("ok ").replace("-", ""))
        assert data == encode_mask(crop, encoding, size).tobytes()
        message = type("InstanceMask", (), {"roi": crop.roi, "encoding": encoding, "data": data})
        assert np.array_equal(decode_crop(message, *size).pixels, crop.pixels)


HUGE = 2**32 - 1


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize(
    ("size", "roi", "complaint"),
    [
        ((HUGE, HUGE), Roi(0, 0, 1, 1), "image of 4294967295x4294967295 is over max_pixels (64000000)"),
        ((8001, 8000), Roi(0, 0, 1, 1), "image of 8000x8001 is over max_pixels"),
        ((HUGE, 0), Roi(0, 0, 0, HUGE), "image of 0x4294967295 is over max_pixels"),
        ((0, HUGE), Roi(0, 0, HUGE, 0), "image of 4294967295x0 is over max_pixels"),
        ((0, 0), Roi(0, 0, HUGE, HUGE), "roi of 4294967295x4294967295 is over max_pixels"),
        ((0, 0), Roi(0, 0, HUGE, 0), "roi of 4294967295x0 is over max_pixels"),
    ],
)
def test_cpp_refuses_a_size_that_few_bytes_claim(answers, encoding, size, roi, complaint):
    (answer,) = answers([request("decode", encoding, size, roi, "30")])
    assert answer.startswith("error ") and complaint in answer


def test_cpp_checks_the_runs_before_it_allocates(answers):
    """The roi is within max_pixels; the data are not COCO's, cover nothing or cover something else."""
    size, roi = (8000, 8000), Roi(0, 0, 8000, 8000)
    requests = [request("decode", "rle", size, roi, data.hex()) for data in (b"\0", b"0", b"01", b"O")]
    for answer in answers(requests):
        assert answer.startswith("error ")


def test_cpp_names_an_unknown_encoding_on_one_short_line(answers):
    (answer,) = answers([request("decode", "\x1b[2J\x07" * 1000, (4, 4), Roi(0, 0, 1, 1), "30")])
    assert answer == f"error mask encoding '{'?[2J?' * 12}...' is not known; use mono8, bits or rle"


def random_request(rng):
    """(encoding, (height, width), roi, data): sometimes a good mask, mostly damaged."""
    height, width = rng.randint(1, 9), rng.randint(1, 9)
    x, y = rng.randint(0, width), rng.randint(0, height)
    roi = Roi(x, y, rng.randint(0, width - x), rng.randint(0, height - y))
    if rng.random() < 0.2:
        roi = Roi(*(rng.choice([0, 1, 9, HUGE]) for _ in range(4)))
    encoding = rng.choice(ENCODINGS)
    if roi.x_offset + roi.width <= width and roi.y_offset + roi.height <= height:
        pixels = np.array([rng.random() < 0.5 for _ in range(roi.height * roi.width)], bool)
        crop = MaskCrop(roi.x_offset, roi.y_offset, pixels.reshape(roi.height, roi.width))
        data = bytearray(encode_mask(crop, encoding, (height, width)).tobytes())
    else:
        data = bytearray(rng.randbytes(rng.randint(0, 20)))
    for _ in range(rng.choice([0, 0, 1, 2])):
        if data:
            data[rng.randrange(len(data))] = rng.choice([48, 49, 52, 63, 80, 111, rng.randrange(256)])
    data = data[: rng.choice([None, None, -1, 3])]
    return encoding, rng.choice([(height, width), (height, width), (width, height)]), roi, bytes(data)


def test_cpp_and_python_read_and_refuse_the_same(answers):
    rng = random.Random(0)
    cases = [random_request(rng) for _ in range(5000)]
    read = 0
    requests = [request("decode", encoding, size, roi, data.hex()) for encoding, size, roi, data in cases]
    for (encoding, size, roi, data), answer in zip(cases, answers(requests), strict=True):
        message = type("InstanceMask", (), {"roi": roi, "encoding": encoding, "data": data})
        try:
            crop = decode_crop(message, *size)
        except ValueError:
            assert answer.startswith("error ")
        else:
            assert answer == f"ok {as_text(crop.pixels) or '-'} {as_text(decode_mask(message, *size))}"
            read += 1
    assert 500 < read < 4500  # both happen


@pytest.mark.parametrize(
    ("encoding", "roi", "data", "complaint"),
    [
        ("mono8", Roi(2, 3, 5, 4), bytes(19), "mono8 mask of roi 5x4 at (2, 3) has 19 bytes, not 20"),
        ("bits", Roi(2, 3, 9, 4), bytes(7), "bits mask of roi 9x4 at (2, 3) has 7 bytes, not 8"),
        ("mono8", Roi(8, 3, 5, 4), bytes(20), "roi 5x4 at (8, 3) does not lie in the image 12x10"),
        ("bits", Roi(2, 2**32 - 1, 9, 4), bytes(8), "does not lie in the image 12x10"),
        ("png", Roi(0, 0, 1, 1), bytes(1), "mask encoding 'png' is not known; use mono8, bits or rle"),
        ("rle", Roi(0, 0, 12, 10), b"", "not COCO"),
        ("rle", Roi(0, 0, 12, 10), b"\x00\xff", "not COCO"),
        ("rle", Roi(0, 0, 12, 10), b"hhhhhhhhhhhh3", "not COCO"),
        ("rle", Roi(0, 0, 12, 10), b"h", "not COCO"),
        ("rle", Roi(0, 0, 12, 10), b"h3h", "not COCO"),
        ("rle", Roi(0, 0, 12, 10), b"h2", "do not cover the image 12x10"),
        ("rle", Roi(0, 0, 12, 10), b"OO", "do not cover the image 12x10"),
        # 51 pixels off, 1 on, 68 off: the pixel at column 5, row 1, just below; then the one at row 0, just
        # above, left and right.
        ("rle", Roi(0, 0, 12, 1), b"c11T2", "object pixels outside roi 12x1 at (0, 0)"),
        ("rle", Roi(0, 1, 12, 9), b"b11U2", "object pixels outside roi 12x9 at (0, 1)"),
        ("rle", Roi(6, 0, 6, 10), b"b11U2", "object pixels outside roi 6x10 at (6, 0)"),
        ("rle", Roi(0, 0, 5, 10), b"b11U2", "object pixels outside roi 5x10 at (0, 0)"),
    ],
)
def test_both_refuse_data_that_do_not_fit(answers, encoding, roi, data, complaint):
    (answer,) = answers([request("decode", encoding, (10, 12), roi, data.hex())])
    assert answer.startswith("error ") and complaint in answer
    message = type("InstanceMask", (), {"roi": roi, "encoding": encoding, "data": data})
    with pytest.raises(ValueError):
        decode_crop(message, 10, 12)
