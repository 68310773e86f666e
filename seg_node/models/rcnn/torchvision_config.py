# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""A Mask R-CNN configuration (YAML or a checkpoint's metadata) → `RCNNConfig`.

The keys are the arguments of torchvision's `MaskRCNN`, and a few that describe the checkpoint.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from seg_node.models.files.config_file import did_you_mean
from seg_node.models.files.config_values import (
    count,
    number,
    positive_side,
    side,
    sizes,
    three_divisors,
    three_numbers,
)
from seg_node.models.rcnn.settings import RCNNSettings
from seg_node.preprocess.prepare import InputSpec
from seg_node.types import SegmentOptions

TORCHVISION_OPTIONS = SegmentOptions(score_threshold=0.05)


@dataclass(frozen=True)
class RCNNConfig:
    """A configuration.

    frozen_bn_eps: see `load_torchvision_rcnn`.
    num_classes: number that the weights must have, with the background; None for any.
    class_names: of the classes 1, 2, …; empty if not set. stuff_names: of the classes that follow.
    """

    settings: RCNNSettings = field(default_factory=RCNNSettings)
    input_spec: InputSpec = field(default_factory=InputSpec)
    options: SegmentOptions = TORCHVISION_OPTIONS
    frozen_bn_eps: float = 0.0
    num_classes: int | None = None
    class_names: tuple[str, ...] = ()
    stuff_names: tuple[str, ...] = ()


def _rows_of_sizes(value: Any) -> tuple[tuple[float, ...], ...]:
    return tuple(sizes(row) for row in value)


def _threshold(value: Any) -> float:
    return number(value.removeprefix(">=") if isinstance(value, str) else value)


def _names(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise TypeError("expected a list of names")
    return tuple(str(name) for name in value)


# key → (field of RCNNConfig, field in it, conversion)
_FIELDS: Mapping[str, tuple[str, str, Callable[[Any], Any]]] = {
    "min_size": ("input_spec", "min_size", side),
    "max_size": ("input_spec", "max_size", positive_side),
    "image_mean": ("input_spec", "mean", three_numbers),
    "image_std": ("input_spec", "std", three_divisors),
    "anchor_sizes": ("settings", "anchor_sizes", _rows_of_sizes),
    "anchor_ratios": ("settings", "anchor_ratios", sizes),
    "rpn_pre_nms_top_n_test": ("settings", "proposals_per_level", count),
    "rpn_post_nms_top_n_test": ("settings", "proposals", count),
    "rpn_nms_thresh": ("settings", "proposal_nms_threshold", number),
    "box_score_thresh": ("options", "score_threshold", number),
    "box_nms_thresh": ("options", "nms_threshold", number),
    "box_detections_per_img": ("options", "max_instances", count),
    "duplicate_iou": ("options", "duplicate_iou", number),
    "mask_threshold": ("options", "mask_threshold", _threshold),
}
_OWN_FIELDS: Mapping[str, Callable[[Any], Any]] = {
    "frozen_bn_eps": number,
    "num_classes": count,
    "class_names": _names,
    "stuff_names": _names,
}
# known but ignored: the tensors determine them
_DESCRIPTIONS = frozenset({"model", "defaults", "thin"})


def read_rcnn_config(content: Mapping[str, Any], source: str, base: RCNNConfig | None = None) -> RCNNConfig:
    """Apply the changes in `content` to the base configuration.

    source: names the file in errors.
    Raises ValueError for a key that is not known or a value that does not fit it.
    """
    config = base or RCNNConfig()
    known = {*_FIELDS, *_OWN_FIELDS, *_DESCRIPTIONS}
    unknown = [key for key in content if key not in known]
    if unknown:
        hint = did_you_mean(unknown[0], known) or f"; known: {', '.join(sorted(known))}"
        raise ValueError(f"{source}: key {unknown[0]!r} is not known{hint}")
    if content and content.keys() <= _DESCRIPTIONS:
        raise ValueError(f"{source}: has no settings; known: {', '.join(sorted(known))}")
    try:
        for key, value in content.items():
            if key in _FIELDS:
                part, name, convert = _FIELDS[key]
                changed = replace(getattr(config, part), **{name: convert(value)})
                config = replace(config, **{part: changed})
            elif key in _OWN_FIELDS and value is not None:
                config = replace(config, **{key: _OWN_FIELDS[key](value)})
    except (TypeError, ValueError, LookupError, ArithmeticError) as error:
        raise ValueError(f"{source}: {key}: {value!r} does not fit ({error})") from error
    return config


def describe_rcnn(settings: RCNNSettings, input_spec: InputSpec, options: SegmentOptions) -> dict[str, Any]:
    """Return the configuration that `read_rcnn_config` reads back as these, without class names."""
    parts = {"settings": settings, "input_spec": input_spec, "options": options}
    return {key: getattr(parts[part], name) for key, (part, name, _) in _FIELDS.items()}
