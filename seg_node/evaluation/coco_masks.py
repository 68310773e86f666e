# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Check masks and boxes of COCO annotations, because pycocotools, written in C, does not.

Unchecked, a coordinate that is NaN or huge crashes the process, run lengths that do not fill the picture
never end, and those of another size match nothing. Sizes are (height, width).
"""

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from seg_node.evaluation.coco_fields import shown, whole_number
from seg_node.masks.encoding import rle_runs

Segmentation = list[list[float]] | dict[str, Any]

# Pixels that polygons and boxes may reach beyond their picture: some tools crop pictures, but not polygons.
_OUTSIDE = 10_000.0
# pycocotools needs 16 bytes per fifth of a pixel of outline. A real outline passes the four sides of each
# pixel at most; the rest is for parts outside of the picture.
_SIDES, _LONGER = 4, 50_000
# For all outlines of a picture: 10 million pixels take 0.2 s to draw.
_LONGER_TOGETHER = 10_000_000
# Per picture: the densest known has 8000; with 20 000, COCO's evaluation takes 10 s.
_MOST_OBJECTS = 20_000
_LEAST_IOU = 0.1  # one written as corners x1, y1, x2, y2 has w h / (x2 y2)
_AGAIN = "export the masks again"
_DRAW = "draw a polygon of at least three points, or remove the annotation"


def read_segmentation(value: Any, size: tuple[int, int]) -> tuple[Segmentation | None, bool]:
    """Read polygons [[x1, y1, x2, y2, x3, y3, …], …] or run lengths {"size", "counts"} for this picture size.

    Returns the mask, None for null or for polygons of fewer than three points only; and whether such
    polygons were dropped beside others.

    Raises ValueError, whose text begins with a verb.
    """
    if isinstance(value, Mapping):
        return _read_run_lengths(value, size), False
    if value is None:
        return None, False
    if not isinstance(value, list):
        raise ValueError(f"has no mask: {_DRAW} (segmentation is {shown(value)})")
    if any(type(part) in (int, float) for part in value):
        raise ValueError(
            "has a segmentation that is one flat list; put the polygon into a list: [[x1, y1, …]]"
        )
    for polygon in value:
        _check_polygon(polygon, size)
    if len(value) > 2 and all(len(part) == 2 for part in value):
        raise ValueError("has a polygon of pairs [[x1, y1], …]; put all numbers into one list: [[x1, y1, …]]")
    _check_length(value, size, _LONGER)
    polygons = [polygon for polygon in value if len(polygon) >= 6]
    return polygons or None, 0 < len(polygons) < len(value)


def check_together(segmentations: Collection[Segmentation | None], size: tuple[int, int]) -> None:
    """Raise ValueError for masks of one picture that would take minutes to score."""
    if len(segmentations) > _MOST_OBJECTS:
        raise ValueError(
            f"has {len(segmentations)} annotations, more than {_MOST_OBJECTS}; cut it into parts"
        )
    _check_length(
        [part for mask in segmentations if isinstance(mask, list) for part in mask], size, _LONGER_TOGETHER
    )


def read_box(value: Any, size: tuple[int, int]) -> list[float] | None:
    """Read [x, y, width, height]; None for null and an empty list. Raises ValueError."""
    if value is None or value == []:
        return None
    wanted = "it must be [x, y, width, height] in pixels"
    if not isinstance(value, list) or len(value) != 4 or not set(map(type, value)) <= {int, float}:
        raise ValueError(f"has bbox {shown(value)}; {wanted}")
    x, y, width, height = value
    if not (width >= 0 and height >= 0 and all(_is_near(v, size) for v in (x, y, width, height))):
        raise ValueError(f"has bbox {shown(value)}, which its picture ({_text(size)}) cannot have; {wanted}")
    return value


def box_of(segmentation: Segmentation, size: tuple[int, int]) -> list[float]:
    """Return [x, y, width, height] around a mask."""
    if isinstance(segmentation, list):
        xs, ys = ([v for polygon in segmentation for v in polygon[axis::2]] for axis in (0, 1))
        return [min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)]
    from pycocotools import mask as coco_mask

    if isinstance(segmentation["counts"], list):
        segmentation = coco_mask.frPyObjects(segmentation, *size)
    return [float(v) for v in coco_mask.toBbox(segmentation)]


def disagree(box: Sequence[float], around: Sequence[float], size: tuple[int, int]) -> bool:
    """Return whether a box and that around its mask have hardly anything in common (IoU < 0.1).

    Also when the mask is outside its picture, or within the first pixel, as in coordinates from 0 to 1.
    box, around: [x, y, width, height].
    """
    (x1, y1, w1, h1), (x2, y2, w2, h2) = box, around
    if x2 >= size[1] or y2 >= size[0] or min(x2 + w2, y2 + h2) <= 0 or max(x2 + w2, y2 + h2) <= 1:
        return True
    # a pixel is added to each side: thin masks have an area, and rounding does not matter to small ones
    width = min(x1 + w1, x2 + w2) - max(x1, x2) + 1
    height = min(y1 + h1, y2 + h2) - max(y1, y2) + 1
    both = max(width, 0) * max(height, 0)
    return both < _LEAST_IOU * ((w1 + 1) * (h1 + 1) + (w2 + 1) * (h2 + 1) - both)


def outline_of(box: Sequence[float]) -> list[list[float]]:
    """Return the polygon of a box [x, y, width, height]."""
    x, y, width, height = box
    return [[x, y, x + width, y, x + width, y + height, x, y + height]]


def _check_polygon(polygon: Any, size: tuple[int, int]) -> None:
    if not isinstance(polygon, list) or not set(map(type, polygon)) <= {int, float}:
        raise ValueError(f"has a polygon {shown(polygon)}; it must be numbers: [x1, y1, x2, y2, …]")
    if len(polygon) % 2:
        raise ValueError(f"has a polygon of {len(polygon)} numbers; x and y take turns, so they must be even")
    if not polygon:
        return
    low, high = -_OUTSIDE, max(size) + _OUTSIDE
    # min and max may miss a NaN, the sum does not
    if not (low <= min(polygon) <= max(polygon) <= high and math.isfinite(sum(polygon))):
        wrong = next(v for v in polygon if not low <= v <= high)
        raise ValueError(
            f"has a polygon with the coordinate {shown(wrong)}, far outside its picture ({_text(size)}); "
            "give coordinates in pixels"
        )


def _check_length(polygons: list[list[float]], size: tuple[int, int], longer: float) -> None:
    """Check the length of the closed outlines in pixels, where a diagonal step counts as one."""
    longest = _SIDES * size[0] * size[1] + longer
    if sum(len(polygon) * (max(polygon) - min(polygon)) for polygon in polygons if polygon) <= longest:
        return  # a cheaper bound, which nearly all files meet
    length = 0.0
    for polygon in polygons:
        points = np.array(polygon, np.float64).reshape(-1, 2)
        length += np.abs(points - np.roll(points, -1, 0)).max(1, initial=0).sum()
    if length > longest:
        raise ValueError(
            f"has polygons of {length:.0f} pixels' length, in a picture of {_text(size)}; simplify them"
        )


def _read_run_lengths(value: Mapping[str, Any], size: tuple[int, int]) -> dict[str, Any]:
    stated, counts = value.get("size"), value.get("counts")
    if not isinstance(counts, list | str):
        raise ValueError(f"has no mask: {_DRAW} (its run lengths have no list or text 'counts')")
    if not isinstance(stated, list) or [whole_number(side) for side in stated] != list(size):
        swapped = "; height comes first" if stated == [size[1], size[0]] else ""
        raise ValueError(
            f"has run lengths of size {shown(stated)}; it must be its picture's [height, width] "
            f"{list(size)}{swapped}"
        )
    runs = _read_counts(counts, size)
    return {"size": list(size), "counts": counts if isinstance(counts, str) else runs}


def _read_counts(counts: list[Any] | str, size: tuple[int, int]) -> list[int]:
    pixels = size[0] * size[1]
    if isinstance(counts, str):
        try:
            runs = rle_runs(counts.encode("ascii")).tolist()
        except ValueError:  # also for text that is not ASCII
            raise ValueError(
                f"has run lengths {shown(counts)}, which are not COCO's compressed text; {_AGAIN}"
            ) from None
    elif set(map(type, counts)) <= {int}:
        runs = counts
    else:
        runs = [whole_number(count) for count in counts]
        if None in runs:
            wrong = shown(counts[runs.index(None)])
            raise ValueError(f"has {wrong} among its run lengths; they must be whole numbers")
    if runs and min(runs) < 0:
        raise ValueError(f"has {min(runs)} among its run lengths; they must be 0 or more")
    if sum(runs) != pixels:
        raise ValueError(
            f"has run lengths of {shown(sum(runs))} pixels; its picture ({_text(size)}) has {pixels}; "
            f"{_AGAIN}"
        )
    return runs


def _is_near(value: float, size: tuple[int, int]) -> bool:
    return -_OUTSIDE <= value <= max(size) + 2 * _OUTSIDE


def _text(size: tuple[int, int]) -> str:
    return f"{size[1]}x{size[0]}"
