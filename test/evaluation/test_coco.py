# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""seg_node.evaluation.coco against pycocotools and hand-made values."""

import json

import numpy as np
import pytest
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from seg_node.evaluation.coco import (
    categories,
    image_ids,
    instance_results,
    panoptic_annotation,
    panoptic_png,
)
from seg_node.types import Instances, LabelSet, MaskCrop, PanopticSegments, Roi, Segment

SIZE = (30, 50)


def make_instances(crops: list[MaskCrop], boxes: list[tuple[float, float, float, float]]) -> Instances:
    count = len(crops)
    return Instances(
        boxes_xyxy=np.array(boxes, np.float32).reshape(count, 4),
        scores=np.linspace(0.9, 0.3, count).astype(np.float32),
        class_ids=np.arange(1, count + 1).astype(np.int32) * 7,
        masks=tuple(crops),
        ids=np.arange(1, count + 1).astype(np.uint32),
    )


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ([], []),
        (["000000000139.jpg"], [139]),
        (["COCO_val2014_000000000139.jpg", "7.png"], [139, 7]),
        (["a.jpg", "b.jpg"], [1, 2]),
        (["cat.jpg", "1.jpg", "dog.jpg", "3.jpg", "owl.jpg"], [2, 1, 4, 3, 5]),
        (["left/5.jpg", "right/5.jpg", "5.png"], [5, 1, 2]),
        (["12a.jpg", "frame_12.jpg", "noext", "12"], [1, 2, 3, 12]),
    ],
)
def test_image_ids_are_the_numbers_in_names_and_never_repeat(names: list[str], expected: list[int]) -> None:
    assert image_ids(names) == expected


def test_no_instance_gives_no_result() -> None:
    assert instance_results(Instances.empty(), SIZE, "a.jpg", 1) == []


def test_results_decode_to_the_masks_and_boxes() -> None:
    random = np.random.default_rng(0)
    crops = [
        MaskCrop(3, 20, random.random((10, 40)) > 0.4),  # touches the lower border
        MaskCrop(0, 0, np.ones(SIZE, bool)),
        MaskCrop(0, 0, np.zeros((0, 0), bool)),
    ]
    boxes = [(3.25, 20.5, 43.0, 30.0), (-1.5, 0.0, 50.0, 31.0), (10.0, 10.0, 10.0, 10.0)]
    results = json.loads(json.dumps(instance_results(make_instances(crops, boxes), SIZE, "x/a.jpg", 139)))
    assert [result["bbox"] for result in results] == [
        [3.25, 20.5, 39.75, 9.5],
        [-1.5, 0, 51.5, 31],
        [10, 10, 0, 0],
    ]
    assert [result["category_id"] for result in results] == [7, 14, 21]
    assert [result["score"] for result in results] == pytest.approx([0.9, 0.6, 0.3], abs=1e-7)
    for result, crop in zip(results, crops, strict=True):
        assert (result["image_id"], result["file_name"]) == (139, "x/a.jpg")
        expected = np.zeros(SIZE, np.uint8)
        rows, columns = crop.pixels.shape
        expected[crop.y_offset : crop.y_offset + rows, crop.x_offset : crop.x_offset + columns] = crop.pixels
        assert result["segmentation"]["size"] == [30, 50]
        np.testing.assert_array_equal(coco_mask.decode(result["segmentation"]), expected)


def test_pycocotools_loads_the_results() -> None:
    ground_truth = COCO()
    ground_truth.dataset = {
        "info": {},
        "images": [{"id": 139, "height": 30, "width": 50}],
        "categories": [{"id": 7, "name": "train"}],
        "annotations": [],
    }
    ground_truth.createIndex()
    instances = make_instances([MaskCrop(4, 5, np.ones((6, 8), bool))], [(4, 5, 12, 11)])
    loaded = ground_truth.loadRes(instance_results(instances, SIZE, "139.jpg", 139))
    (annotation,) = loaded.loadAnns(loaded.getAnnIds())
    assert annotation["area"] == 48
    assert loaded.annToMask(annotation).sum() == 48


def test_panoptic_colours_hold_ids_over_255() -> None:
    segment_map = np.array([[0, 1, 255], [256, 4660, 65535]], np.uint16)
    colours = panoptic_png(segment_map)
    assert colours.shape == (2, 3, 3)
    assert colours[1, 1].tolist() == [0x34, 0x12, 0]
    red, green, blue = np.moveaxis(colours.astype(int), 2, 0)
    np.testing.assert_array_equal(red + 256 * green + 65536 * blue, segment_map)


def test_panoptic_annotation_lists_every_segment() -> None:
    segments = (
        Segment(1, 18, True, 0.9, 12, Roi(4, 2, 3, 4), 1),
        Segment(2, 149, False, 0.0, 30, Roi(0, 0, 10, 3), 0),
    )
    annotation = panoptic_annotation(PanopticSegments(np.zeros(SIZE, np.uint16), segments), "a.png", 5)
    assert (annotation["image_id"], annotation["file_name"]) == (5, "a.png")
    assert annotation["segments_info"] == [
        {"id": 1, "category_id": 18, "isthing": 1, "bbox": [4, 2, 3, 4], "area": 12, "iscrowd": 0},
        {"id": 2, "category_id": 149, "isthing": 0, "bbox": [0, 0, 10, 3], "area": 30, "iscrowd": 0},
    ]


def test_categories_hold_things_and_stuff() -> None:
    assert categories(LabelSet({1: "person"}, {149: "grass"})) == [
        {"id": 1, "name": "person", "isthing": 1},
        {"id": 149, "name": "grass", "isthing": 0},
    ]
