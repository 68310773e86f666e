# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Frames of several cameras in one batch give the same results as alone."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import thin_detectron2
import thin_solo
import thin_torchvision
import thin_yolact
import torch

from seg_node.inference.engine import Engine
from seg_node.models.load import load_model
from seg_node.types import Frame

Writer = Callable[[Path], tuple[Path, Path | None]]


def write_thin_transformers(folder: Path) -> tuple[Path, Path | None]:
    pytest.importorskip("transformers")
    from thin_transformers import write_thin_checkpoint

    return write_thin_checkpoint(folder)


def write_thin_rf_detr(folder: Path) -> tuple[Path, Path | None]:
    if not hasattr(pytest.importorskip("transformers"), "RfDetrForInstanceSegmentation"):
        pytest.skip("needs a transformers with RF-DETR")
    from thin_rf_detr import write_thin_checkpoint

    return write_thin_checkpoint(folder)


def coloured_frame(seed: int) -> Frame:
    small = np.random.default_rng(seed).integers(0, 256, (9, 12, 3), np.uint8)
    return Frame(cv2.resize(small, (160, 120)), "bgr")


@pytest.mark.parametrize(
    "write",
    [
        thin_torchvision.write_thin_checkpoint,
        thin_detectron2.write_thin_panoptic_checkpoint,
        thin_yolact.write_thin_checkpoint,
        thin_solo.write_thin_checkpoint,
        write_thin_transformers,
        write_thin_rf_detr,
    ],
)
def test_a_frame_gives_the_same_in_a_batch_as_alone(write: Writer, tmp_path: Path) -> None:
    engine = Engine(load_model("auto", *write(tmp_path)), torch.device("cpu"))
    options = replace(engine.default_options, max_instances=20)
    frames = [coloured_frame(seed) for seed in (1, 2, 3)]
    together = engine.segment_batch(frames, options)
    assert len(together) == 3
    for frame, found in zip(frames, together, strict=True):
        alone = engine.segment(frame, options)
        assert len(found.instances) == len(alone.instances) > 0
        # kernels for a batch add in another order, so the last digits differ
        np.testing.assert_allclose(found.instances.scores, alone.instances.scores, atol=1e-4)
        np.testing.assert_allclose(found.instances.boxes_xyxy, alone.instances.boxes_xyxy, atol=1e-2)
        areas = [[mask.area for mask in own.instances.masks] for own in (found, alone)]
        np.testing.assert_allclose(*areas, atol=2)
    assert not np.array_equal(together[0].instances.scores, together[1].instances.scores)
