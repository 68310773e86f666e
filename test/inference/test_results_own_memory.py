# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""A result must not change while the model processes the next frame."""

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest
import thin_solo
import thin_torchvision
import thin_yolact
import torch

pytest.importorskip("pretend_cuda")

from pretend_cuda import pretend_cuda

from seg_node.inference.engine import Engine
from seg_node.models.load import load_model
from seg_node.types import Frame, Segmentation


def frame(seed: int) -> Frame:
    return Frame(np.random.default_rng(seed).integers(0, 256, (75, 100, 3), np.uint8), "bgr")


def arrays(found: Segmentation) -> list[np.ndarray]:
    instances = found.instances
    masks = [mask.pixels for mask in instances.masks]
    maps = [] if found.panoptic is None else [found.panoptic.segment_map]
    return [instances.boxes_xyxy, instances.scores, instances.class_ids, instances.ids, *masks, *maps]


@pytest.mark.parametrize(
    "write",
    [
        thin_torchvision.write_thin_checkpoint,
        thin_yolact.write_thin_checkpoint,
        lambda folder: thin_solo.write_thin_checkpoint(folder, "solov2"),
    ],
    ids=["torchvision", "yolact", "solov2"],
)
def test_a_result_does_not_change_while_the_next_frames_are_in_the_model(
    write: Callable[[Path], tuple[Path, Path | None]], tmp_path: Path
) -> None:
    model = load_model("auto", *write(tmp_path))
    with pretend_cuda():
        engine = Engine(model, torch.device("cuda", 0), "fp32")
        options = engine.default_options
        engine.warm_up((75, 100), options)
        first = engine.segment(frame(1), options)
        then = deepcopy(arrays(first))
        later = [array for seed in (2, 3, 4) for array in arrays(engine.segment(frame(seed), options))]
    assert len(first.instances)
    for array, before in zip(arrays(first), then, strict=True):
        np.testing.assert_array_equal(array, before)
        assert not any(np.shares_memory(array, other) for other in later)
