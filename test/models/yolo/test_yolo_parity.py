# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Our answers equal those of the reference's own predictor for the same outputs of a network.

reference.npz: made-up detections, and the answers of ultralytics 8.4.190 (`predict`, retina_masks=True) to
files of `yolo_file.write_yolo` and images of `yolo_file.stripes`, one case after the other: numbers only.
"""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

pytest.importorskip("onnx", reason="the extra onnx is not in this environment")
pytest.importorskip("onnxruntime", reason="the extra onnx is not in this environment")

from yolo_file import metadata, stripes, write_yolo

from seg_node.inference.engine import Engine
from seg_node.models.load import load_model
from seg_node.types import Frame

REFERENCE: dict[str, Any] = dict(np.load(Path(__file__).with_name("reference.npz")))
CASES = json.loads(REFERENCE["cases"].tobytes())


def expected(number: int) -> tuple[Any, Any, Any, Any]:
    """Return boxes, scores, classes and masks, bool (n, H, W), of a case."""
    before, case = CASES[:number], CASES[number]
    first, count = sum(one["count"] for one in before), case["count"]
    pixels = sum(one["count"] * np.prod(one["image"]) for one in before)
    bits = np.unpackbits(REFERENCE["masks"])[pixels : pixels + count * np.prod(case["image"])]
    columns = (REFERENCE[name][first : first + count] for name in ("boxes", "scores", "classes"))
    return *columns, bits.reshape(-1, *case["image"]).astype(np.bool_)


@pytest.mark.parametrize(
    "number",
    range(len(CASES)),
    ids=lambda number: "-".join(str(CASES[number][key]) for key in ("file", "image", "settings")),
)
def test_objects_equal_those_of_the_reference(number: int, tmp_path: Path) -> None:
    case = CASES[number]
    file, settings, (height, width) = case["file"], case["settings"], case["image"]
    weights = write_yolo(
        tmp_path / "x.onnx",
        case["input"],
        REFERENCE[f"detections_{file}"],
        metadata(case["input"], selects="selected" in file),
        input_shape=("batch", 3, "height", "width") if "dynamic" in file else None,
    )
    config = tmp_path / "args.yaml"  # the settings that are the reference's own
    config.write_text(json.dumps({"agnostic_nms": settings.get("agnostic_nms", False), "workers": 8}))
    model = load_model("yolo", weights, config)
    options = replace(
        model.default_options,
        score_threshold=settings["conf"],
        nms_threshold=settings["iou"],
        max_instances=settings.get("max_det", 300),
        classes=frozenset(settings["classes"]) if "classes" in settings else None,
    )
    found = (
        Engine(model, torch.device("cpu")).segment(Frame(stripes(height, width), "bgr"), options).instances
    )

    boxes, scores, classes, expected_masks = expected(number)
    assert found.class_ids.tolist() == classes.tolist()
    np.testing.assert_allclose(found.scores, scores, rtol=0, atol=1e-6)
    np.testing.assert_allclose(found.boxes_xyxy, boxes, rtol=0, atol=1e-4)
    masks = np.zeros((len(found), height, width), np.bool_)
    for mask, crop in zip(masks, found.masks, strict=True):
        mask[crop.roi.slices] = crop.pixels
    differing = np.count_nonzero(masks != expected_masks)
    assert differing <= masks.size // 10_000  # pixels at the threshold


def test_the_cases_hold_empty_results_and_many_objects() -> None:
    counts = [case["count"] for case in CASES]
    assert min(counts) == 0 and max(counts) > 10
