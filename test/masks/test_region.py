# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""A region is cropped from the image, and its results are shifted back."""

import numpy as np
import pytest

from seg_node.masks.region import RegionError, clip_region, crop_frame, uncrop
from seg_node.types import Frame, Instances, MaskCrop, PanopticSegments, Roi, Segment, Segmentation

REGION = Roi(x_offset=10, y_offset=4, width=6, height=5)


def found_in_region() -> Segmentation:
    masks = (MaskCrop(1, 2, np.ones((2, 3), bool)), MaskCrop.empty())
    instances = Instances(
        boxes_xyxy=np.array([[1, 2, 4, 4], [0, 0, 2, 2]], np.float32),
        scores=np.array([0.9, 0.8], np.float32),
        class_ids=np.array([1, 2], np.int32),
        masks=masks,
        ids=np.array([1, 2], np.uint32),
    )
    segment_map = np.zeros((5, 6), np.uint16)
    segment_map[2:4, 1:4] = 1
    segments = (Segment(1, 1, True, 0.9, 6, Roi(1, 2, 3, 2), 1),)
    return Segmentation((5, 6), instances, PanopticSegments(segment_map, segments))


def test_masks_boxes_and_map_are_shifted_to_the_region() -> None:
    whole = uncrop(found_in_region(), REGION, (20, 30))
    assert whole.image_size == (20, 30)
    assert whole.instances.boxes_xyxy[0].tolist() == [11, 6, 14, 8]
    assert whole.instances.masks[0].roi == Roi(11, 6, 3, 2)
    assert whole.instances.masks[1].roi == Roi()  # an empty mask is not shifted
    assert whole.panoptic is not None
    assert whole.panoptic.segments[0].roi == Roi(11, 6, 3, 2)
    expected = np.zeros((20, 30), np.uint16)
    expected[6:8, 11:14] = 1
    assert np.array_equal(whole.panoptic.segment_map, expected)


def test_the_cropped_frame_is_a_view_of_the_regions_pixels() -> None:
    pixels = np.arange(20 * 30 * 3, dtype=np.uint8).reshape(20, 30, 3)
    cut = crop_frame(Frame(pixels, "bgr", 7, "camera"), REGION)
    assert np.array_equal(cut.pixels, pixels[4:9, 10:16])
    assert np.shares_memory(cut.pixels, pixels)
    assert (cut.stamp_ns, cut.frame_id) == (7, "camera")


def test_an_empty_region_means_the_whole_image_and_a_large_one_is_clipped() -> None:
    assert clip_region(Roi(), (20, 30)) == Roi(0, 0, 30, 20)
    assert clip_region(Roi(25, 10, 100, 100), (20, 30)) == Roi(25, 10, 5, 10)


def test_a_region_outside_the_image_is_refused_with_its_numbers() -> None:
    with pytest.raises(RegionError, match=r"roi \[30, 0, 5, 5\].*outside the image of 30x20"):
        clip_region(Roi(30, 0, 5, 5), (20, 30))
