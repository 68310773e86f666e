# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Pictures of a video are converted with their own matrix and range."""

import numpy as np
import pytest

pytest.importorskip("av", reason="PyAV is not installed")
import av

from seg_node.images.buffer import ImageError
from seg_node.video.picture import Picture

# Matrix (ITU-T H.273, table 4) → weights of red and blue in Y. 2 is unspecified: BT.601
WEIGHTS = {1: (0.2126, 0.0722), 2: (0.299, 0.114), 5: (0.299, 0.114), 6: (0.299, 0.114), 9: (0.2627, 0.0593)}
YUV = ((81, 90, 240), (145, 54, 34), (41, 240, 110), (180, 128, 128), (100, 100, 160))


def expected_bgr(y: int, u: int, v: int, matrix: int, full: bool) -> list[float]:
    """The definition in ITU-T H.273, 8.3."""
    red, blue = WEIGHTS[matrix]
    luma, cb, cr = (
        (y / 255, (u - 128) / 255, (v - 128) / 255)
        if full
        else ((y - 16) / 219, (u - 128) / 224, (v - 128) / 224)
    )
    r, b = luma + 2 * (1 - red) * cr, luma + 2 * (1 - blue) * cb
    g = (luma - red * r - blue * b) / (1 - red - blue)
    return [float(np.clip(255 * value, 0, 255)) for value in (b, g, r)]


def uniform(yuv: tuple[int, int, int], pixel_format: str, matrix: int, colour_range: int) -> Picture:
    planar = pixel_format if pixel_format.startswith("yuv") and "10" not in pixel_format else "yuv420p"
    frame = av.VideoFrame(64, 48, planar)
    for plane, value in zip(frame.planes, yuv, strict=True):
        plane.update(bytes([value]) * plane.buffer_size)
    if planar != pixel_format:
        frame = frame.reformat(format=pixel_format)
    frame.colorspace, frame.color_range = matrix, colour_range
    return Picture(None, frame)


@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuvj420p", "yuv444p", "nv12", "yuv420p10le"])
@pytest.mark.parametrize("matrix", WEIGHTS)
@pytest.mark.parametrize("colour_range", [0, 1, 2])
def test_colours_follow_the_matrix_and_range_of_the_stream(
    pixel_format: str, matrix: int, colour_range: int
) -> None:
    full = colour_range == 2 or pixel_format == "yuvj420p"
    for yuv in YUV:
        bgr = uniform(yuv, pixel_format, matrix, colour_range).to_bgr()
        assert (bgr.shape, bgr.dtype) == ((48, 64, 3), np.uint8)
        # swscale rounds twice in 8 bits for subsampled chroma
        assert np.abs(bgr[24, 32] - expected_bgr(*yuv, matrix, full)).max() <= 3


def test_colours_that_cannot_be_converted_are_refused_by_name() -> None:
    with pytest.raises(ImageError, match="pixel format yuv444p, matrix 8 of ITU-T H") as refusal:
        uniform(YUV[0], "yuv444p", 8, 1).to_bgr()  # YCgCo
    assert refusal.value.reason == "unknown_encoding"


def test_pictures_over_max_pixels_are_refused_before_they_are_converted() -> None:
    picture = uniform(YUV[0], "yuv420p", 1, 1)
    assert picture.to_bgr(64 * 48).shape == (48, 64, 3)
    with pytest.raises(ImageError, match="64x48") as refusal:
        picture.to_bgr(64 * 48 - 1)
    assert refusal.value.reason == "too_large"
