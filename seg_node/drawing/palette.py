# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Colours for drawing; an id, and a kind of stuff, has the same colour in every frame and every run.

All are light enough (Oklab lightness from 0.62) for black text on them.
"""

import math
import re
import zlib

Bgr = tuple[int, int, int]

_GOLDEN_RATIO = 0.6180339887
# Lightness, chroma and hue (degrees) by a word of the stuff's name: "sky-other-merged" is sky. The words are
# those of COCO panoptic, ADE20K, Cityscapes and the embedded model.
_KINDS: dict[tuple[str, ...], tuple[float, float, float]] = {
    ("sky",): (0.80, 0.10, 235),
    ("water", "sea", "river", "lake", "pool", "swimming", "waterfall"): (0.68, 0.13, 250),
    ("tree", "vegetation", "plant", "bush", "palm"): (0.70, 0.15, 145),
    ("grass", "field", "playingfield", "terrain", "flower"): (0.80, 0.15, 125),
    ("floor", "rug", "carpet"): (0.82, 0.11, 95),
    ("wall",): (0.76, 0.06, 270),
    ("ceiling",): (0.88, 0.04, 200),
    ("table", "counter", "shelf", "cabinet", "desk"): (0.71, 0.12, 60),
    ("road", "runway", "railroad", "path"): (0.66, 0.12, 315),
    ("pavement", "sidewalk", "platform", "parking", "gravel"): (0.78, 0.10, 340),
    ("building", "house", "roof", "skyscraper", "bridge", "tent"): (0.68, 0.11, 5),
    ("mountain", "hill", "rock", "stone", "earth", "ground", "dirt", "mud"): (0.66, 0.08, 75),
    ("sand",): (0.86, 0.09, 80),
    ("snow",): (0.93, 0.02, 230),
    ("fence", "railing", "banner", "net"): (0.72, 0.08, 180),
    ("window", "door", "mirror", "blind", "curtain"): (0.80, 0.08, 200),
    ("other",): (0.70, 0.0, 0),
}
_STUFF = {word: colour for words, colour in _KINDS.items() for word in words}


def object_colour(instance_id: int) -> Bgr:
    """A vivid colour; neighbouring ids differ widely in hue, and every third id has the same lightness."""
    return _oklch_to_bgr((0.74, 0.64, 0.84)[instance_id % 3], 0.17, instance_id * _GOLDEN_RATIO)


def stuff_colour(name: str) -> Bgr:
    """The colour that people expect of the stuff's kind; an unknown name has a greyish colour of its own."""
    for word in re.findall("[a-z]+", name.lower()):
        if word in _STUFF:
            lightness, chroma, degrees = _STUFF[word]
            return _oklch_to_bgr(lightness, chroma, degrees / 360)
    return _oklch_to_bgr(0.72, 0.04, zlib.crc32(name.encode("utf-8", "backslashreplace")) / 2**32)


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
