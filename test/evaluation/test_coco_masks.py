# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Masks and boxes of COCO annotations: those that would hang or crash pycocotools are refused."""

import math

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from seg_node.evaluation.coco_masks import box_of, outline_of, read_box, read_segmentation

SIZE = (6, 8)
TRIANGLE = [1, 1, 5, 1, 5, 5]
SQUARE = [2.5, 2.5, 4.5, 2.5, 4.5, 4.5, 2.5, 4.5]


def compressed(mask: np.ndarray) -> str:
    return str(coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"].decode())


def some_mask() -> np.ndarray:
    mask = np.zeros(SIZE, bool)
    mask[1:4, 2:7] = True
    return mask


@pytest.mark.parametrize(
    "segmentation",
    [
        [TRIANGLE],
        [TRIANGLE, SQUARE],
        [[-3, -2.5, 11, 0, 4, 9.5]],  # a little outside, as augmented data are
        [[0, 0, 9000, 0, 9000, 9000, 0, 9000]],  # cut out of a large picture, and not clipped
        {"size": [6, 8], "counts": [10, 4, 34]},
        {"size": [6, 8], "counts": [0, 48]},
        {"size": [6, 8], "counts": compressed(some_mask())},
        {"size": [6, 8], "counts": compressed(np.zeros(SIZE))},
    ],
)
def test_masks_that_fit_their_picture_are_read_unchanged(segmentation: object) -> None:
    assert read_segmentation(segmentation, SIZE) == (segmentation, False)


@pytest.mark.parametrize(
    ("segmentation", "expected"),
    [
        ({"size": [6.0, 8.0], "counts": [10.0, 4, 34.0]}, {"size": [6, 8], "counts": [10, 4, 34]}),
        ([[], TRIANGLE, [1, 2], [1, 2, 3, 4]], [TRIANGLE]),
        (None, None),
        ([], None),
        ([[]], None),
        ([[3, 4]], None),
        ([[3, 4, 5, 6]], None),
    ],
)
def test_forms_that_tools_write_are_brought_into_cocos(segmentation: object, expected: object) -> None:
    found, has_scraps = read_segmentation(segmentation, SIZE)
    assert found == expected
    assert has_scraps == (expected == [TRIANGLE])


@pytest.mark.parametrize(
    ("segmentation", "problem"),
    [
        (TRIANGLE, r"one flat list; put the polygon into a list: \[\[x1"),
        ([[[1, 1], [5, 1], [5, 5]]], r"has a polygon \[\[1, 1\].*must be numbers: \[x1, y1"),
        ([[1, 1], [5, 1], [5, 5]], r"of pairs .* put all numbers into one list"),
        ([["1", "1", "5", "1", "5", "5"]], "must be numbers"),
        ([[1, 1, 5, 1, 5, True]], "must be numbers"),
        ([[1, 1, 5, 1, 5, None]], "must be numbers"),
        ([[*TRIANGLE, 7]], "of 7 numbers; x and y take turns"),
        ([[math.nan, *TRIANGLE[1:]]], "the coordinate nan, far outside its picture"),
        ([[*TRIANGLE[:-1], math.nan]], "the coordinate nan"),
        ([[*TRIANGLE, math.inf, -math.inf]], "the coordinate inf"),
        ([[*TRIANGLE, 2e8, 3e8]], r"the coordinate 2.*, far outside its picture \(8x6\)"),
        ([[*TRIANGLE, 10**400, 0]], "the coordinate 10000.*far outside"),
        ([[-9000, 0, 9000, 1] * 40], "pixels' length, in a picture of 8x6; simplify"),
        ([[-9000, 0, 9000, 1, 0, 0]] * 40, "pixels' length, in a picture of 8x6; simplify"),
        (5, "has no mask: draw a polygon"),
        ("[[1, 1, 5, 1, 5, 5]]", "has no mask: draw a polygon"),
        (True, "has no mask"),
        ({}, "has no mask.*no list or text 'counts'"),
        ({"size": [6, 8]}, "no list or text 'counts'"),
        ({"counts": [48]}, r"of size null; it must be its picture's \[height, width\] \[6, 8\]"),
        ({"size": [8, 6], "counts": [48]}, r"of size \[8, 6\]; it must be .* \[6, 8\]; height comes first"),
        ({"size": [-6, -8], "counts": [48]}, r"of size \[-6, -8\]"),
        ({"size": "68", "counts": [48]}, "of size '68'"),
        ({"size": [6, 8], "counts": []}, "of 0 pixels; its picture .* has 48"),
        ({"size": [6, 8], "counts": [10, 4, 33]}, "of 47 pixels; its picture .8x6. has 48"),
        ({"size": [6, 8], "counts": [0, 2**32 - 1, 49]}, "of 4294967344 pixels"),
        ({"size": [6, 8], "counts": [0, -1, 49]}, "-1 among its run lengths; they must be 0 or more"),
        ({"size": [6, 8], "counts": [0.5, 47.5]}, "0.5 among its run lengths; they must be whole"),
        ({"size": [6, 8], "counts": [math.nan, 48]}, "nan among its run lengths"),
        ({"size": [6, 8], "counts": ["48"]}, "'48' among its run lengths"),
        ({"size": [6, 8], "counts": [[48]]}, "among its run lengths"),
        ({"size": [6, 8], "counts": ""}, "'', which are not COCO's compressed text"),
        ({"size": [6, 8], "counts": "\x7f" * 500}, "not COCO's compressed text"),
        ({"size": [6, 8], "counts": "é1"}, "not COCO's compressed text"),
        ({"size": [6, 8], "counts": "0P`oooo1" * 40}, "pixels; its picture"),
        ({"size": [6, 8], "counts": compressed(some_mask())[:-2]}, "run lengths"),
    ],
)
def test_masks_that_pycocotools_cannot_take_are_refused(segmentation: object, problem: str) -> None:
    with pytest.raises(ValueError, match=f"^has .*{problem.removeprefix('has ')}") as error:
        read_segmentation(segmentation, SIZE)
    assert len(str(error.value)) < 300 and str(error.value).isprintable()


@pytest.mark.parametrize(
    ("bbox", "expected"), [([1, 2.5, 3, 0], [1, 2.5, 3, 0]), (None, None), ([], None), ([-2, -1, 20, 9],) * 2]
)
def test_boxes_are_read(bbox: object, expected: object) -> None:
    assert read_box(bbox, SIZE) == expected


@pytest.mark.parametrize(
    "bbox",
    [
        [1],
        [1, 2, 3, 4, 5],
        {"x": 1},
        "1, 2, 3, 4",
        ["1", "2", "3", "4"],
        [1, 2, 3, True],
        [1, 2, -3, 4],
        [math.nan, 2, 3, 4],
        [1, 2, math.inf, 4],
        [1e308, 1e308, 1e308, 1e308],
        [1, 2, 10**400, 4],
    ],
)
def test_boxes_that_no_picture_has_are_refused(bbox: object) -> None:
    with pytest.raises(ValueError, match=r"^has bbox .*it must be \[x, y, width, height\] in pixels"):
        read_box(bbox, SIZE)


@pytest.mark.parametrize(
    ("segmentation", "expected"),
    [
        ([TRIANGLE, SQUARE], [1, 1, 4, 4]),
        ([[1.5, 0.25, 3, 4, 2, 5.5]], [1.5, 0.25, 1.5, 5.25]),
        ({"size": [6, 8], "counts": compressed(some_mask())}, [2, 1, 5, 3]),
        ({"size": [6, 8], "counts": [0, 1, 47]}, [0, 0, 1, 1]),
    ],
)
def test_a_box_is_that_around_its_mask(segmentation: list[list[float]], expected: list[float]) -> None:
    assert box_of(segmentation, SIZE) == expected


def test_the_outline_of_a_box_covers_its_pixels() -> None:
    (polygon,) = outline_of([2, 1, 5, 3])
    mask = coco_mask.decode(coco_mask.merge(coco_mask.frPyObjects([polygon], *SIZE)))
    assert np.array_equal(mask, some_mask())
