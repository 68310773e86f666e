# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Exported files: they give their network's results, and all other files are refused."""

import json
import shutil
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
import torch
from exit_status import exit_status
from thin_solo import write_thin_checkpoint as write_solo
from thin_yolact import Weights, add_heads, make_plus, resnet
from thin_yolact import write_thin_checkpoint as write_yolact
from torch.utils._pytree import tree_leaves, tree_structure

from seg_node import Predictor
from seg_node.cli import main
from seg_node.export import command as export_module
from seg_node.export.command import export
from seg_node.export.dense_part import exported_size, load_exported, open_engine
from seg_node.export.info import ExportInfo, describe_machine, fingerprint, read_package_info
from seg_node.export.open_model import ModelSource, open_model
from seg_node.models.load import load_model
from seg_node.predictor import Prediction
from seg_node.types import Frame

Checkpoint = tuple[Path, Path]
CPU = torch.device("cpu")
# height and width differ, and are no multiples of 32
CAMERA = (90, 120)
# relative, of any output: rounding in another order; 8 bits of mantissa through a few dozen layers
TOLERANCE = {"fp32": 1e-5, "bf16": 5e-2, "fp16": 1e-2}


def require(suffix: str) -> None:
    """Skip the test where packages for that kind of file are missing."""
    if suffix == ".onnx":
        pytest.importorskip("onnxruntime")
        pytest.importorskip("onnxscript")
    elif not (shutil.which("g++") or shutil.which("clang++")):
        pytest.skip("no C++ compiler")


@pytest.fixture(scope="module")
def exported(thin_checkpoint: Checkpoint, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Export the thin Mask R-CNN, each kind of file once."""
    weights, config = thin_checkpoint
    folder = tmp_path_factory.mktemp("exported")

    def make(suffix: str, precision: str) -> Path:
        require(suffix)
        path = folder / f"{precision}{suffix}"
        if not path.exists():
            export(path, CAMERA, ModelSource("auto", weights, config, device="cpu", precision=precision))
        return path

    return make


@pytest.fixture
def images() -> list[np.ndarray]:
    random = np.random.default_rng()
    return [random.integers(0, 256, (*CAMERA, 3), np.uint8) for _ in range(3)]


def run_dense(dense: Any, pixels: torch.Tensor) -> Any:
    """Return the record of a network or of an exported file."""
    with torch.inference_mode():
        return dense(pixels)


def agreement(found: Prediction, expected: Prediction) -> float:
    """Return the share of expected objects found with nearly the same score, box and mask.

    Rounding can reorder the candidates of a random network, so that not all are found.
    """
    same = found.classes[None] == expected.classes[:, None]
    same &= np.abs(found.scores[None] - expected.scores[:, None]) < 1e-3
    same &= np.abs(found.boxes[None] - expected.boxes[:, None]).max(-1) < 0.2  # pixels
    same &= (found.masks[None] != expected.masks[:, None]).mean((-1, -2)) < 1e-3
    return float(same.any(1).mean())


def relative_errors(found: Any, expected: Any) -> list[float]:
    assert tree_structure(found) == tree_structure(expected)
    pairs = zip(tree_leaves(found), tree_leaves(expected), strict=True)
    return [float((a.float() - b).norm() / b.norm()) for a, b in pairs]


@pytest.mark.parametrize(
    ("suffix", "precision"), [(".pt2", "fp32"), (".pt2", "bf16"), (".onnx", "fp32"), (".onnx", "fp16")]
)
def test_the_file_computes_what_the_network_does(
    thin_checkpoint: Checkpoint, exported: Any, suffix: str, precision: str
) -> None:
    path = exported(suffix, precision)
    model = load_model("auto", *thin_checkpoint)
    pixels = torch.randn(2, 3, 128, 192)  # of two cameras
    expected = run_dense(model.network, pixels)
    exported_part = load_exported(path, model, CPU)
    assert exported_part.info.precision == precision
    found = run_dense(exported_part, pixels)
    assert [tuple(x.shape) for x in tree_leaves(found)] == [tuple(x.shape) for x in tree_leaves(expected)]
    assert max(relative_errors(found, expected)) < TOLERANCE[precision]


@pytest.mark.parametrize("suffix", [".pt2", ".onnx"])
def test_a_predictor_finds_the_same_with_the_file(
    thin_checkpoint: Checkpoint, exported: Any, images: list[np.ndarray], suffix: str
) -> None:
    weights, config = thin_checkpoint
    plain = Predictor(config, weights, device="cpu")
    fast = Predictor(config, weights, device="cpu", engine=exported(suffix, "fp32"))
    for image in images:
        expected, found = plain(image), fast(image)
        assert len(expected.scores) > 5
        assert agreement(found, expected) > 0.9


def test_what_torch_computes_is_in_the_files_precision(thin_checkpoint: Checkpoint, exported: Any) -> None:
    source = ModelSource("auto", *thin_checkpoint, device="cpu")
    assert exported_size(open_model(source)) is None
    engine = open_model(replace(source, engine=exported(".pt2", "bf16")))
    assert engine.precision == "bf16"
    assert exported_size(engine) == CAMERA
    engine.warm_up(CAMERA)


def test_segment_takes_the_file(
    thin_checkpoint: Checkpoint, exported: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import cv2

    weights, config = thin_checkpoint
    cv2.imwrite(str(tmp_path / "a.png"), np.full((*CAMERA, 3), 90, np.uint8))
    cv2.imwrite(str(tmp_path / "b.png"), np.full((200, 90, 3), 90, np.uint8))
    common = ["--weights", str(weights), "--config", str(config), "--device", "cpu", "--out", str(tmp_path)]
    engine = ["--engine", str(exported(".pt2", "fp32"))]
    assert main(["segment", str(tmp_path / "a.png"), *common, *engine]) == 0
    assert "on cpu, fp32" in capsys.readouterr().out
    assert main(["segment", str(tmp_path / "b.png"), *common, *engine]) == 1
    error = capsys.readouterr().err
    assert "exported for camera images of 120x90 (network input 192x128)" in error
    assert "makes an input of 128x256" in error and "--size WIDTHxHEIGHT" in error


def write_plus(folder: Path) -> tuple[Path, None]:
    """Build a thin YOLACT++, which has deformable convolutions."""
    weights = Weights(1)
    add_heads(weights, resnet(weights), priors=9)
    make_plus(weights)
    torch.save(dict(weights), folder / "plus.pth")
    return folder / "plus.pth", None


@pytest.mark.parametrize(
    ("write", "suffix"),
    [
        (write_yolact, ".pt2"),
        (write_yolact, ".onnx"),
        (write_plus, ".onnx"),
        (write_solo, ".pt2"),
        (write_solo, ".onnx"),
    ],
)
def test_other_families_compute_the_same_too(write: Any, suffix: str, tmp_path: Path) -> None:
    require(suffix)
    weights, config = write(tmp_path)
    path = tmp_path / f"x{suffix}"
    export(path, CAMERA, ModelSource("auto", weights, config, device="cpu", precision="fp32"))
    model = load_model("auto", weights, config)
    pixels = model.prepare(
        [Frame(np.random.default_rng(0).integers(0, 256, (*CAMERA, 3), np.uint8), "bgr")], CPU
    ).pixels
    exported_part = load_exported(path, model, CPU)
    assert max(relative_errors(run_dense(exported_part, pixels), run_dense(model.network, pixels))) < 1e-4


@pytest.mark.parametrize("suffix", [".pt2", ".onnx"])
def test_a_file_of_another_model_is_refused(exported: Any, suffix: str) -> None:
    path = exported(suffix, "fp32")
    with pytest.raises(ValueError, match=r"exported from other weights \(thin.pth\); export a file for this"):
        load_exported(path, load_model(), CPU)


def test_a_file_of_another_precision_is_refused(thin_checkpoint: Checkpoint, exported: Any) -> None:
    model = load_model("auto", *thin_checkpoint)
    with pytest.raises(ValueError, match="exported in bf16, but precision is fp32"):
        open_engine(model, CPU, "fp32", exported(".pt2", "bf16"))


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("machine", "Cortex-A78 (0)", r"compiled for Cortex-A78 \(0\), not for "),
        ("torch", "2.3.0", "compiled with PyTorch 2.3.0, but this is"),
        ("network", "SOLO", "exported from a SOLO"),
        ("input_size", None, "written by another version of seg_node"),
        ("torch_ms", "1", "a time that is not from 0 to"),
        ("torch_ms", -1, "a time that is not from 0 to"),
        ("exported_ms", 10**400, "a time that is not from 0 to"),
        ("exported_ms", float("nan"), "a time that is not from 0 to"),
        ("timed_on", 5, "its fields are not texts"),
    ],
)
def test_code_for_another_machine_is_refused_before_it_runs(
    thin_checkpoint: Checkpoint, tmp_path: Path, key: str, value: Any, message: str
) -> None:
    model = load_model("auto", *thin_checkpoint)
    fields = {
        "network": "MaskRCNN",
        "source": "thin.pth",
        "weights": fingerprint(model.network),
        "camera_size": [90, 120],
        "input_size": [128, 192],
        "precision": "fp32",
        "machine": describe_machine(CPU),
        "torch": torch.__version__,
        "seg_node": "1",
    }
    path = tmp_path / "x.pt2"
    with zipfile.ZipFile(path, "w") as package:
        package.writestr("x/extra/seg_node.json", json.dumps({**fields, key: value}))
    with pytest.raises(ValueError, match=message):
        load_exported(path, model, CPU)


def test_the_description_says_what_the_file_is_for(exported: Any) -> None:
    info = read_package_info(exported(".pt2", "fp32"))
    assert (info.camera_size, info.input_size) == (CAMERA, (128, 192))
    assert (info.network, info.source, info.precision) == ("MaskRCNN", "thin.pth", "fp32")


def test_the_description_has_the_times_of_file_and_pytorch(exported: Any) -> None:
    info = read_package_info(exported(".pt2", "fp32"))
    assert info.timed_on == describe_machine(CPU)
    assert info.exported_ms > 0 and info.torch_ms > 0


def uses_tf32() -> bool:
    cudnn = torch.backends.cudnn
    if hasattr(torch.backends, "fp32_precision"):  # since PyTorch 2.9
        return bool(cudnn.conv.fp32_precision == "tf32")
    return bool(cudnn.allow_tf32)


def test_pytorch_is_timed_in_the_engines_numbers() -> None:
    """PyTorch with TF32 would be faster than a file that computes in float32."""
    seen = []

    def run(pixels: torch.Tensor) -> tuple[torch.Tensor]:
        seen.append(uses_tf32())
        return (pixels,)

    dense = mock.Mock(side_effect=run, network=torch.nn.Identity())
    export_module._compare(dense, torch.ones(1, 3, 4, 8), run, information())
    assert uses_tf32()  # PyTorch's default, which a caller has
    assert set(seen) == {False}


def information(**changes: Any) -> ExportInfo:
    fields = {
        "network": "MaskRCNN", "source": "x.pth", "weights": "0", "camera_size": (90, 120),
        "input_size": (128, 192), "precision": "fp32", "machine": describe_machine(CPU),
    }  # fmt: skip
    return ExportInfo(**{**fields, **changes})


@pytest.mark.parametrize(
    ("exported_ms", "torch_ms", "timed_on", "level", "message"),
    [
        (
            30.0,
            20.0,
            "here",
            "WARNING",
            "slower than PyTorch when it was exported (dense part: 30.0 ms, PyTorch",
        ),
        (20.0, 30.0, "here", None, ""),
        (30.0, 20.0, "elsewhere", "INFO", "not timed on this machine"),
        (0.0, 0.0, "", "INFO", "not timed on this machine"),
    ],
)
def test_a_file_slower_than_pytorch_is_logged_when_it_is_loaded(
    thin_checkpoint: Checkpoint,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    exported_ms: float,
    torch_ms: float,
    timed_on: str,
    level: str | None,
    message: str,
) -> None:
    model = load_model("auto", *thin_checkpoint)
    info = information(
        weights=fingerprint(model.network),
        exported_ms=exported_ms,
        torch_ms=torch_ms,
        timed_on=describe_machine(CPU) if timed_on == "here" else timed_on,
    )
    path = tmp_path / "x.pt2"
    with zipfile.ZipFile(path, "w") as package:
        package.writestr("x/extra/seg_node.json", info.to_json())
    monkeypatch.setattr("seg_node.export.dense_part.open_package", lambda *_: lambda pixels: (pixels,))
    with caplog.at_level("INFO", "seg_node.export.dense_part"):
        load_exported(path, model, CPU)
    own = [r for r in caplog.records if r.name == "seg_node.export.dense_part"]  # load_model logs, too
    said = [(r.levelname, r.getMessage()) for r in own if "dense part in" not in r.getMessage()]
    assert [name for name, _ in said] == ([level] if level else [])
    assert all(f"{path}: {message}" in text for _, text in said)


def test_the_summary_names_a_file_that_is_no_gain() -> None:
    slow = information(exported_ms=3.0, torch_ms=2.0)
    fast = information(exported_ms=2.0, torch_ms=3.0)
    assert "slower than PyTorch here: leave it out" in export_module._summary(Path("x.pt2"), slow, CPU, 0.0)
    assert "slower" not in export_module._summary(Path("x.pt2"), fast, CPU, 0.0)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
@pytest.mark.parametrize("name", ["x.pt2", "x.onnx"])
def test_an_export_for_a_gpu_that_is_not_there_is_refused(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["export", "--size", "120x90", "--device", "cuda", "--out", str(tmp_path / name)]
    assert main(command) == 1
    assert "device cuda: PyTorch" in capsys.readouterr().err
    assert not (tmp_path / name).exists()


def test_an_onnx_file_for_cuda_needs_an_onnx_runtime_with_cuda(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    require(".onnx")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(export_module, "has_cuda", lambda: False)
    with pytest.raises(
        RuntimeError, match="device cuda: this ONNX Runtime has no CUDA: pip install onnxrunt"
    ):
        export(tmp_path / "x.onnx", CAMERA, ModelSource(device="cuda"))
    assert export_module._check_target(tmp_path / "x.onnx", "auto") == CPU
    monkeypatch.setattr(export_module, "has_cuda", lambda: True)
    assert export_module._check_target(tmp_path / "x.onnx", "cuda") == torch.device("cuda", 0)


def test_the_fingerprint_changes_with_a_single_weight(thin_checkpoint: Checkpoint) -> None:
    network = load_model("auto", *thin_checkpoint).network
    before = fingerprint(network)
    assert fingerprint(load_model("auto", *thin_checkpoint).network) == before
    with torch.no_grad():
        next(network.parameters()).view(-1)[0] += 1e-3
    assert fingerprint(network) != before


@pytest.mark.parametrize("content", [b"", b"no archive", None])
def test_other_files_are_refused(thin_checkpoint: Checkpoint, tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "x.pt2"
    if content is None:
        with zipfile.ZipFile(path, "w") as package:
            package.writestr("x/version", "3")
    else:
        path.write_bytes(content)
    with pytest.raises(ValueError, match="not a package that seg_node export wrote"):
        load_exported(path, load_model("auto", *thin_checkpoint), CPU)
    with pytest.raises(FileNotFoundError, match="make it with seg_node export"):
        load_exported(tmp_path / "y.pt2", load_model("auto", *thin_checkpoint), CPU)


def test_other_onnx_files_are_refused(thin_checkpoint: Checkpoint, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    (tmp_path / "x.onnx").write_bytes(b"no model")
    with pytest.raises(ValueError, match=r"x\.onnx: not an ONNX file"):
        load_exported(tmp_path / "x.onnx", load_model("auto", *thin_checkpoint), CPU)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--out", "x.engine"], "x.engine: the name must end in .pt2"),
        (["--out", "nowhere/x.pt2"], "there is no folder nowhere"),
        (["--out", "x.pt2", "--precision", "exact"], "choose fp32 instead of exact"),
        (["--out", "x.pt2", "--precision", "fp8"], "precision 'fp8' is not known"),
        (["--out", "x.pt2", "--precision", "fp16"], "precision fp16 is for GPUs"),
        (["--out", "x.pt2", "--weights", "gone.pth"], "gone.pth: no such weights file"),
    ],
)
def test_wrong_wishes_say_what_to_do(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    of_device = arguments[-1] == "fp16"  # refused by the device, not by the parser
    status = exit_status(["export", "--size", "120x90", "--device", "cpu", *arguments])
    assert status == (1 if of_device else 2)
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("size", ["640", "640x", "0x480", "640 x 480", "480,640"])
def test_a_size_is_width_x_height(size: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["export", "--out", "x.pt2", "--size", size])
    assert "is not WIDTHxHEIGHT in pixels, such as 640x480" in capsys.readouterr().err
