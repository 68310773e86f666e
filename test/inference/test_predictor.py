# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""`Predictor`: the three lines that a script needs."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from parity import full

from seg_node import Predictor
from seg_node.drawing.draw import draw_segmentation
from seg_node.inference.engine import Engine, choose_device
from seg_node.models.load import load_model
from seg_node.types import Frame, Instances

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


def test_it_says_in_one_line_what_it_is_and_found(thin_checkpoint: Checkpoint, image: np.ndarray) -> None:
    weights, config = thin_checkpoint
    predictor = Predictor(config, weights, device="cpu")
    assert repr(predictor) == "Predictor(80 classes of things, 0 of stuff, on cpu, exact)"
    found = predictor(image)
    assert repr(found).startswith(f"Prediction({len(found.scores)} objects in 120x90: {found.names[0]} ")
    assert len(repr(found)) < 300 and "\n" not in repr(found)


def test_picture_shows_what_is_scored_over_the_callers_number(
    thin_checkpoint: Checkpoint, image: np.ndarray
) -> None:
    found = Predictor(thin_checkpoint[1], thin_checkpoint[0], device="cpu")(image)
    nothing = replace(found.segmentation, instances=Instances.empty())
    np.testing.assert_array_equal(found.draw(1.0), draw_segmentation(image, nothing, found.labels))
    np.testing.assert_array_equal(found.draw(0.0), draw_segmentation(image, found.segmentation, found.labels))


@pytest.mark.parametrize("threshold", [50, -0.1, float("nan")])
def test_a_threshold_beyond_zero_and_one_is_refused(thin_checkpoint: Checkpoint, threshold: float) -> None:
    with pytest.raises(ValueError, match=f"score_threshold {threshold:g} is out of range"):
        Predictor(thin_checkpoint[1], thin_checkpoint[0], score_threshold=threshold)
