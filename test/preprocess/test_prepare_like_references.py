# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Inputs have the same grey levels as after the resizing of Detectron2, SOLO and YOLACT."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from parity import CPU, IMAGES, assert_recorded, needs_shared, read_frame
from PIL import Image

from seg_node.preprocess.prepare import InputSpec, prepare_frames
from seg_node.types import Channels, Frame

DETECTRON2 = InputSpec("bgr", (103.53, 116.28, 123.675), (1.0, 1.0, 1.0), 1, "pillow")
MMCV = InputSpec("rgb", (123.675, 116.28, 103.53), (58.395, 57.12, 57.375), 1, "opencv")
YOLACT = InputSpec(
    "rgb", (123.68, 116.78, 103.94), (58.40, 57.12, 57.38), 1, "torch", stretch=(550, 550), multiple=1
)


@needs_shared
@pytest.mark.parametrize("image", IMAGES)
@pytest.mark.parametrize(
    ("family", "spec"),
    [("d2_maskrcnn", DETECTRON2), ("adet_solov2", DETECTRON2), ("solov2", MMCV), ("yolact", YOLACT)],
)
def test_input_equals_the_references_recorded_input(family: str, spec: InputSpec, image: str) -> None:
    batch = prepare_frames([read_frame(image)], spec, CPU)
    assert_recorded(family, image, "input", batch.pixels, atol=1e-6)


def test_whole_grey_levels_are_those_of_pillow_and_opencv() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (61, 90, 3), np.uint8)
    frame = Frame(pixels, "bgr")
    size = {"min_size": 40, "max_size": 50, "multiple": 1, "mean": (0.0,) * 3, "std": (1.0,) * 3}
    for spec, resized in (
        (replace(DETECTRON2, **size), np.asarray(Image.fromarray(pixels).resize((50, 34), Image.BILINEAR))),
        (replace(MMCV, **size), cv2.resize(pixels, (50, 34))[..., ::-1]),
    ):
        batch = prepare_frames([frame], spec, CPU)
        np.testing.assert_array_equal(batch.pixels[0].permute(1, 2, 0).numpy(), resized)


@pytest.mark.parametrize("channels", ["bgr", "rgb", "bgra", "rgba"])
@pytest.mark.parametrize("spec", [DETECTRON2, MMCV, YOLACT])
def test_colour_order_of_the_frame_does_not_matter(spec: InputSpec, channels: Channels) -> None:
    bgr = np.random.default_rng(0).integers(0, 256, (30, 40, 3), np.uint8)
    pixels = bgr if channels[:3] == "bgr" else bgr[..., ::-1]
    if len(channels) == 4:
        pixels = np.dstack([pixels, np.zeros((30, 40), np.uint8)])
    expected = prepare_frames([Frame(bgr, "bgr")], spec, CPU).pixels
    assert torch.equal(prepare_frames([Frame(pixels, channels)], spec, CPU).pixels, expected)


@pytest.mark.parametrize("spec", [DETECTRON2, MMCV, YOLACT, replace(DETECTRON2, min_size=0)])
def test_a_read_only_grey_frame_is_three_equal_channels(spec: InputSpec) -> None:
    grey = np.random.default_rng(0).integers(0, 256, (30, 40), np.uint8)
    grey.flags.writeable = False
    colours = np.repeat(grey[..., None], 3, axis=2)
    expected = prepare_frames([Frame(colours, "bgr")], spec, CPU).pixels
    assert torch.equal(prepare_frames([Frame(grey, "mono")], spec, CPU).pixels, expected)


@pytest.mark.parametrize(
    ("spec", "image_size", "expected"),
    [
        (DETECTRON2, (720, 1280), (750, 1333)),
        (MMCV, (720, 1280), (750, 1333)),
        (InputSpec(), (720, 1280), (749, 1333)),
        (DETECTRON2, (383, 512), (800, 1069)),
        (MMCV, (600, 200), (1333, 444)),
        (YOLACT, (720, 1280), (550, 550)),
        (replace(DETECTRON2, min_size=0), (720, 1280), (720, 1280)),
        (DETECTRON2, (1, 2000), (1, 1333)),
    ],
)
def test_sizes_follow_each_reference(
    spec: InputSpec, image_size: tuple[int, int], expected: tuple[int, int]
) -> None:
    assert spec.resized(image_size) == expected
