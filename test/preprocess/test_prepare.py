# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Input tensors are identical, to the last bit, to those of torchvision's own transform."""

from collections.abc import Iterator

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torchvision.models.detection.transform import GeneralizedRCNNTransform

from seg_node.preprocess import prepare
from seg_node.preprocess.prepare import InputSpec, prepare_frames, write_pixels
from seg_node.types import Channels, Frame

CPU = torch.device("cpu")
SPEC = InputSpec(min_size=96, max_size=160)


def random_image(height: int, width: int) -> NDArray[np.uint8]:
    return np.random.default_rng(height + width).integers(0, 256, (height, width, 3), np.uint8)


def torchvision_input(
    rgb_images: list[NDArray[np.uint8]], spec: InputSpec
) -> tuple[torch.Tensor, list[tuple[int, int]]]:
    transform = GeneralizedRCNNTransform(spec.min_size, spec.max_size, list(spec.mean), list(spec.std)).eval()
    images, _ = transform([torch.from_numpy(i).permute(2, 0, 1).contiguous() / 255 for i in rgb_images])
    return images.tensors, images.image_sizes


@pytest.mark.parametrize(
    "size", [(96, 160), (100, 100), (240, 120), (97, 301), (385, 512), (11, 17), (1, 1), (3, 200), (480, 640)]
)
def test_input_is_that_of_torchvision_bit_for_bit(size: tuple[int, int]) -> None:
    rgb = random_image(*size)
    expected, sizes = torchvision_input([rgb], SPEC)
    batch = prepare_frames([Frame(rgb, "rgb")], SPEC, CPU)
    assert batch.sizes == tuple(sizes)
    assert torch.equal(batch.pixels, expected)
    assert batch.pixels.is_contiguous()


@pytest.mark.parametrize(
    ("size", "expected"), [((720, 1280), (749, 1333)), ((512, 385), (1063, 799)), ((600, 240), (1333, 533))]
)
def test_sizes_are_rounded_down(size: tuple[int, int], expected: tuple[int, int]) -> None:
    assert InputSpec().resized(size) == expected


@pytest.mark.parametrize(
    ("channels", "code"),
    [
        ("rgb", None),
        ("bgr", cv2.COLOR_RGB2BGR),
        ("rgba", cv2.COLOR_RGB2RGBA),
        ("bgra", cv2.COLOR_RGB2BGRA),
    ],
)
@pytest.mark.parametrize("wanted", ["rgb", "bgr"])
def test_channels_reach_the_model_in_its_order(channels: Channels, code: int | None, wanted: str) -> None:
    rgb = random_image(70, 90)
    spec = InputSpec(wanted, mean=(0.1, 0.2, 0.3), std=(0.4, 0.5, 0.6), min_size=64, max_size=100)  # type: ignore[arg-type]
    expected, _ = torchvision_input([rgb if wanted == "rgb" else rgb[..., ::-1].copy()], spec)
    pixels = rgb if code is None else cv2.cvtColor(rgb, code)
    assert torch.equal(prepare_frames([Frame(pixels, channels)], spec, CPU).pixels, expected)


def test_a_grey_image_is_the_same_in_each_channel() -> None:
    grey = random_image(50, 80)[..., 0]
    expected, _ = torchvision_input([np.repeat(grey[..., None], 3, axis=2)], SPEC)
    assert torch.equal(prepare_frames([Frame(grey, "mono")], SPEC, CPU).pixels, expected)


def test_padded_flipped_and_read_only_images_are_read_correctly() -> None:
    rgb = random_image(60, 80)
    expected, _ = torchvision_input([rgb], SPEC)
    padded_rows = np.zeros((60, 100, 3), np.uint8)
    padded_rows[:, :80] = rgb
    upside_down = rgb[::-1].copy()
    read_only = rgb.copy()
    read_only.flags.writeable = False
    for pixels in (padded_rows[:, :80], upside_down[::-1], read_only):
        assert torch.equal(prepare_frames([Frame(pixels, "rgb")], SPEC, CPU).pixels, expected)
    assert np.array_equal(rgb, random_image(60, 80))


def test_a_batch_is_padded_to_its_largest_image() -> None:
    images = [random_image(60, 80), random_image(90, 40)]
    expected, sizes = torchvision_input(images, SPEC)
    batch = prepare_frames([Frame(image, "rgb") for image in images], SPEC, CPU)
    assert batch.pixels.shape == (2, 3, 160, 128)
    assert batch.sizes == tuple(sizes)
    assert torch.equal(batch.pixels, expected)


def test_a_frame_without_pixels_is_refused() -> None:
    with pytest.raises(ValueError, match="0 rows and 5 columns"):
        prepare_frames([Frame(np.zeros((0, 5, 3), np.uint8), "bgr")], SPEC, CPU)


@pytest.mark.parametrize("resize", ["torchvision", "torch"])
@pytest.mark.parametrize("channels", ["rgb", "bgr", "rgba", "mono"])
@pytest.mark.parametrize("size", [(60, 80), (300, 211), (1, 1)])
def test_faster_preparation_differs_by_less_than_a_fiftieth_of_a_grey_level(
    resize: str, channels: Channels, size: tuple[int, int]
) -> None:
    spec = InputSpec(resize=resize, min_size=96, max_size=160)  # type: ignore[arg-type]
    rgb = random_image(*size)
    pixels = {"mono": rgb[..., 0], "rgba": cv2.cvtColor(rgb, cv2.COLOR_RGB2RGBA)}.get(channels, rgb)
    exact, fast = (prepare_frames([Frame(pixels, channels)] * 2, spec, CPU, exact) for exact in (True, False))
    assert fast.sizes == exact.sizes
    assert fast.pixels.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(fast.pixels, exact.pixels, atol=3e-4, rtol=0)


@pytest.mark.parametrize("resize", ["torchvision", "torch"])
def test_faster_preparation_of_a_camera_image_is_within_its_tolerance(resize: str) -> None:
    spec = InputSpec(resize=resize)  # type: ignore[arg-type]
    frame = Frame(random_image(720, 1280), "bgr")
    exact, fast = (prepare_frames([frame], spec, CPU, exact).pixels for exact in (True, False))
    torch.testing.assert_close(fast, exact, atol=5e-4, rtol=0)


@pytest.fixture
def nothing_uninitialised() -> Iterator[None]:
    """Fill `torch.empty` with NaN, so that pixels never written are found."""
    torch.use_deterministic_algorithms(True)
    assert torch.empty(1).isnan().all()
    yield
    torch.use_deterministic_algorithms(False)


@pytest.mark.usefixtures("nothing_uninitialised")
@pytest.mark.parametrize("exact", [True, False])
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("resize", ["torchvision", "torch"])
@pytest.mark.parametrize(
    ("size", "min_size", "max_size"),
    [
        ((300, 211), 64, 100),
        ((211, 300), 64, 1000),
        ((97, 301), 200, 1000),
        ((2000, 3), 20, 50),
        ((3, 2000), 20, 50),
        ((5000, 70), 150, 300),
        ((1, 1), 30, 30),
        ((60, 80), 60, 80),
    ],
)
def test_large_images_are_prepared_from_fewer_rows_to_the_same_bits(
    monkeypatch: pytest.MonkeyPatch,
    size: tuple[int, int],
    min_size: int,
    max_size: int,
    resize: str,
    threads: int,
    exact: bool,
) -> None:
    spec = InputSpec(resize=resize, min_size=min_size, max_size=max_size)  # type: ignore[arg-type]
    frames: list[Frame] = [Frame(random_image(*size), "bgr"), Frame(random_image(*size)[..., 0], "mono")]
    before = torch.get_num_threads()
    torch.set_num_threads(threads)  # for one, PyTorch uses another kernel
    try:
        expected = prepare_frames(frames, spec, CPU).pixels
        monkeypatch.setattr(prepare, "_LARGE_PIXELS", 0)
        monkeypatch.setattr(prepare, "_CHUNK_PIXELS", 100)
        assert torch.equal(prepare_frames(frames, spec, CPU, exact).pixels, expected)
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("exact", [True, False])
def test_nothing_is_cached_per_image_width(exact: bool) -> None:
    caches = prepare._constants, prepare._linear
    for cache in caches:
        cache.cache_clear()
    for width in range(1, 200, 3):
        prepare_frames([Frame(random_image(5, width), "rgb")], SPEC, CPU, exact)
    assert [cache.cache_info().currsize for cache in caches] == [1, 0 if exact else 1]


@pytest.mark.parametrize("width", [1, 1023, 1024, 1025, 3000])
def test_pixels_are_normalised_alike_in_any_width(width: int) -> None:
    spec = InputSpec(min_size=0, mean=(0.1, 0.2, 0.3), std=(0.4, 0.5, 0.6), multiple=1)
    rgb = random_image(3, width)
    mean, std = (np.array(values, np.float32) for values in (spec.mean, spec.std))
    expected = (rgb.astype(np.float32) / np.float32(255) - mean) / std
    found = prepare_frames([Frame(rgb, "rgb")], spec, CPU).pixels[0].permute(1, 2, 0)
    np.testing.assert_array_equal(found.numpy(), expected)


@pytest.mark.parametrize("resize", ["torchvision", "torch", "pillow", "opencv"])
@pytest.mark.parametrize("exact", [True, False])
def test_images_of_one_size_prepared_together_are_those_prepared_alone(resize: str, exact: bool) -> None:
    spec = InputSpec(resize=resize, min_size=96, max_size=160)  # type: ignore[arg-type]
    images = np.random.default_rng(0).integers(0, 256, (3, 70, 90, 3), np.uint8)
    expected = prepare_frames([Frame(image, "bgr") for image in images], spec, CPU, exact).pixels
    pixels = torch.zeros_like(expected)
    write_pixels(pixels, torch.from_numpy(images), "bgr", spec, exact)
    assert torch.equal(pixels, expected)
