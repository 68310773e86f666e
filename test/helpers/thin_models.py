# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Thin models of YOLACT and SOLO by name, and how two answers agree."""

from collections.abc import Callable

import numpy as np
from parity import full, iou
from thin_solo import KINDS as SOLO_KINDS
from thin_solo import Kind
from thin_solo import thin as thin_solo
from thin_yolact import SIZE, Weights, add_heads, darknet, make_plus, resnet
from thin_yolact import load as load_yolact
from thin_yolact import thin as thin_yolact

from seg_node.models.solo.model import SoloModel
from seg_node.models.yolact.model import YolactModel
from seg_node.types import Instances

Model = YolactModel | SoloModel


def yolact_plus() -> YolactModel:
    weights = Weights(3)
    add_heads(weights, resnet(weights), priors=9)
    make_plus(weights)
    return load_yolact(weights, {"max_size": SIZE})


def yolact_on_darknet() -> YolactModel:
    weights = Weights(2)
    add_heads(weights, darknet(weights))
    return load_yolact(weights, {"max_size": 102})


def solo(kind: Kind) -> Callable[[], SoloModel]:
    return lambda: thin_solo(kind)


MODELS: dict[str, Callable[[], Model]] = {
    "yolact": thin_yolact,
    "yolact_plus": yolact_plus,
    "yolact_darknet": yolact_on_darknet,
    **{kind: solo(kind) for kind in SOLO_KINDS},
}


def partners(ours: Instances, expected: Instances, image_size: tuple[int, int]) -> list[tuple[float, float]]:
    """Of each object expected, the IoU with the one of ours most like it, and how the scores part."""
    pairs = []
    for class_id, mask, score in zip(expected.class_ids, expected.masks, expected.scores, strict=True):
        whole = full(mask, image_size)
        rivals = [
            (iou(full(ours.masks[i], image_size), whole), abs(float(ours.scores[i] - score)))
            for i in np.flatnonzero(ours.class_ids == class_id)
        ]
        pairs.append(max(rivals, key=lambda rival: rival[0] - rival[1], default=(0.0, 1.0)))
    return pairs
