# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Detectron2's configuration of a Mask R-CNN or Panoptic FPN (YAML) → `Detectron2Config`."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from seg_node.models.files.config_values import area, count, number, sizes
from seg_node.models.files.detectron2 import (
    INPUT_SPEC,
    TRUNK,
    Keys,
    MappedKeys,
    apply,
    check,
    convert,
    read_keys,
)
from seg_node.models.files.detectron2_keys import (
    IGNORED_KEYS,
    PUBLISHED,
    PUBLISHED_RESNEXT,
    RCNN_SUPPORTED,
    RPN_LEVELS,
    SEMANTIC_SUPPORTED,
    TRUNK_SUPPORTED,
)
from seg_node.models.rcnn.settings import DETECTRON2_SETTINGS, RCNNSettings
from seg_node.preprocess.prepare import InputSpec
from seg_node.types import SegmentOptions

_OPTIONS = SegmentOptions(score_threshold=0.05)


@dataclass(frozen=True)
class Detectron2Config:
    """A configuration; the defaults are those of the models with a feature pyramid.

    stride_in_1x1: a stage's stride of 2 is in the first 1x1 convolution of its first block, not in the 3x3.
    depth, groups: of the ResNet; None if the file does not set them.
    meta_architecture: GeneralizedRCNN or PanopticFPN.
    num_things, num_stuff: class counts that the weights must have; None for any.
    """

    settings: RCNNSettings = DETECTRON2_SETTINGS
    input_spec: InputSpec = INPUT_SPEC
    options: SegmentOptions = _OPTIONS
    stride_in_1x1: bool = True
    depth: int | None = None
    groups: int | None = None
    meta_architecture: str = "GeneralizedRCNN"
    num_things: int | None = None
    num_stuff: int | None = None


def _four_floats(value: Any) -> tuple[float, float, float, float]:
    first, second, third, fourth = sizes(value)
    return first, second, third, fourth


def _rows(value: Any) -> list[tuple[float, ...]]:
    """Read one row per level, or one row for all, which may lack its inner brackets.

    Source: Detectron2 `modeling/anchor_generator.py: _broadcast_params`.
    """
    is_flat = not isinstance(value[0], list | tuple)
    return [sizes(row) for row in ([value] if is_flat else value)]


def _levels(value: Any) -> tuple[tuple[float, ...], ...]:
    rows = tuple(_rows(value))
    return rows * len(RPN_LEVELS) if len(rows) == 1 else rows


def _same_for_all_levels(value: Any) -> tuple[float, ...]:
    rows = set(_rows(value))
    if len(rows) != 1:
        raise ValueError("expected the same for all levels")
    return rows.pop()


def _more_than(value: Any) -> float:
    """Return the smallest float32 side above the value, since Detectron2 compares with >."""
    return max(
        DETECTRON2_SETTINGS.proposal_min_side,
        float(np.nextafter(np.float32(number(value)), np.float32(np.inf))),
    )


def _sampling_ratio(value: Any) -> int:
    return count(value, most=64)  # points per bin and side; 2 is usual


def _is_aligned(value: Any) -> bool:
    return {"ROIAlign": False, "ROIAlignV2": True}[value]


_RCNN: MappedKeys = {
    "MODEL.META_ARCHITECTURE": ("GeneralizedRCNN", "meta_architecture", "", str),
    "MODEL.ANCHOR_GENERATOR.SIZES": ([[32, 64, 128, 256, 512]], "settings", "anchor_sizes", _levels),
    "MODEL.ANCHOR_GENERATOR.ASPECT_RATIOS": (
        [[0.5, 1.0, 2.0]], "settings", "anchor_ratios", _same_for_all_levels
    ),
    "MODEL.ANCHOR_GENERATOR.OFFSET": (0.0, "settings", "anchor_offset", number),
    "MODEL.PROPOSAL_GENERATOR.MIN_SIZE": (0, "settings", "proposal_min_side", _more_than),
    "MODEL.RPN.PRE_NMS_TOPK_TEST": (6000, "settings", "proposals_per_level", count),
    "MODEL.RPN.POST_NMS_TOPK_TEST": (1000, "settings", "proposals", count),
    "MODEL.RPN.NMS_THRESH": (0.7, "settings", "proposal_nms_threshold", number),
    "MODEL.RPN.BBOX_REG_WEIGHTS": ((1, 1, 1, 1), "settings", "proposal_box_weights", _four_floats),
    "MODEL.ROI_BOX_HEAD.BBOX_REG_WEIGHTS": ((10, 10, 5, 5), "settings", "box_weights", _four_floats),
    "MODEL.ROI_BOX_HEAD.POOLER_SAMPLING_RATIO": (0, "settings", "roi_sampling_ratio", _sampling_ratio),
    "MODEL.ROI_BOX_HEAD.POOLER_TYPE": ("ROIAlignV2", "settings", "roi_aligned", _is_aligned),
    "MODEL.ROI_HEADS.SCORE_THRESH_TEST": (0.05, "options", "score_threshold", number),
    "MODEL.ROI_HEADS.NMS_THRESH_TEST": (0.5, "options", "nms_threshold", number),
    "TEST.DETECTIONS_PER_IMAGE": (100, "options", "max_instances", count),
    "MODEL.PANOPTIC_FPN.COMBINE.INSTANCES_CONFIDENCE_THRESH": (
        0.5, "options", "panoptic_score_threshold", number
    ),
    "MODEL.PANOPTIC_FPN.COMBINE.OVERLAP_THRESH": (0.5, "options", "panoptic_overlap_threshold", number),
    "MODEL.PANOPTIC_FPN.COMBINE.STUFF_AREA_LIMIT": (4096, "options", "panoptic_stuff_min_area", area),
}  # fmt: skip
_NUM_THINGS, _NUM_SEMANTIC = "MODEL.ROI_HEADS.NUM_CLASSES", "MODEL.SEM_SEG_HEAD.NUM_CLASSES"
# keys of the mask head that must equal the box head's
_MASK_POOLER = ("POOLER_SAMPLING_RATIO", "POOLER_TYPE")


def read_detectron2_config(
    content: Mapping[str, Any], source: str, is_resnext: bool = False
) -> Detectron2Config:
    """Read the configuration of a Mask R-CNN or Panoptic FPN with a feature pyramid.

    content: empty for the settings of the published models, with ResNeXt if is_resnext, else ResNet.
    source: names the file in messages.
    Raises ValueError that names a key whose value is not supported or does not fit.
    """
    known = {*TRUNK, *_RCNN, _NUM_THINGS, _NUM_SEMANTIC}.union(
        TRUNK_SUPPORTED, RCNN_SUPPORTED, SEMANTIC_SUPPORTED
    )
    keys = read_keys(content, source, known, IGNORED_KEYS)
    if not keys:
        keys = {**PUBLISHED, **(PUBLISHED_RESNEXT if is_resnext else {})}
    check(keys, {**TRUNK_SUPPORTED, **RCNN_SUPPORTED}, source)
    config = apply(Detectron2Config(), keys, {**TRUNK, **_RCNN}, source)
    if config.meta_architecture == "PanopticFPN":
        check(keys, SEMANTIC_SUPPORTED, source)
    for name in _MASK_POOLER:
        mask_key, box_key = f"MODEL.ROI_MASK_HEAD.{name}", f"MODEL.ROI_BOX_HEAD.{name}"
        default = _RCNN[box_key][0]
        check({mask_key: keys.get(mask_key, default)}, {mask_key: (keys.get(box_key, default),)}, source)
    if len(config.settings.anchor_sizes) != len(RPN_LEVELS):
        raise ValueError(f"{source}: MODEL.ANCHOR_GENERATOR.SIZES must have 1 or {len(RPN_LEVELS)} rows")
    return _with_counts(config, keys, source)


def _with_counts(config: Detectron2Config, keys: Keys, source: str) -> Detectron2Config:
    if _NUM_THINGS in keys:
        config = replace(config, num_things=convert(count, keys[_NUM_THINGS], _NUM_THINGS, source))
    if config.meta_architecture == "PanopticFPN" and _NUM_SEMANTIC in keys:
        num_semantic = convert(count, keys[_NUM_SEMANTIC], _NUM_SEMANTIC, source)
        config = replace(config, num_stuff=num_semantic - 1)  # without class 0, all things
    return config
