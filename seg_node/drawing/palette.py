# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Colours for drawing; an id has the same colour in every frame and every run.

All are light enough (Oklab lightness from 0.62) for black text on them.
"""

import math

Bgr = tuple[int, int, int]

_GOLDEN_RATIO = 0.6180339887


def object_colour(instance_id: int) -> Bgr:
    """A vivid colour; neighbouring ids differ widely in hue, and every third id has the same lightness."""
    return _oklch_to_bgr((0.74, 0.64, 0.84)[instance_id % 3], 0.17, instance_id * _GOLDEN_RATIO)


def stuff_colour(class_id: int) -> Bgr:
    """A muted colour, so that objects stand out from it."""
    return _oklch_to_bgr(0.62, 0.06, class_id * _GOLDEN_RATIO)


def _oklch_to_bgr(lightness: float, chroma: float, turns: float) -> Bgr:
    """Convert Oklab in polar form, where equal steps look equal, to 8-bit sRGB.

    Source: Björn Ottosson, "A perceptual color space for image processing" (2020).
    """
    a = chroma * math.cos(2 * math.pi * turns)
    b = chroma * math.sin(2 * math.pi * turns)
    long = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3
    medium = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3
    short = (lightness - 0.0894841775 * a - 1.2914855480 * b) ** 3
    blue = -0.0041960863 * long - 0.7034186147 * medium + 1.7076147010 * short
    green = -1.2684380046 * long + 2.6097574011 * medium - 0.3413193965 * short
    red = 4.0767416621 * long - 3.3077115913 * medium + 0.2309699292 * short
    return _srgb_byte(blue), _srgb_byte(green), _srgb_byte(red)


def _srgb_byte(linear: float) -> int:
    linear = min(max(linear, 0.0), 1.0)
    value = 12.92 * linear if linear <= 0.0031308 else 1.055 * linear ** (1 / 2.4) - 0.055
    return round(255 * value)
