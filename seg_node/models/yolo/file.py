# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Loading of exported YOLO files, and of the settings of their predictor."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from seg_node.labels import zero_based_labels
from seg_node.models.onnx.check import parse_onnx
from seg_node.models.yolo.metadata import parse_metadata
from seg_node.models.yolo.model import YoloModel
from seg_node.models.yolo.network import YoloNetwork
from seg_node.types import LabelSet, SegmentOptions

_LARGEST_FILE = 2**31 - 1  # bytes; the limit of protobuf
_KEYS = ("task", "names", "stride", "imgsz", "channels", "end2end")
# the reference's settings, and its defaults
_DEFAULTS: Mapping[str, float | bool] = {"conf": 0.25, "iou": 0.7, "max_det": 300, "agnostic_nms": False}


def load_yolo(path: Path, config: Mapping[str, Any], config_name: str, given: LabelSet | None) -> YoloModel:
    """Load the model of an .onnx file of YOLO's export; it is opened when an engine moves it to a device.

    config: settings of the reference's predictor (conf, iou, max_det, agnostic_nms), such as the training's
    args.yaml; others have no effect. given: the user's labels, instead of the file's.
    Raises ValueError for another file, metadata or settings; RuntimeError when the package onnx is missing.
    """
    if path.stat().st_size > _LARGEST_FILE:
        raise ValueError(f"{path}: larger than {_LARGEST_FILE} bytes")
    data = path.read_bytes()
    content = parse_onnx(data)
    metadata = parse_metadata(
        {entry.key: entry.value for entry in content.metadata_props if entry.key in _KEYS}
    )
    network = YoloNetwork(path, data, content, metadata)
    settings = _read_settings(config, config_name)
    return YoloModel(
        network=network,
        labels=zero_based_labels(len(metadata.names), names=metadata.names, given=given),
        default_options=SegmentOptions(
            score_threshold=settings["conf"],
            nms_threshold=settings["iou"],
            max_instances=int(settings["max_det"]),
            min_area=1,  # the reference drops empty masks
        ),
        input_size=metadata.input_size,
        stride=metadata.stride,
        across_classes=bool(settings["agnostic_nms"]),
    )


def _read_settings(config: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    settings = {
        key: default if config.get(key) is None else config[key] for key, default in _DEFAULTS.items()
    }
    for key, largest in (("conf", 1), ("iou", 1), ("max_det", 30_000)):
        value = settings[key]
        if type(value) not in (int, float) or not 0 <= value <= largest:
            raise ValueError(f"{name}: {key} is {value!r:.50}, not a number from 0 to {largest}")
    if type(settings["agnostic_nms"]) is not bool:
        raise ValueError(f"{name}: agnostic_nms is {settings['agnostic_nms']!r:.50}, not true or false")
    return settings
