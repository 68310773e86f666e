# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Captions on an image: black on a filled rectangle, inside the image, none over another."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from seg_node.drawing.palette import Bgr

_FONT = cv2.FONT_HERSHEY_SIMPLEX
_SHORTENED = ".."
_MAX_NAME_LENGTH = 200  # more than fits into any image; every length down from it is tried


@dataclass(frozen=True)
class Caption:
    """A caption for a box.

    name, ending: the text; only the name is shortened to fit into the image.
    box_xyxy: pixels; the caption is placed above the box or near it.
    centred: whether to place it in the middle of the box, or a few lines above or below, instead.
    """

    name: str
    ending: str
    background: Bgr
    box_xyxy: tuple[float, float, float, float]
    centred: bool = False


@dataclass(frozen=True)
class _Placed:
    text: str
    background: Bgr
    x: int
    y: int
    width: int
    height: int

    @property
    def area(self) -> tuple[slice, slice]:
        return slice(self.y, self.y + self.height), slice(self.x, self.x + self.width)


@dataclass(frozen=True)
class _Style:
    """Text size for an image; at VGA letters are about 10 pixels high."""

    scale: float
    thickness: int
    padding: int

    @staticmethod
    def of(image_size: tuple[int, int]) -> "_Style":
        scale = max(0.38, 0.00058 * math.sqrt(image_size[0] * image_size[1]))
        return _Style(scale, max(1, round(1.5 * scale)), max(2, round(6 * scale)))

    def measure(self, text: str) -> tuple[int, int, int]:
        """Width and height of the caption, and its baseline (pixels from the top)."""
        (width, height), below = cv2.getTextSize(text, _FONT, self.scale, self.thickness)
        return width + 2 * self.padding, height + below + self.padding, height + self.padding // 2


def write_captions(picture: NDArray[np.uint8], captions: Sequence[Caption]) -> None:
    """Write captions on the picture, (H, W, 3) uint8, in place.

    Earlier captions get the better places; a caption without a free place is skipped.
    """
    image_size = picture.shape[0], picture.shape[1]
    style = _Style.of(image_size)
    taken = np.zeros(image_size, np.bool_)
    for caption in captions:
        free = (spot for spot in _spots(caption, image_size, style) if not taken[spot.area].any())
        spot = next(free, None)
        if spot is not None:
            taken[spot.area] = True
            _write(picture, spot, style)


def _spots(caption: Caption, image_size: tuple[int, int], style: _Style) -> list[_Placed]:
    """Candidate places for the caption inside the image, best first; none if the image is too small."""
    text = _fitting_text(caption, image_size[1], style)
    width, height, _ = style.measure(text)
    last_x, last_y = image_size[1] - width, image_size[0] - height
    if last_x < 0 or last_y < 0:
        return []
    x_min, y_min, x_max, y_max = (round(edge) for edge in caption.box_xyxy)
    if caption.centred:
        middle = (y_min + y_max - height) // 2
        lefts, tops = [(x_min + x_max - width) // 2], [middle + lines * height for lines in (0, -1, 1, -2, 2)]
    else:
        lefts, tops = [x_min, x_max - width], [y_min - height, y_min, y_max, y_max - height]
    lefts = list(dict.fromkeys(min(max(x, 0), last_x) for x in lefts))
    tops = [y for y in tops if 0 <= y <= last_y] or [min(max(tops[0], 0), last_y)]
    return [_Placed(text, caption.background, x, y, width, height) for x in lefts for y in tops]


def _fitting_text(caption: Caption, image_width: int, style: _Style) -> str:
    name, ending = _printable(caption.name[:_MAX_NAME_LENGTH]), _printable(caption.ending[:_MAX_NAME_LENGTH])
    text = name + ending
    kept = len(name)
    while kept > 0 and style.measure(text)[0] > image_width:
        kept -= 1
        text = name[:kept] + _SHORTENED + ending
    return text


def _printable(text: str) -> str:
    """Replace unprintable characters: OpenCV crashes on lone surrogates and does not break lines."""
    return "".join(char if char.isprintable() else "?" for char in text)


def _write(picture: NDArray[np.uint8], spot: _Placed, style: _Style) -> None:
    area = picture[spot.area]
    area[:] = spot.background
    letters_at = (style.padding, style.measure(spot.text)[2])
    cv2.putText(area, spot.text, letters_at, _FONT, style.scale, (0, 0, 0), style.thickness, cv2.LINE_AA)
