"""Mask R-CNN against what torchvision answered for the shared fixtures: every stage and the final objects."""

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from seg_node.engine import Engine
from seg_node.models.load import load_model
from seg_node.models.rcnn_model import RCNNModel
from seg_node.prepare import ModelInput, prepare_frames
from seg_node.types import Frame, MaskCrop

FIXTURES = Path(__file__).resolve().parents[2] / "shared/fixtures"
CPU = torch.device("cpu")
IMAGES = ("astronaut_512x383", "coffee_wide_600x240", "hopper_512x600")
needs_fixtures = pytest.mark.skipif(not FIXTURES.exists(), reason="../shared is absent")


@pytest.fixture(autouse=True)
def two_threads() -> Iterator[None]:
    """The fixtures' conditions; another number of threads adds up in another order."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module", params=["tv_maskrcnn_v1", "tv_maskrcnn_v2"])
def case(request: pytest.FixtureRequest) -> tuple[Path, RCNNModel]:
    folder = FIXTURES / request.param / "seed0"
    model = load_model("auto", next(folder.glob("*.pth")), folder / "config.yaml")
    assert isinstance(model, RCNNModel)
    return folder, model


def read_frame(image: str) -> Frame:
    return Frame(cv2.imread(str(FIXTURES / "images" / f"{image}.png")), "bgr")


@needs_fixtures
@pytest.mark.parametrize("image", IMAGES)
def test_objects_are_those_of_the_fixture(case: tuple[Path, RCNNModel], image: str) -> None:
    folder, model = case
    frame = read_frame(image)
    expected = np.load(folder / f"{image}.npz")
    masks = unpack_masks(expected["masks_packed"], frame.image_size)

    ours = Engine(model, CPU).segment(frame, model.default_options).instances

    np.testing.assert_array_equal(ours.class_ids, expected["classes"])
    np.testing.assert_allclose(ours.boxes_xyxy, expected["boxes"], rtol=0, atol=1e-3)
    np.testing.assert_allclose(ours.scores, expected["scores"], rtol=0, atol=1e-5)
    for mask, theirs in zip(ours.masks, masks, strict=True):
        assert iou(full(mask, frame.image_size), theirs) >= 0.999


@needs_fixtures
@pytest.mark.parametrize("image", IMAGES)
def test_each_stage_gives_what_the_fixture_recorded(case: tuple[Path, RCNNModel], image: str) -> None:
    folder, model = case
    recorded = np.load(folder / f"{image}.debug.npz")
    with torch.inference_mode():
        batch = prepare_frames([read_frame(image)], model.input_spec, CPU)
        stages = run_stages(model, batch)
    assert set(stages) <= {name.rpartition("/")[0] for name in recorded}
    for name, value in stages.items():
        # from one kind of CPU to another convolutions differ by 1e-5; a missed rule makes 1e-3 and more
        assert_recorded(recorded, name, value, atol=2e-3 if name == "proposals/boxes" else 3e-4)


def run_stages(model: RCNNModel, batch: ModelInput) -> dict[str, Tensor]:
    network = model.network
    features = network.fpn(network.backbone(batch.pixels))
    logits, deltas = network.rpn.head(features)
    proposals = network.rpn(features, batch)
    classes, refinements = network.box_head.head(features[:-1], proposals)
    (found,) = network.box_head(features[:-1], proposals, batch, model.default_options)
    return {
        "input": batch.pixels,
        **{f"fpn/{name}": value for name, value in zip("0123", features, strict=False)},
        "fpn/pool": features[-1],
        **{f"rpn/logits{level}": value for level, value in enumerate(logits)},
        **{f"rpn/deltas{level}": value for level, value in enumerate(deltas)},
        "proposals/boxes": proposals[0],
        "box/cls": classes,
        "box/reg": refinements,
        "mask/logits": network.mask_head.head(features[:-1], [found.boxes_xyxy]),
    }


def assert_recorded(recorded: np.lib.npyio.NpzFile, name: str, value: Tensor, atol: float) -> None:
    array = value.numpy()
    assert array.shape == tuple(recorded[f"{name}/shape"]), name
    if f"{name}/full" in recorded:
        np.testing.assert_allclose(array, recorded[f"{name}/full"], rtol=0, atol=atol, err_msg=name)
    else:
        sample = array.reshape(-1)[recorded[f"{name}/idx"]]
        np.testing.assert_allclose(sample, recorded[f"{name}/val"], rtol=0, atol=atol, err_msg=name)


def unpack_masks(packed: NDArray[np.uint8], image_size: tuple[int, int]) -> NDArray[np.bool_]:
    height, width = image_size
    bits = np.unpackbits(packed, axis=1)[:, : height * width]
    return bits.reshape(-1, height, width).astype(np.bool_)


def full(mask: MaskCrop, image_size: tuple[int, int]) -> NDArray[np.bool_]:
    image = np.zeros(image_size, np.bool_)
    height, width = mask.pixels.shape
    image[mask.y_offset : mask.y_offset + height, mask.x_offset : mask.x_offset + width] = mask.pixels
    return image


def iou(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    union = np.count_nonzero(a | b)
    return np.count_nonzero(a & b) / union if union else 1.0
