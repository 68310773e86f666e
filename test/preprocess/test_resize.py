# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""The tensor functions give the same bytes as Pillow and OpenCV, for any sizes."""

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from seg_node.preprocess.resize import resize_opencv, resize_pillow

side = st.integers(1, 90)
sizes = st.tuples(side, side)


def noise(size: tuple[int, int], seed: int) -> NDArray[np.uint8]:
    """Two images with many extreme grey levels: (2, H, W, 3)."""
    levels = np.random.default_rng(seed).normal(128, 150, (2, *size, 3))
    return levels.clip(0, 255).astype(np.uint8)


def assert_as_pillow(images: NDArray[np.uint8], size: tuple[int, int]) -> None:
    expected = [np.asarray(Image.fromarray(i).resize(size[::-1], Image.Resampling.BILINEAR)) for i in images]
    resized = resize_pillow(torch.from_numpy(images), size)
    assert resized.dtype == torch.uint8
    np.testing.assert_array_equal(resized.numpy(), np.stack(expected))


def assert_as_opencv(images: NDArray[np.uint8], size: tuple[int, int]) -> None:
    expected = [cv2.resize(i, size[::-1], interpolation=cv2.INTER_LINEAR) for i in images]
    resized = resize_opencv(torch.from_numpy(images), size)
    assert resized.dtype == torch.uint8
    np.testing.assert_array_equal(resized.numpy(), np.stack(expected))


@settings(max_examples=300, deadline=None)
@given(sizes, sizes, st.integers(0, 10**6))
def test_random_sizes_are_resized_as_by_pillow(
    before: tuple[int, int], after: tuple[int, int], seed: int
) -> None:
    assert_as_pillow(noise(before, seed), after)


@settings(max_examples=300, deadline=None)
@given(sizes, sizes, st.integers(0, 10**6))
def test_random_sizes_are_resized_as_by_opencv(
    before: tuple[int, int], after: tuple[int, int], seed: int
) -> None:
    assert_as_opencv(noise(before, seed), after)


CAMERAS = [
    ((480, 640), (800, 1067)),
    ((720, 1280), (750, 1333)),
    ((1080, 1920), (750, 1333)),
    ((1280, 720), (1333, 750)),
    ((1920, 1080), (1333, 750)),
    ((3, 301), (224, 224)),
    ((301, 2), (224, 224)),  # where Pillow versions change the order of the passes
]


@pytest.mark.parametrize(("before", "after"), CAMERAS)
def test_camera_images_are_resized_as_by_both(before: tuple[int, int], after: tuple[int, int]) -> None:
    images = noise(before, 0)[:1]
    assert_as_pillow(images, after)
    assert_as_opencv(images, after)


@pytest.mark.parametrize("level", [0, 1, 254, 255])
def test_a_flat_image_stays_flat(level: int) -> None:
    images = np.full((1, 37, 53, 3), level, np.uint8)
    for resize in (resize_pillow, resize_opencv):
        for size in ((80, 70), (5, 3), (37, 53)):
            assert (resize(torch.from_numpy(images), size) == level).all()


def test_nothing_is_computed_on_the_host_for_a_known_size() -> None:
    """CUDA graphs allow no tensor from Python numbers, and none read by Python."""
    images = torch.zeros((1, 40, 60, 3), dtype=torch.uint8)
    for resize in (resize_pillow, resize_opencv):
        resize(images, (30, 50))
        with torch.profiler.profile() as profile:
            resize(images, (30, 50))
        names = {event.name for event in profile.events()}
        assert not names & {"aten::tensor", "aten::item", "aten::lift_fresh", "aten::_local_scalar_dense"}
