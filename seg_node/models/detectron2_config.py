"""A configuration of Detectron2 or AdelaiDet (YAML) → the dataclasses it is about.

What changes an answer is taken over or, where only one way of it is offered, checked; what only training
needs is passed over. A key that the file leaves out has the default of Detectron2's `config/defaults.py`.
"""

import ast
import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from seg_node.models.detectron2_keys import (
    OTHER_DEFAULTS,
    PASSED_OVER,
    PUBLISHED,
    PUBLISHED_RESNEXT,
    RCNN_SUPPORTED,
    RPN_LEVELS,
    SEMANTIC_SUPPORTED,
    TRUNK_SUPPORTED,
    Supported,
)
from seg_node.models.rcnn.settings import DETECTRON2_SETTINGS, RCNNSettings
from seg_node.prepare import InputSpec
from seg_node.types import SegmentOptions

logger = logging.getLogger(__name__)

Keys = Mapping[str, Any]  # MODEL.RPN.NMS_THRESH → its value

_INPUT_SPEC = InputSpec(
    channels="bgr",
    mean=(103.53, 116.28, 123.675),
    std=(1.0, 1.0, 1.0),
    pixel_max=1,
    resize="pillow",
    min_size=800,
    max_size=1333,
)
_OPTIONS = SegmentOptions(score_threshold=0.05)


@dataclass(frozen=True)
class Detectron2Config:
    """What a configuration says, by default that of the models with a feature pyramid.

    stride_in_1x1: a stage's stride of 2 is in the first 1x1 convolution of its first block, not in the 3x3.
    meta_architecture: GeneralizedRCNN or PanopticFPN.
    num_things, num_stuff: what the weights must have; None for any.
    """

    settings: RCNNSettings = DETECTRON2_SETTINGS
    input_spec: InputSpec = _INPUT_SPEC
    options: SegmentOptions = _OPTIONS
    stride_in_1x1: bool = True
    meta_architecture: str = "GeneralizedRCNN"
    num_things: int | None = None
    num_stuff: int | None = None


def _floats(value: Any) -> tuple[float, ...]:
    return tuple(float(number) for number in value)


def _three_floats(value: Any) -> tuple[float, float, float]:
    first, second, third = _floats(value)
    return first, second, third


def _four_floats(value: Any) -> tuple[float, float, float, float]:
    first, second, third, fourth = _floats(value)
    return first, second, third, fourth


def _count(value: Any) -> int:
    if int(value) != value or value < 0:
        raise ValueError("expected a whole number")
    return int(value)


def _channels(value: Any) -> str:
    if value not in ("BGR", "RGB"):
        raise ValueError("expected BGR or RGB")
    return str(value).lower()


def _of_each_level(value: Any) -> tuple[tuple[float, ...], ...]:
    rows = tuple(_floats(row) for row in value)
    return rows * len(RPN_LEVELS) if len(rows) == 1 else rows


def _same_for_all_levels(value: Any) -> tuple[float, ...]:
    rows = {_floats(row) for row in value}
    if len(rows) != 1:
        raise ValueError("expected the same for all levels")
    return rows.pop()


def _more_than(value: Any) -> float:
    """The smallest side longer than that, in float32."""
    return max(
        DETECTRON2_SETTINGS.proposal_min_side, float(np.nextafter(np.float32(value), np.float32(np.inf)))
    )


def _is_aligned(value: Any) -> bool:
    return {"ROIAlign": False, "ROIAlignV2": True}[value]


Honoured = Mapping[str, tuple[Any, str, str, Callable[[Any], Any]]]
# key → (Detectron2's default, field of Detectron2Config, field in it if any, conversion)
_INPUT: Honoured = {
    "INPUT.FORMAT": ("BGR", "input_spec", "channels", _channels),
    "INPUT.MIN_SIZE_TEST": (800, "input_spec", "min_size", _count),
    "INPUT.MAX_SIZE_TEST": (1333, "input_spec", "max_size", _count),
    "MODEL.PIXEL_MEAN": (_INPUT_SPEC.mean, "input_spec", "mean", _three_floats),
    "MODEL.PIXEL_STD": (_INPUT_SPEC.std, "input_spec", "std", _three_floats),
    "MODEL.RESNETS.STRIDE_IN_1X1": (True, "stride_in_1x1", "", bool),
}
_RCNN: Honoured = {
    "MODEL.META_ARCHITECTURE": ("GeneralizedRCNN", "meta_architecture", "", str),
    "MODEL.ANCHOR_GENERATOR.SIZES": ([[32, 64, 128, 256, 512]], "settings", "anchor_sizes", _of_each_level),
    "MODEL.ANCHOR_GENERATOR.ASPECT_RATIOS": (
        [[0.5, 1.0, 2.0]], "settings", "anchor_ratios", _same_for_all_levels
    ),
    "MODEL.ANCHOR_GENERATOR.OFFSET": (0.0, "settings", "anchor_offset", float),
    "MODEL.PROPOSAL_GENERATOR.MIN_SIZE": (0, "settings", "proposal_min_side", _more_than),
    "MODEL.RPN.PRE_NMS_TOPK_TEST": (6000, "settings", "proposals_per_level", _count),
    "MODEL.RPN.POST_NMS_TOPK_TEST": (1000, "settings", "proposals", _count),
    "MODEL.RPN.NMS_THRESH": (0.7, "settings", "proposal_nms_threshold", float),
    "MODEL.RPN.BBOX_REG_WEIGHTS": ((1, 1, 1, 1), "settings", "proposal_box_weights", _four_floats),
    "MODEL.ROI_BOX_HEAD.BBOX_REG_WEIGHTS": ((10, 10, 5, 5), "settings", "box_weights", _four_floats),
    "MODEL.ROI_BOX_HEAD.POOLER_SAMPLING_RATIO": (0, "settings", "roi_sampling_ratio", _count),
    "MODEL.ROI_BOX_HEAD.POOLER_TYPE": ("ROIAlignV2", "settings", "roi_aligned", _is_aligned),
    "MODEL.ROI_HEADS.SCORE_THRESH_TEST": (0.05, "options", "score_threshold", float),
    "MODEL.ROI_HEADS.NMS_THRESH_TEST": (0.5, "options", "nms_threshold", float),
    "TEST.DETECTIONS_PER_IMAGE": (100, "options", "max_instances", _count),
    "MODEL.PANOPTIC_FPN.COMBINE.INSTANCES_CONFIDENCE_THRESH": (
        0.5, "options", "panoptic_score_threshold", float
    ),
    "MODEL.PANOPTIC_FPN.COMBINE.OVERLAP_THRESH": (0.5, "options", "panoptic_overlap_threshold", float),
    "MODEL.PANOPTIC_FPN.COMBINE.STUFF_AREA_LIMIT": (4096, "options", "panoptic_stuff_min_area", _count),
}  # fmt: skip
_NUM_THINGS, _NUM_SEMANTIC = "MODEL.ROI_HEADS.NUM_CLASSES", "MODEL.SEM_SEG_HEAD.NUM_CLASSES"
# of the mask head, which must be as of the box head
_MASK_POOLER = ("POOLER_SAMPLING_RATIO", "POOLER_TYPE")


def read_detectron2_config(
    content: Mapping[str, Any], source: str, is_resnext: bool = False
) -> Detectron2Config:
    """Of a Mask R-CNN or Panoptic FPN with a feature pyramid.

    content: empty for the published models' settings; is_resnext then tells whose, ResNet's or ResNeXt's.
    source: names the file in messages.
    Raises ValueError that names a key whose value is not supported or does not fit.
    """
    keys = _read_keys(content, source)
    if not keys:
        keys = {**PUBLISHED, **(PUBLISHED_RESNEXT if is_resnext else {})}
    _check(keys, {**TRUNK_SUPPORTED, **RCNN_SUPPORTED}, source)
    config = _apply(keys, {**_INPUT, **_RCNN}, source)
    if config.meta_architecture == "PanopticFPN":
        _check(keys, SEMANTIC_SUPPORTED, source)
    for name in _MASK_POOLER:
        mask_key, box_key = f"MODEL.ROI_MASK_HEAD.{name}", f"MODEL.ROI_BOX_HEAD.{name}"
        default = _RCNN[box_key][0]
        _check({mask_key: keys.get(mask_key, default)}, {mask_key: (keys.get(box_key, default),)}, source)
    if len(config.settings.anchor_sizes) != len(RPN_LEVELS):
        raise ValueError(f"{source}: MODEL.ANCHOR_GENERATOR.SIZES must have 1 or {len(RPN_LEVELS)} rows")
    return _with_counts(config, keys, source)


def _with_counts(config: Detectron2Config, keys: Keys, source: str) -> Detectron2Config:
    if _NUM_THINGS in keys:
        config = replace(config, num_things=_convert(_count, keys[_NUM_THINGS], _NUM_THINGS, source))
    if config.meta_architecture == "PanopticFPN" and _NUM_SEMANTIC in keys:
        num_semantic = _convert(_count, keys[_NUM_SEMANTIC], _NUM_SEMANTIC, source)
        config = replace(config, num_stuff=num_semantic - 1)  # without the one of all things
    return config


def read_detectron2_input(content: Mapping[str, Any], source: str) -> tuple[InputSpec, bool]:
    """What every architecture with a ResNet and a feature pyramid shares: its input, and stride_in_1x1.

    For AdelaiDet's SOLOv2, whose own keys (MODEL.SOLOV2) are the caller's. Arguments and errors as of
    `read_detectron2_config`.
    """
    keys = _read_keys(content, source) or PUBLISHED
    _check(keys, TRUNK_SUPPORTED, source)
    config = _apply(keys, _INPUT, source)
    return config.input_spec, config.stride_in_1x1


def _read_keys(content: Mapping[str, Any], source: str) -> dict[str, Any]:
    keys = dict(_flatten(content))
    known = {*_INPUT, *_RCNN, _NUM_THINGS, _NUM_SEMANTIC}.union(
        TRUNK_SUPPORTED, RCNN_SUPPORTED, SEMANTIC_SUPPORTED
    )
    unknown = [key for key in keys if key not in known and not key.startswith(PASSED_OVER)]
    if unknown:
        logger.warning("%s: not understood and ignored: %s", source, ", ".join(unknown))
    return keys


def _flatten(content: Mapping[Any, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in content.items():
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", _literal(value)


def _literal(value: Any) -> Any:
    """Detectron2's files have Python's tuples and numbers as texts: "(800,)", "1e-3"."""
    try:
        return ast.literal_eval(value) if isinstance(value, str) else value
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return value


def _check(keys: Keys, supported: Supported, source: str) -> None:
    for key, values in supported.items():
        default = OTHER_DEFAULTS.get(key, values[0])
        value = keys.get(key, default)
        plain = list(value) if isinstance(value, tuple) else value
        if plain not in values:
            said = "" if key in keys else " (Detectron2's default; is the file's _BASE_ missing?)"
            raise ValueError(
                f"{source}: {key}: {value!r}{said} is not supported; supported: "
                f"{', '.join(repr(value) for value in values)}"
            )


def _apply(keys: Keys, honoured: Honoured, source: str) -> Detectron2Config:
    config = Detectron2Config()
    for key, (default, part, name, convert) in honoured.items():
        value = _convert(convert, keys.get(key, default), key, source)
        if name:
            value = replace(getattr(config, part), **{name: value})
        config = replace(config, **{part: value})
    return config


def _convert(convert: Callable[[Any], Any], value: Any, key: str, source: str) -> Any:
    try:
        return convert(value)
    except (TypeError, ValueError, KeyError, OverflowError) as error:
        raise ValueError(f"{source}: {key}: {value!r} does not fit ({error})") from error
