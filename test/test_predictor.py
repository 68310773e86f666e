"""The three lines that a script needs: build, call, read."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from parity import full

from seg_node import Predictor
from seg_node.engine import Engine, choose_device
from seg_node.models.load import load_model
from seg_node.types import Frame

Checkpoint = tuple[Path, Path]


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (90, 120, 3), np.uint8)


def test_what_it_reads_is_what_the_engine_found(thin_checkpoint: Checkpoint, image: np.ndarray) -> None:
    weights, config = thin_checkpoint
    model = load_model("auto", weights, config)
    expected = Engine(model, choose_device("cpu")).segment(Frame(image, "bgr"), model.default_options)

    found = Predictor(config, weights, device="cpu")(image)

    assert len(expected.instances) > 5
    np.testing.assert_array_equal(found.boxes, expected.instances.boxes_xyxy)
    np.testing.assert_array_equal(found.scores, expected.instances.scores)
    np.testing.assert_array_equal(found.classes, expected.instances.class_ids)
    assert found.names == [model.labels.things[class_id] for class_id in found.classes]
    assert found.masks.shape == (len(found.scores), 90, 120) and found.masks.dtype == np.bool_
    for mask, crop in zip(found.masks, expected.instances.masks, strict=True):
        np.testing.assert_array_equal(mask, full(crop, (90, 120)))
    assert found.panoptic.segment_map.shape == (90, 120)
    assert found.draw().shape == image.shape and not np.array_equal(found.draw(), image)


def test_threshold_and_classes_are_the_callers(thin_checkpoint: Checkpoint, image: np.ndarray) -> None:
    weights, config = thin_checkpoint
    everything = Predictor(config, weights)(image)
    name = everything.names[0]
    found = Predictor(config, weights, classes=[name])(image)
    assert set(found.names) == {name}
    threshold = float(everything.scores[2])
    assert len(Predictor(config, weights, score_threshold=threshold)(image).scores) == 2
    nothing = Predictor(config, weights, score_threshold=1.0)(image)
    assert nothing.masks.shape == (0, 90, 120) and nothing.boxes.shape == (0, 4)
    with pytest.raises(ValueError, match="unknown class unicorn"):
        Predictor(config, weights, classes=["unicorn"])


def test_image_of_another_form_is_refused_by_what_it_is(thin_checkpoint: Checkpoint) -> None:
    predictor = Predictor(*reversed(thin_checkpoint))
    with pytest.raises(ValueError, match=r"uint8 of shape \(H, W, 3\), but got .*float32.*\(4, 5, 3\)"):
        predictor(np.zeros((4, 5, 3), np.float32))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="but got NoneType"):
        predictor(None)  # type: ignore[arg-type]


def test_importing_the_package_does_not_load_torch() -> None:
    code = "import sys, seg_node; assert 'torch' not in sys.modules; assert seg_node.Predictor"
    subprocess.run([sys.executable, "-c", code], check=True)
