# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Exported YOLO files load by their metadata and outputs; anything else is refused in one line."""

import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

pytest.importorskip("onnx", reason="the extra onnx is not in this environment")
pytest.importorskip("onnxruntime", reason="the extra onnx is not in this environment")

from onnx import TensorProto, helper
from yolo_file import metadata, stripes, write_yolo

from seg_node import Predictor
from seg_node.export.command import export
from seg_node.export.open_model import ModelSource, open_model
from seg_node.inference.engine import Engine
from seg_node.models.files.load_error import LoadError
from seg_node.models.load import load_model
from seg_node.types import Frame

SIZE = (64, 96)
# one disc over most of the image, with a coefficient of 1 for each prototype
ANCHORS = np.array([[48, 32, 60, 40, 0.9, 0.1, 0.2, 1, 1, 1]], np.float32).T


def refusal(weights: Path, **source: Any) -> str:
    with pytest.raises(LoadError) as raised:
        open_model(ModelSource(weights=weights, device="cpu", **source))
    assert str(raised.value).isprintable() and len(str(raised.value)) < 1000
    return str(raised.value)


def test_file_is_recognised_and_described_by_its_metadata(tmp_path: Path) -> None:
    model = load_model("auto", write_yolo(tmp_path / "x.onnx", SIZE, ANCHORS))
    assert dict(model.labels.things) == {0: "disc", 1: "box", 2: "driver's cab"}
    options = model.default_options
    assert (options.score_threshold, options.nms_threshold, options.max_instances) == (0.25, 0.7, 300)


def test_predictor_finds_the_object_of_the_file(tmp_path: Path) -> None:
    """A white image of 128x192 is scaled by a half; its prototypes are 0.5, so that the whole box is mask."""
    predictor = Predictor(weights=write_yolo(tmp_path / "x.onnx", SIZE, ANCHORS), device="cpu")
    found = predictor(np.full((128, 192, 3), 255, np.uint8))
    assert found.names == ["disc"] and predictor.precision == "exact"
    np.testing.assert_allclose(found.boxes, [[36, 24, 156, 104]], atol=1e-4)
    expected = np.zeros((1, 128, 192), np.bool_)
    expected[0, 24:104, 36:156] = True
    np.testing.assert_array_equal(found.masks, expected)
    assert len(predictor(np.zeros((128, 192, 3), np.uint8)).scores) == 0  # an empty mask, as in the reference


def test_frames_of_a_batch_give_the_same_as_alone(tmp_path: Path) -> None:
    engine = open_model(ModelSource(weights=write_yolo(tmp_path / "x.onnx", SIZE, ANCHORS), device="cpu"))
    frames = [Frame(stripes(60, 70), "bgr"), Frame(stripes(70, 60), "bgr")]
    together = engine.segment_batch(frames, engine.default_options)
    for frame, found in zip(frames, together, strict=True):
        alone = engine.segment(frame, engine.default_options)
        np.testing.assert_array_equal(found.instances.boxes_xyxy, alone.instances.boxes_xyxy)
        assert [mask.area for mask in found.instances.masks] == [m.area for m in alone.instances.masks]
        assert found.instances.masks[0].area > 0


def test_half_precision_file_runs_in_its_own_types(tmp_path: Path) -> None:
    path = write_yolo(tmp_path / "x.onnx", SIZE, ANCHORS, dtype=np.float16)
    engine = open_model(ModelSource(weights=path, device="cpu", precision="fp16"))
    assert engine.precision == "exact"
    assert "this ONNX file computes in fp16; choose auto" in refusal(path, precision="fp32")


def test_settings_come_from_the_configuration(tmp_path: Path) -> None:
    config = tmp_path / "args.yaml"
    config.write_text("conf: null\niou: 0.5\nmax_det: 10\nworkers: 8\n")
    path = write_yolo(tmp_path / "x.onnx", SIZE, ANCHORS)
    options = load_model("yolo", path, config).default_options
    assert (options.score_threshold, options.nms_threshold, options.max_instances) == (0.25, 0.5, 10)
    config.write_text("iou: high\n")
    assert "args.yaml: iou is 'high', not a number from 0 to 1" in refusal(path, config=config)


def test_names_of_the_user_replace_those_of_the_file(tmp_path: Path) -> None:
    labels = tmp_path / "labels.yaml"
    labels.write_text("things: [a, b, c]")
    path = write_yolo(tmp_path / "x.onnx", SIZE, ANCHORS)
    assert load_model("auto", path, labels=labels).labels.things[2] == "c"


@pytest.mark.parametrize("task", ["detect", "pose", "classify", "obb", "x" * 10_000, "\x1b[31m"])
def test_other_tasks_are_refused_by_name(task: str, tmp_path: Path) -> None:
    message = refusal(write_yolo(tmp_path / "x.onnx", SIZE, ANCHORS, metadata(SIZE, task=task)))
    assert "is a YOLO model for the task" in message and "export a segmentation model" in message


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"task": None}, "without the metadata of a YOLO export"),
        ({"names": None}, "its metadata names is ''"),
        ({"names": ["a", "b", "c"]}, "not a dictionary of the names of classes"),
        ({"names": "{0: 'a', 2: 'b', 1: 'c'}"}, "not a dictionary of the names"),
        ({"names": "{0: __import__('os').system('true')}"}, "not a dictionary of the names"),
        ({"names": "{0: 'a' * 10**9}"}, "not a dictionary of the names"),
        ({"names": "{" + "[" * 100_000 + "}"}, "not a dictionary of the names"),
        ({"names": "{0: " + "-" * 100_000 + "1}"}, "not a dictionary of the names"),
        ({"names": "{0: '\\x'}"}, "not a dictionary of the names"),
        ({"names": "{0: '" + "a" * 3_000_000 + "'}"}, r"\(3000007 characters\)"),
        ({"names": {0: "a" * 300, 1: "b", 2: "c"}}, "not one printable line of at most 200"),
        ({"names": {0: "a\nb", 1: "b", 2: "c"}}, "not one printable line"),
        ({"names": {0: "a"}}, "are not those of YOLO segmentation with 1 classes"),
        ({"names": {i: str(i) for i in range(70_000)}}, "not a dictionary of the names"),
        ({"stride": 0}, "its metadata stride is '0', not a number from 1 to 256"),
        ({"stride": "1e9"}, "its metadata stride is '1e9'"),
        ({"stride": "٣٢"}, "its metadata stride is"),
        ({"imgsz": 64}, "its metadata imgsz is '64'"),
        ({"imgsz": [64, 96, 3]}, "its metadata imgsz is"),
        ({"imgsz": [64, 99_999]}, "its metadata imgsz is"),
        ({"imgsz": [60, 96]}, r"not \[height, width\] in multiples of 32"),
        ({"imgsz": [96, 64]}, "takes an input of 1x3x64x96, but 1x3x96x64 is expected"),
        ({"channels": 4}, "takes images of 4 channels"),
        ({"end2end": True}, "are not those of YOLO segmentation"),
    ],
)
def test_metadata_that_no_export_writes_are_refused(changes: Any, message: str, tmp_path: Path) -> None:
    path = write_yolo(tmp_path / "x.onnx", SIZE, ANCHORS, metadata(SIZE, **changes))
    with pytest.raises(LoadError, match=message) as raised:
        load_model("yolo", path)
    assert str(raised.value).isprintable() and str(path) in str(raised.value)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((2, 3, *SIZE), "takes an input of 2x3x64x96.*batch=1"),
        ((1, 3, 64, 128), "takes an input of 1x3x64x128, but 1x3x64x96 is expected"),
    ],
)
def test_inputs_for_other_than_one_image_are_refused(shape: Any, message: str, tmp_path: Path) -> None:
    path = write_yolo(tmp_path / "x.onnx", SIZE, ANCHORS, input_shape=shape)
    with pytest.raises(LoadError, match=message):
        load_model("yolo", path)


def test_file_with_its_own_suppression_is_refused_with_the_cure(tmp_path: Path) -> None:
    layer = helper.make_node("NonMaxSuppression", ["output0", "output0"], ["kept"])
    path = write_yolo(tmp_path / "x.onnx", SIZE, ANCHORS, layers=[layer])
    assert "was exported with nms=True" in refusal(path)


def test_layers_that_ask_for_any_memory_are_refused(tmp_path: Path) -> None:
    huge = helper.make_tensor("s", TensorProto.INT64, [1], [2**40])
    layers = [
        helper.make_node("Constant", [], ["huge"], value=huge),
        helper.make_node("ConstantOfShape", ["huge"], ["much"]),
    ]
    path = write_yolo(tmp_path / "x.onnx", SIZE, ANCHORS, layers=layers)
    assert "take more than any network" in refusal(path)


def test_layers_in_a_ring_are_refused(tmp_path: Path) -> None:
    layers = [helper.make_node("Relu", ["a"], ["b"]), helper.make_node("Relu", ["b"], ["a"])]
    path = write_yolo(tmp_path / "x.onnx", SIZE, ANCHORS, layers=layers)
    assert "its layer Relu needs its own output" in refusal(path)


def test_dynamic_file_is_checked_for_each_size_of_input(tmp_path: Path) -> None:
    """A layer of this file adds a map of one size: for other images its layers do not fit."""
    fixed = helper.make_tensor("f", TensorProto.FLOAT, [1, 1, 16, 24], [0.0] * 16 * 24)
    layers = [
        helper.make_node("Constant", [], ["fixed"], value=fixed),
        helper.make_node("Add", ["output1", "fixed"], ["o"]),
    ]
    path = write_yolo(
        tmp_path / "x.onnx", SIZE, ANCHORS, layers=layers, input_shape=("batch", 3, "height", "width")
    )
    predictor = Predictor(weights=path, device="cpu")
    assert len(predictor(stripes(64, 96)).scores) == 1
    with pytest.raises(ValueError, match=r"its layers do not fit each other .* for an input of 96x32"):
        predictor(stripes(20, 96))


def test_checkpoint_of_the_trainer_is_named_with_the_export_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = types.ModuleType("ultralytics.nn.tasks")
    network = type("SegmentationModel", (), {"__module__": module.__name__})
    module.SegmentationModel = network  # type: ignore[attr-defined]
    for name in ("ultralytics", "ultralytics.nn", module.__name__):
        monkeypatch.setitem(sys.modules, name, module)
    torch.save({"model": network(), "epoch": 3}, tmp_path / "best.pt")
    for family in ("auto", "yolo"):
        message = refusal(tmp_path / "best.pt", family=family)
        assert "is a YOLO model of Ultralytics" in message
        assert "yolo export model=FILE.pt format=onnx" in message


def test_other_families_and_formats_are_refused(tmp_path: Path, thin_checkpoint: tuple[Path, Path]) -> None:
    path = write_yolo(tmp_path / "x.onnx", SIZE, ANCHORS)
    assert "is an ONNX model, which cannot be read as weights" in refusal(path, family="yolact")
    assert "not an ONNX file" in refusal(thin_checkpoint[0], family="yolo")


def test_exported_file_is_not_exported_again(tmp_path: Path) -> None:
    path = write_yolo(tmp_path / "x.onnx", SIZE, ANCHORS)
    with pytest.raises(ValueError, match="exported already"):
        export(tmp_path / "out.onnx", (64, 96), ModelSource(weights=path, device="cpu"))
    assert "exported already" in refusal(path, engine=path)


def test_missing_runtime_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = load_model("yolo", write_yolo(tmp_path / "x.onnx", SIZE, ANCHORS))
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(RuntimeError, match="pip install onnxruntime"):
        Engine(model, torch.device("cpu"))
