# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Checkpoint files of all supported software are read by content, and nothing in them is executed."""

import argparse
import bz2
import gzip
import lzma
import os
import pickle
import sys
import tarfile
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from seg_node.models.files.checkpoint import read_checkpoint
from seg_node.models.files.pickle_file import STAND_INS

Write = Callable[[Any, Path], None]
NAME = "backbone.conv.weight"
WEIGHT = torch.arange(300.0).reshape(3, 100)


def save_legacy(content: Any, path: Path) -> None:
    torch.save(content, path, _use_new_zipfile_serialization=False)


def save_pickle(content: Any, path: Path) -> None:
    path.write_bytes(pickle.dumps(content))


def arrays(tensors: dict[str, Tensor]) -> dict[str, np.ndarray]:
    return {name: tensor.numpy() for name, tensor in tensors.items()}


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".pkl"])
@pytest.mark.parametrize(
    ("write", "weight"), [(torch.save, WEIGHT), (save_legacy, WEIGHT), (save_pickle, WEIGHT.numpy())]
)
@pytest.mark.parametrize("wrapper", [None, "model", "state_dict", "model_state_dict"])
def test_the_content_and_not_the_suffix_decides_how_a_file_is_read(
    wrapper: str | None, write: Write, weight: Any, suffix: str, tmp_path: Path
) -> None:
    file = tmp_path / f"weights{suffix}"
    tensors = OrderedDict({NAME: weight})
    write(tensors if wrapper is None else {wrapper: tensors, "optimizer": {"lr": 0.1}, "iteration": 7}, file)
    checkpoint = read_checkpoint(file)
    assert checkpoint.path == file and dict(checkpoint.metadata) == {}
    assert list(checkpoint.tensors) == [NAME] and checkpoint.tensors[NAME].equal(WEIGHT)


def test_texts_of_a_safetensors_file_are_kept(tmp_path: Path) -> None:
    save_file({NAME: WEIGHT}, tmp_path / "w.safetensors", {"config": "{}"})
    checkpoint = read_checkpoint(tmp_path / "w.safetensors")
    assert checkpoint.tensors[NAME].equal(WEIGHT) and checkpoint.metadata["config"] == "{}"


def test_detectron2_names_stay_and_the_author_is_kept(tmp_path: Path) -> None:
    content = {"model": {NAME: WEIGHT.numpy()}, "__author__": "somebody", "matching_heuristics": True}
    save_pickle(content, tmp_path / "model_final.pkl")
    checkpoint = read_checkpoint(tmp_path / "model_final.pkl")
    assert list(checkpoint.tensors) == [NAME] and dict(checkpoint.metadata) == {"__author__": "somebody"}


@pytest.mark.parametrize("wrapped", [True, False])
def test_caffe2_blobs_get_detectron2_names(wrapped: bool, tmp_path: Path) -> None:
    blobs = {
        "fpn_res2_2_sum_w": np.ones((4, 4, 3, 3), np.float32),
        "fpn_res2_2_sum_w_momentum": np.zeros((4, 4, 3, 3), np.float32),
    }
    save_pickle({"blobs": blobs, "cfg": "MODEL: {}"} if wrapped else blobs, tmp_path / "model_final.pkl")
    checkpoint = read_checkpoint(tmp_path / "model_final.pkl")
    assert {name: tuple(tensor.shape) for name, tensor in checkpoint.tensors.items()} == {
        "backbone.fpn_output2.weight": (4, 4, 3, 3)
    }


@pytest.mark.parametrize("write", [torch.save, save_legacy])
def test_mmdetection_1_and_2_keep_meta_and_lose_moving_averages(write: Write, tmp_path: Path) -> None:
    meta = {"CLASSES": ("cup", "bowl"), "config": "model = dict(type='SOLO')", "epoch": 36, "seed": None}
    tensors = {NAME: WEIGHT, "ema_backbone_conv_weight": WEIGHT + 1}
    write({"meta": meta, "state_dict": tensors, "optimizer": {}}, tmp_path / "solo.pth")
    checkpoint = read_checkpoint(tmp_path / "solo.pth")
    assert list(checkpoint.tensors) == [NAME] and checkpoint.metadata == {"meta": meta}


@pytest.mark.parametrize("write", [torch.save, save_pickle])
@pytest.mark.parametrize("wrap", [lambda t: [t, 3], lambda t: (t,), lambda t: ({"lr": 1}, {"net": t})])
def test_tensors_in_a_list_are_taken(write: Write, tmp_path: Path, wrap: Callable[[Any], Any]) -> None:
    weight: Any = WEIGHT.numpy() if write is save_pickle else WEIGHT
    write(wrap({NAME: weight}), tmp_path / "w.pth")
    assert read_checkpoint(tmp_path / "w.pth").tensors[NAME].equal(WEIGHT)


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_a_file_whose_name_is_not_utf8_is_read(tmp_path: Path, suffix: str) -> None:
    plain = tmp_path / f"w{suffix}"
    (save_file if suffix == ".safetensors" else torch.save)({NAME: WEIGHT}, plain)
    path = plain.rename(tmp_path / os.fsdecode(b"caf\xe9" + suffix.encode()))
    assert read_checkpoint(path).tensors[NAME].equal(WEIGHT)


def test_a_network_called_ema_is_no_moving_average(tmp_path: Path) -> None:
    torch.save({f"ema_model.{NAME}": WEIGHT}, tmp_path / "w.pth")
    assert list(read_checkpoint(tmp_path / "w.pth").tensors) == [f"ema_model.{NAME}"]


def test_prefix_of_parallel_training_is_dropped(tmp_path: Path) -> None:
    torch.save({f"module.{NAME}": WEIGHT}, tmp_path / "w.pth")
    assert list(read_checkpoint(tmp_path / "w.pth").tensors) == [NAME]


@pytest.fixture
def history_buffer(monkeypatch: pytest.MonkeyPatch) -> type:
    """Class with the name of mmengine's, which the reader must never import."""

    class HistoryBuffer:
        def __init__(self, values: list[float]) -> None:
            self.max_length = 1000000
            self._log_history, self._count_history = np.array(values), np.array([1] * len(values))
            self.smallest = HistoryBuffer.min

        def min(self) -> float:
            raise AssertionError("executed")

        def __setstate__(self, state: Any) -> None:
            raise AssertionError("executed")

    name = "mmengine.logging.history_buffer"
    for package in ("mmengine", "mmengine.logging", name):
        monkeypatch.setitem(sys.modules, package, ModuleType(package))
    HistoryBuffer.__module__, HistoryBuffer.__qualname__ = name, "HistoryBuffer"
    HistoryBuffer.min.__module__, HistoryBuffer.min.__qualname__ = name, "HistoryBuffer.min"
    sys.modules[name].HistoryBuffer = HistoryBuffer  # type: ignore[attr-defined]
    return HistoryBuffer


@pytest.mark.skipif(not hasattr(torch.serialization, "safe_globals"), reason="needs torch 2.5")
@pytest.mark.parametrize("installed", [True, False])
@pytest.mark.parametrize("write", [torch.save, save_legacy])
def test_logs_in_a_checkpoint_of_mmdetection_3_do_no_harm(
    write: Write, installed: bool, history_buffer: type, tmp_path: Path
) -> None:
    hub = {"log_scalars": OrderedDict({"train/loss": history_buffer([1.5, 1.25])}), "loss": np.float64(1.25)}
    meta = {
        "dataset_meta": {"classes": ("cup",), "palette": [(1, 2, 3)]},
        "cfg": "x = 1",
        "epoch": np.int64(3),
    }
    write({"meta": meta, "state_dict": {NAME: WEIGHT}, "message_hub": hub}, tmp_path / "epoch.pth")
    if not installed:
        del sys.modules["mmengine.logging.history_buffer"]
    checkpoint = read_checkpoint(tmp_path / "epoch.pth")
    assert checkpoint.tensors[NAME].equal(WEIGHT)
    assert checkpoint.metadata["meta"] == {**meta, "epoch": 3}
    assert not {*torch.serialization.get_safe_globals()} & {*STAND_INS.values()}


class Hostile:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("touch hostile_was_here",)


@pytest.mark.parametrize("write", [torch.save, save_legacy, save_pickle])
@pytest.mark.parametrize("place", ["beside", "among", "alone"])
def test_file_that_would_run_a_command_is_refused_by_its_name(
    place: str, write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    tensors = {NAME: WEIGHT.numpy() if write is save_pickle else WEIGHT}
    contents = {
        "beside": {"model": tensors, "optimizer": Hostile()},
        "among": {**tensors, "x": Hostile()},
        "alone": Hostile(),
    }
    write(contents[place], tmp_path / "w.pth")
    with pytest.raises(
        ValueError, match=r"w\.pth: .*it asks for (posix|nt)\.system, which weights do not need"
    ):
        read_checkpoint(tmp_path / "w.pth")
    assert [path.name for path in tmp_path.iterdir()] == ["w.pth"]


def altered(
    change: Callable[[str, bytes], bytes], compression: int = zipfile.ZIP_STORED
) -> Callable[[Path], None]:
    """Write a checkpoint with one changed record."""

    def write(path: Path) -> None:
        torch.save({NAME: WEIGHT}, path)
        with zipfile.ZipFile(path) as archive:
            records = {entry.filename: archive.read(entry) for entry in archive.infolist()}
        with zipfile.ZipFile(path, "w", compression) as archive:
            for name, data in records.items():
                archive.writestr(name, change(name, data))

    return write


def claim_more(name: str, data: bytes) -> bytes:
    count, large = b"M\x2c\x01", b"J\x00\x00\x00\x40"  # 300, 2**30
    return data.replace(count, large) if name.endswith("data.pkl") else data


DAMAGED: dict[str, tuple[Callable[[Path], Any], str]] = {
    "empty": (lambda path: path.write_bytes(b""), "is empty; download it again"),
    "Git LFS pointer": (
        lambda path: path.write_text(
            "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12\n"
        ),
        r"is a text file \(a Git LFS pointer\), not the weights; run git lfs pull",
    ),
    "web page": (
        lambda path: path.write_text("\n<!DOCTYPE html><html>Sign in</html>"),
        "is a web page, not weights",
    ),
    "config": (
        lambda path: path.write_text("MODEL:\n  größe: 3\n" * 99),
        "is a text file, not weights; it begins with 'MODEL:'",
    ),
    "zeros": (lambda path: path.write_bytes(bytes(100)), "is not a weights file .*, or damaged"),
    "cut short": (
        lambda path: save_cut(path, torch.save),
        r"is cut off or damaged \(\d+ bytes\); download it again$",
    ),
    "cut short, legacy": (lambda path: save_cut(path, save_legacy), "is cut off or damaged"),
    "cut short, pickle": (lambda path: save_cut(path, save_pickle), "is cut off or damaged"),
    "empty archive": (lambda path: zipfile.ZipFile(path, "w").close(), "not a plain PyTorch"),
    "archive of something": (lambda path: write_archive(path), "not a plain PyTorch"),
    "storage larger than its data": (altered(claim_more), "not a plain PyTorch"),
    "data missing": (altered(lambda name, data: b"" if "data/" in name else data), "not a plain PyTorch"),
    "bomb": (
        altered(lambda name, data: bytes(10**6) if "data/0" in name else data, zipfile.ZIP_DEFLATED),
        r"it claims to hold 1000\d+ bytes, more than the file",
    ),
    "shape larger than the file": (
        lambda path: torch.save({NAME: torch.zeros(1).expand(10**9)}, path),
        r"backbone\.conv\.weight: 4000000000 bytes in a file of \d+",
    ),
    "numbers": (lambda path: torch.save({NAME: 3}, path), "'backbone.conv.weight' is not a tensor"),
    "list": (lambda path: torch.save([WEIGHT], path), "holds a list"),
    "nothing": (lambda path: save_pickle({}, path), "holds a dict"),
    "array of texts": (lambda path: save_pickle({NAME: np.array(["a"])}, path), "is not a tensor"),
}


def compressed(kind: str) -> Callable[[Path], None]:
    """Write a checkpoint inside an archive of the given kind."""

    def write(path: Path) -> None:
        inner = path.parent / "model_final.pth"
        torch.save({NAME: WEIGHT}, inner)
        if kind == "zip":
            with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
                archive.write(inner, inner.name)
        elif kind.startswith("tar"):
            with tarfile.open(path, f"w:{kind.partition('.')[2]}") as tar:
                tar.add(inner, inner.name)
        else:
            path.write_bytes({"gzip": gzip, "bzip2": bz2, "xz": lzma}[kind].compress(inner.read_bytes()))

    return write


def write_torchscript(path: Path) -> None:
    torch.jit.save(torch.jit.trace(torch.nn.Linear(2, 2), torch.zeros(1, 2)), path)


def write_old_tar(path: Path) -> None:
    """Write a file like PyTorch before 0.1.10."""
    with tarfile.open(path, "w:") as tar:
        for name in ("sys_info", "pickle", "tensors"):
            tar.addfile(tarfile.TarInfo(name))


OTHER_FORMATS: dict[str, tuple[Callable[[Path], Any], str]] = {
    **{
        f"in {kind}": (compressed(kind), r"unpack it first, then give the weights file in it$")
        for kind in ("zip", "tar.", "tar.gz", "gzip", "bzip2", "xz")
    },
    "TorchScript": (write_torchscript, r"is a TorchScript program.*torch\.jit\.load\(FILE\)\.state_dict"),
    "tar of 2016": (write_old_tar, r"is of PyTorch before 0\.1\.10"),
    "Keras": (lambda path: path.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(99)), "weights of Keras"),
    "numpy": (lambda path: np.save(path.open("wb"), np.ones(3)), "one array of numpy"),
    "ONNX": (
        lambda path: path.write_bytes(b"\x08\x0a\x12\x07pytorch\x1a\x032.4"),
        "is an ONNX model.*the checkpoint that it was made from",
    ),
    "seg_node export": (
        lambda path: write_archive(path, "x/extra/seg_node.json"),
        r"compiled PyTorch program .*goes to engine",
    ),
    "a configuration": (lambda path: path.write_text("MODEL: {}"), "is a text file, not weights"),
    "lz4": (lambda path: path.write_bytes(b"\x04\x22\x4d\x18" + bytes(99)), "compressed by lz4.*unpack it"),
    "numpy's archive": (lambda path: np.savez(path.open("wb"), w=np.ones(3)), "arrays of numpy .*not read"),
    "TensorFlow": (lambda path: path.write_bytes(b"\x08\x01\x12\x9a\x01" + bytes(99)), "is a SavedModel of"),
    "TensorRT": (lambda path: path.write_bytes(b"ftrt" + bytes(range(99))), "is an engine of TensorRT"),
    "MATLAB": (lambda path: path.write_bytes(b"MATLAB 5.0 MAT-file" + bytes(99)), "is a file of MATLAB"),
    "OpenVINO": (
        lambda path: path.write_text('<?xml version="1.0"?>\n<net name="x">'),
        "is a model of OpenVINO",
    ),
    "list of shards": (
        lambda path: path.write_text('{"weight_map": {"a": "b"}}'),
        "give the folder that it lies",
    ),
}


@pytest.mark.parametrize("suffix", [".pth", ".bin"])
@pytest.mark.parametrize("kind", OTHER_FORMATS)
def test_other_formats_are_called_by_their_name_with_what_to_do(
    kind: str, suffix: str, tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    write, message = OTHER_FORMATS[kind]
    path = tmp_path / f"w{suffix}"
    write(path)
    recwarn.clear()
    with pytest.raises(ValueError, match=rf"w\.(pth|bin): .*{message}") as raised:
        read_checkpoint(path)
    assert "weights_only" not in str(raised.value) and "download" not in str(raised.value)
    assert not recwarn.list  # torch does not warn either


def test_a_configuration_given_as_weights_is_refused_with_a_question(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("MODEL: {}")
    with pytest.raises(ValueError, match=r"c\.yaml: is a text file, .*; is it the configuration\?"):
        read_checkpoint(tmp_path / "c.yaml")


def test_safetensors_are_recognised_by_content_and_counted(tmp_path: Path) -> None:
    save_file({NAME: WEIGHT}, tmp_path / "w.bin")
    assert read_checkpoint(tmp_path / "w.bin").tensors[NAME].equal(WEIGHT)
    save_file({f"a.{i}": torch.zeros(0) for i in range(20_001)}, tmp_path / "many.safetensors")
    with pytest.raises(ValueError, match=r"many\.safetensors: holds 20001 tensors, expected 1 to 20000"):
        read_checkpoint(tmp_path / "many.safetensors")


def test_description_of_very_many_values_is_refused(tmp_path: Path) -> None:
    nested: Any = ()
    for _ in range(60):
        nested = (nested, nested)
    save_pickle({"meta": {"CLASSES": nested}, "state_dict": {NAME: WEIGHT.numpy()}}, tmp_path / "w.pth")
    with pytest.raises(ValueError, match="the description of its tensors has more than 1000000 values"):
        read_checkpoint(tmp_path / "w.pth")


def save_cut(path: Path, save: Write) -> None:
    save({NAME: WEIGHT}, path)
    path.write_bytes(path.read_bytes()[:-700])


def write_archive(path: Path, name: str = "readme.txt") -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(name, "no weights")


@pytest.mark.parametrize("name", ["w.pth", "w.pkl"])
@pytest.mark.parametrize("kind", DAMAGED)
def test_file_that_is_no_checkpoint_is_refused_with_its_name_and_the_reason(
    kind: str, name: str, tmp_path: Path
) -> None:
    write, message = DAMAGED[kind]
    write(tmp_path / name)
    with pytest.raises(ValueError, match=rf"{name}: .*{message}"):
        read_checkpoint(tmp_path / name)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: b"", "is empty"),
        (lambda data: data[:20], r"is cut off or damaged \(20 bytes\)"),
        (lambda data: data[:-1], "is cut off or damaged"),
        (lambda data: b"version https://git-lfs.github.com/spec/v1\n", "Git LFS pointer.*run git lfs pull"),
        (lambda data: bytes(100), "not a safetensors file"),
    ],
)
def test_an_incomplete_safetensors_file_is_refused(
    change: Callable[[bytes], bytes], message: str, tmp_path: Path
) -> None:
    file = tmp_path / "w.safetensors"
    save_file({NAME: WEIGHT}, file)
    file.write_bytes(change(file.read_bytes()))
    with pytest.raises(ValueError, match=rf"w\.safetensors: .*{message}"):
        read_checkpoint(file)


@pytest.mark.skipif(not hasattr(torch.serialization, "safe_globals"), reason="needs torch 2.5")
@pytest.mark.parametrize("write", [torch.save, save_legacy, save_pickle])
def test_command_line_in_a_checkpoint_of_torchvisions_training_does_no_harm(
    write: Write, tmp_path: Path
) -> None:
    weight: Any = WEIGHT.numpy() if write is save_pickle else WEIGHT
    content = {
        "model": {NAME: weight},
        "optimizer": {"state": {}, "param_groups": [{"lr": 0.02}]},
        "lr_scheduler": {"last_epoch": 25},
        "args": argparse.Namespace(data_path="/data/coco", lr=0.02, aspect_ratio_group_factor=3),
        "epoch": 25,
    }
    write(content, tmp_path / "model_25.pth")
    assert read_checkpoint(tmp_path / "model_25.pth").tensors[NAME].equal(WEIGHT)
    write({**content, "args": argparse.Namespace(x=Hostile())}, tmp_path / "model_26.pth")
    with pytest.raises(ValueError, match=r"it asks for (posix|nt)\.system"):
        read_checkpoint(tmp_path / "model_26.pth")


def test_a_folder_and_a_missing_file_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "w.pkl"):
        with pytest.raises(FileNotFoundError, match=f"{path}: no such weights file"):
            read_checkpoint(path)
