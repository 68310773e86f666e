# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
import tracemalloc
from array import array
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pycocotools import mask as coco_mask

from seg_node.masks.encoding import decode_crop, decode_mask, encode_mask, rle_counts
from seg_node.types import MaskCrop, Roi

ENCODINGS = ("mono8", "bits", "rle")


def message(crop, encoding, image_size):
    data = array("B")
    data.frombytes(encode_mask(crop, encoding, image_size).tobytes())
    return SimpleNamespace(roi=crop.roi, encoding=encoding, data=data)


def on_image(crop, image_size):
    full = np.zeros(image_size, bool)
    for i, j in np.argwhere(crop.pixels):
        full[crop.y_offset + i, crop.x_offset + j] = True
    return full


@st.composite
def crops_in_images(draw):
    """Draw (crop, image_size): empty, 1xN, Nx1, at any border, all true, all false, any width."""
    height, width = draw(st.integers(1, 40)), draw(st.integers(1, 40))
    rows = draw(st.sampled_from([0, 1, height]) | st.integers(0, height))
    columns = draw(st.sampled_from([1, width]) | st.integers(1, width)) if rows else 0
    y_offset = draw(st.sampled_from([0, height - rows]) | st.integers(0, height - rows))
    x_offset = draw(st.sampled_from([0, width - columns]) | st.integers(0, width - columns))
    values = draw(st.sampled_from([st.booleans(), st.just(True), st.just(False)]))
    pixels = draw(hnp.arrays(np.bool_, (rows, columns), elements=values))
    return MaskCrop(x_offset, y_offset, pixels), (height, width)


@given(crops_in_images(), st.sampled_from(ENCODINGS))
@settings(max_examples=400, deadline=None)
def test_decoding_inverts_encoding(crop_and_size, encoding):
    crop, image_size = crop_and_size
    sent = message(crop, encoding, image_size)
    received = decode_crop(sent, *image_size)
    assert received.roi == crop.roi
    assert received.pixels.dtype == np.bool_
    assert np.array_equal(received.pixels, crop.pixels)
    assert np.array_equal(decode_mask(sent, *image_size), on_image(crop, image_size))


@given(crops_in_images())
@settings(max_examples=400, deadline=None)
def test_rle_bytes_are_those_of_pycocotools(crop_and_size):
    crop, image_size = crop_and_size
    full = on_image(crop, image_size)
    assert rle_counts(crop, image_size) == coco_mask.encode(np.asfortranarray(full.view(np.uint8)))["counts"]


def test_rle_of_a_large_image_with_long_runs():
    image_size = (5000, 7000)
    crop = MaskCrop(6998, 0, np.ones((5000, 1), bool))
    counts = rle_counts(crop, image_size)
    assert coco_mask.area({"size": list(image_size), "counts": counts}) == 5000
    assert np.array_equal(
        coco_mask.toBbox({"size": list(image_size), "counts": counts}), [6998.0, 0.0, 1.0, 5000.0]
    )
    decoded = decode_crop(SimpleNamespace(roi=crop.roi, encoding="rle", data=counts), *image_size)
    assert np.array_equal(decoded.pixels, crop.pixels)


def test_rle_of_pycocotools_is_decoded():
    rng = np.random.default_rng(1)
    for density in (0.0, 0.01, 0.5, 1.0):
        full = rng.random((37, 61)) < density
        counts = coco_mask.encode(np.asfortranarray(full.view(np.uint8)))["counts"]
        received = SimpleNamespace(roi=Roi(0, 0, 61, 37), encoding="rle", data=counts)
        assert np.array_equal(decode_mask(received, 37, 61), full)


@pytest.mark.parametrize(
    ("encoding", "expected"),
    [
        ("mono8", [255, 0, 255, 0, 255, 255]),
        ("bits", [0b10100000, 0b01100000]),
        # Down the columns ... .#. ..# .## ...: runs 4 1 3 1 1 2 3; from the fourth on minus the last but one:
        # 4 1 3 0 -2 1 2, each of which is one character 48 + (x & 31).
        ("rle", [52, 49, 51, 48, 78, 49, 50]),
    ],
)
def test_bytes_are_as_the_message_says(encoding, expected):
    crop = MaskCrop(1, 1, np.array([[True, False, True], [False, True, True]]))
    data = encode_mask(crop, encoding, (3, 5))
    assert data.dtype == np.uint8 and data.flags.c_contiguous
    assert data.tolist() == expected


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_crop_that_is_a_view_is_encoded_like_a_copy(encoding):
    pixels = (np.arange(15 * 22).reshape(15, 22) % 3 == 0)[1::2, ::2]
    view, copy = MaskCrop(3, 2, pixels), MaskCrop(3, 2, pixels.copy())
    assert np.array_equal(encode_mask(view, encoding, (30, 40)), encode_mask(copy, encoding, (30, 40)))


def test_mono8_and_bits_are_decoded_without_the_image_size_and_rle_says_that_it_needs_it():
    crop = MaskCrop(2, 3, np.ones((4, 5), bool))
    for encoding in ("mono8", "bits"):
        assert decode_crop(message(crop, encoding, (20, 30))).area == 20
    with pytest.raises(ValueError, match="height and width"):
        decode_crop(message(crop, "rle", (20, 30)))


def damaged(encoding="mono8", roi=None, cut=0):
    crop = MaskCrop(2, 3, np.ones((4, 5), bool))
    sent = message(crop, encoding, (10, 12))
    return SimpleNamespace(
        roi=roi or sent.roi, encoding=sent.encoding, data=sent.data[: len(sent.data) - cut]
    )


@pytest.mark.parametrize(
    ("received", "complaint"),
    [
        (damaged("mono8", cut=1), "mono8 mask of roi 5x4 at \\(2, 3\\) has 19 bytes, not 20"),
        (damaged("bits", cut=1), "bits mask of roi 5x4 at \\(2, 3\\) has 3 bytes, not 4"),
        (damaged("rle", cut=1), "not COCO.*was the message cut off"),
        (damaged("rle", cut=1000), "not COCO"),
        (damaged("mono8", roi=Roi(8, 3, 5, 4)), "roi 5x4 at \\(8, 3\\) does not lie in the image 12x10"),
        (damaged("bits", roi=Roi(2, 7, 5, 4)), "does not lie in the image"),
        (damaged("rle", roi=Roi(2, 3, 5, 3)), "object pixels outside roi 5x3"),
        (SimpleNamespace(roi=Roi(), encoding="png", data=b""), "encoding 'png' is not known; use mono8"),
        (
            SimpleNamespace(roi=Roi(), encoding="\n\x1b" * 999, data=b""),
            r"'(\\n\\x1b){10}… \(1998 chara",
        ),
        (
            SimpleNamespace(roi=Roi(0, 0, 12, 10), encoding="rle", data=b"h2"),
            "rle runs cover 88 pixels.*has 120",
        ),
        (SimpleNamespace(roi=Roi(0, 0, 12, 10), encoding="rle", data=b"hhhhhhhhhhhh3"), "not COCO"),
        (SimpleNamespace(roi=Roi(0, 0, 12, 10), encoding="rle", data=b"\x00\xff"), "not COCO"),
    ],
)
def test_data_that_do_not_fit_are_refused_with_the_reason(received, complaint):
    with pytest.raises(ValueError, match=complaint):
        decode_mask(received, 10, 12)


HUGE = 2**32 - 1


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize(
    ("size", "roi"),
    [
        ((HUGE, HUGE), Roi(0, 0, 1, 1)),
        ((8001, 8000), Roi(0, 0, 1, 1)),
        ((HUGE, 0), Roi(0, 0, 0, HUGE)),  # no pixel, but rows
        ((0, HUGE), Roi(0, 0, HUGE, 0)),
        ((8000, 8000), Roi(0, 0, HUGE, HUGE)),
        ((None, None), Roi(0, 0, HUGE, 0)),
        ((None, None), Roi(0, 0, HUGE, HUGE)),
    ],
)
def test_a_huge_size_declared_by_few_bytes_is_refused(encoding, size, roi):
    received = SimpleNamespace(roi=roi, encoding=encoding, data=b"0")
    for decode in (decode_crop, decode_mask) if size[0] is not None else (decode_crop,):
        with pytest.raises(ValueError, match=r"over max_pixels \(64 megapixels\)|does not lie in"):
            decode(received, *size)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_the_caller_sets_max_pixels(encoding):
    crop = MaskCrop(2, 3, np.ones((4, 5), bool))
    sent = message(crop, encoding, (20, 30))
    assert decode_mask(sent, 20, 30, max_pixels=600).sum() == 20
    assert decode_crop(sent, 20, 30, max_pixels=600).area == 20
    for decode in (decode_crop, decode_mask):
        with pytest.raises(ValueError, match="image of 30x20 is over max_pixels"):
            decode(sent, 20, 30, max_pixels=599)


def test_only_the_roi_of_an_rle_is_unpacked():
    """A row across a large image has one run per column of 8000 pixels."""
    crop = MaskCrop(0, 17, np.ones((1, 8000), bool))
    sent = message(crop, "rle", (8000, 8000))
    tracemalloc.start()
    try:
        received = decode_crop(sent, 8000, 8000)
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert np.array_equal(received.pixels, crop.pixels)
    assert most < 4_000_000


def number(value):
    """Encode one number as COCO's text, like _compress the first three."""
    text = []
    while True:
        low, value = value & 0x1F, value >> 5
        more = value != (-1 if low & 0x10 else 0)
        text.append(48 + low + 32 * more)
        if not more:
            return bytes(text)


def test_runs_whose_sum_overflows_are_refused():
    """Each run is 2³³ longer than the last but one: the last is 2⁵², and the sum 2⁷¹."""
    runs = number(2**33) * (1 << 20)
    with pytest.raises(ValueError, match="rle runs cover impossible pixels, the image 12x10 has 120"):
        decode_mask(SimpleNamespace(roi=Roi(0, 0, 12, 10), encoding="rle", data=runs), 10, 12)


def decoded_plainly(runs, roi, height, width):
    """Decode pixel by pixel down the columns; None if the data do not fit."""
    if any(count < 0 for count in runs) or sum(runs) != height * width:
        return None
    flat = [value for index, count in enumerate(runs) for value in [index % 2] * count]
    full = np.array(flat, bool).reshape(width, height).T
    pixels = full[roi.y_offset : roi.y_offset + roi.height, roi.x_offset : roi.x_offset + roi.width]
    return pixels if pixels.sum() == full.sum() else None


@given(
    st.integers(1, 12),
    st.integers(1, 12),
    st.tuples(*[st.integers(0, 5)] * 4),
    st.lists(st.integers(-2, 40) | st.just(0), min_size=1, max_size=12),
    st.booleans(),
)
@settings(max_examples=600, deadline=None)
def test_any_runs_are_decoded_like_the_plain_reference_or_refused(height, width, place, runs, fill):
    roi = Roi(*place)
    if fill:  # most random runs fit no image
        runs = [*runs, max(0, height * width - sum(runs))]
    text = b"".join(number(count - runs[i - 2] if i > 2 else count) for i, count in enumerate(runs))
    received = SimpleNamespace(roi=roi, encoding="rle", data=text)
    inside = roi.x_offset + roi.width <= width and roi.y_offset + roi.height <= height
    expected = decoded_plainly(runs, roi, height, width) if inside else None
    if expected is None:
        with pytest.raises(ValueError):
            decode_crop(received, height, width)
    else:
        assert np.array_equal(decode_crop(received, height, width).pixels, expected)


SIDE = st.integers(0, 9) | st.sampled_from([8000, 2**31, HUGE])


@given(
    st.binary(max_size=40) | st.text("0123456789:;<=>?@HPX`o", max_size=40).map(str.encode),
    st.sampled_from([*ENCODINGS, "?"]),
    st.tuples(SIDE, SIDE, SIDE, SIDE),
    st.tuples(SIDE, SIDE) | st.just((None, None)),
)
@settings(max_examples=600, deadline=None)
def test_no_mask_raises_anything_else(data, encoding, place, size):
    received = SimpleNamespace(roi=Roi(*place), encoding=encoding, data=data)
    try:
        crop = decode_crop(received, *size)
    except ValueError as error:
        assert str(error).isprintable()
    else:
        assert crop.roi == received.roi
        assert crop.pixels.dtype == np.bool_


def test_an_unknown_encoding_is_not_encoded():
    with pytest.raises(ValueError, match="mono16"):
        encode_mask(MaskCrop(0, 0, np.ones((1, 1), bool)), "mono16", (1, 1))
