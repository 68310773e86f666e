# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""AdelaiDet's configuration of a SOLOv2 (YAML) → `SoloConfig`."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from seg_node.models.files.config_values import count, number, positive, section
from seg_node.models.files.detectron2 import read_trunk
from seg_node.models.solo.settings import LEVELS, PUBLISHED, SoloConfig
from seg_node.untrusted.printable import listed

logger = logging.getLogger(__name__)


def _levels(value: Any) -> tuple[int, ...]:
    if len(value) != LEVELS:
        raise ValueError(f"expected {LEVELS} numbers")
    return tuple(count(item, least=1, most=1024) for item in value)


# key of MODEL.SOLOV2 → field of SoloSettings, or of SegmentOptions, conversion
_SETTINGS: Mapping[str, tuple[str, Callable[[Any], Any]]] = {
    "NUM_GRIDS": ("grids", _levels),
    "FPN_INSTANCE_STRIDES": ("strides", _levels),
    "SCORE_THR": ("score_threshold", number),
    "UPDATE_THR": ("update_threshold", number),
    "NMS_PRE": ("nms_candidates", positive),
    "NMS_SIGMA": ("sigma", number),
    "NMS_KERNEL": ("nms", str),
}
_OPTIONS: Mapping[str, tuple[str, Callable[[Any], Any]]] = {
    "MASK_THR": ("mask_threshold", number),
    "MAX_PER_IMG": ("max_instances", positive),
}
_SUPPORTED: Mapping[str, tuple[Any, ...]] = {
    "NMS_TYPE": ("matrix", "mask"),
    "NMS_KERNEL": ("gaussian", "linear"),
    "NORM": ("GN",),
    "USE_COORD_CONV": (True,),
    "USE_DCN_IN_INSTANCE": (False,),
    "INSTANCE_IN_FEATURES": (["p2", "p3", "p4", "p5", "p6"],),
    "MASK_IN_FEATURES": (["p2", "p3", "p4", "p5"],),
}
# derived from the tensors, or used in training only
_IGNORED_KEYS = """FPN_SCALE_RANGES INSTANCE_CHANNELS INSTANCE_IN_CHANNELS LOSS MASK_CHANNELS MASK_IN_CHANNELS
    NUM_INSTANCE_CONVS NUM_KERNELS NUM_MASKS PRIOR_PROB SIGMA TYPE_DCN"""


def read_adelaidet_config(content: Mapping[str, Any], source: str, num_classes: int) -> SoloConfig:
    """Read the configuration; missing keys, or all if it is empty, are as in the published models.

    source: names it in messages.
    num_classes: of the checkpoint.
    Raises ValueError for a key whose value is not supported or does not fit.
    """
    model = section(content, source, "MODEL")
    if content and model.get("META_ARCHITECTURE", "SOLOv2") != "SOLOv2":
        raise ValueError(f"{source}: MODEL.META_ARCHITECTURE is {model['META_ARCHITECTURE']}, not SOLOv2")
    keys = section(model, source, "SOLOV2")
    _check(keys, source)
    configured = keys.get("NUM_CLASSES", num_classes)
    if configured != num_classes:
        raise ValueError(
            f"{source}: MODEL.SOLOV2.NUM_CLASSES is {configured}, but the checkpoint has {num_classes}"
        )
    settings = {"mask_stride": None, **_converted(keys, _SETTINGS, source)}
    options = _converted(keys, _OPTIONS, source)
    if keys.get("NMS_TYPE") == "mask":
        settings["nms"] = "hard"
        options["nms_threshold"] = options.get("mask_threshold", PUBLISHED.options.mask_threshold)
    trunk = read_trunk(content, source)
    return SoloConfig(
        replace(PUBLISHED.settings, **settings),
        trunk.input_spec,
        replace(PUBLISHED.options, **options),
        trunk.stride_in_1x1,
        depth=trunk.depth,
        groups=trunk.groups,
    )


def _check(keys: Mapping[str, Any], source: str) -> None:
    for key, value in keys.items():
        plain = list(value) if isinstance(value, tuple) else value
        if key in _SUPPORTED and plain not in _SUPPORTED[key]:
            raise ValueError(
                f"{source}: MODEL.SOLOV2.{key}: {value!r} is not supported; supported: "
                f"{', '.join(repr(supported) for supported in _SUPPORTED[key])}"
            )
    known = {*_SETTINGS, *_OPTIONS, *_SUPPORTED, *_IGNORED_KEYS.split(), "NUM_CLASSES"}
    unknown = [f"MODEL.SOLOV2.{key}" for key in keys if key not in known]
    if unknown:
        logger.warning("%s: not understood and ignored: %s", source, listed(unknown))


def _converted(
    keys: Mapping[str, Any], fields: Mapping[str, tuple[str, Callable[[Any], Any]]], source: str
) -> dict[str, Any]:
    converted = {}
    for key, (name, convert) in fields.items():
        if key not in keys:
            continue
        try:
            converted[name] = convert(keys[key])
        except (TypeError, ValueError, LookupError, ArithmeticError) as error:
            raise ValueError(f"{source}: MODEL.SOLOV2.{key}: {keys[key]!r} does not fit ({error})") from error
    return converted
