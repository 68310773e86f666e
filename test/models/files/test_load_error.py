# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Any failure to load a model raises a single kind of exception, whose one line names the file."""

from pathlib import Path

import pytest
import torch
import yaml

from seg_node.export.dense_part import open_engine
from seg_node.models.files.load_error import LoadError, loading, one_line
from seg_node.models.load import load_model


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (ValueError("c.yaml: key x does not fit"), "w.pth: c.yaml: key x does not fit"),
        (ValueError("w.pth: is empty"), "w.pth: is empty"),
        (KeyError("conv1"), "w.pth: damaged, or in a format that seg_node does not know (KeyError: 'conv1')"),
        (AssertionError(), "w.pth: damaged, or in a format that seg_node does not know (AssertionError)"),
        (RecursionError(), "w.pth: damaged, or in a format that seg_node does not know (RecursionError)"),
        (MemoryError(), "w.pth: need more memory than is available; is it the right file?"),
        (UnicodeEncodeError("utf-8", "\ud800", 0, 1, "surrogates"), None),
        (ValueError("first\nsecond\x1b[31m\ud800"), r"w.pth: first second\x1b[31m\ud800"),
    ],
)  # fmt: skip
def test_every_exception_becomes_one_line_with_the_file_and_its_cause(
    error: Exception, message: str | None
) -> None:
    with pytest.raises(LoadError) as raised, loading("w.pth"):
        raise error
    assert raised.value.__cause__ is error
    assert str(raised.value).isprintable() and str(raised.value).startswith("w.pth: ")
    assert message is None or str(raised.value) == message


def test_missing_files_and_libraries_keep_their_own_kind_too() -> None:
    with pytest.raises(FileNotFoundError) as missing, loading("w.pth"):
        raise FileNotFoundError("w.pth: no such weights file")
    assert isinstance(missing.value, LoadError) and str(missing.value) == "w.pth: no such weights file"
    for error in (RuntimeError("no CUDA"), ImportError("no module named timm")):
        with pytest.raises(RuntimeError) as library, loading("w.pth"):
            raise error
        assert isinstance(library.value, LoadError) and isinstance(library.value, ValueError)


def test_error_that_is_one_already_stays_and_ctrl_c_goes_through() -> None:
    with pytest.raises(LoadError, match=r"^config$"), loading("w.pth"), loading("c.yaml"):
        raise LoadError("config")
    with pytest.raises(KeyboardInterrupt), loading("w.pth"):
        raise KeyboardInterrupt


def test_long_messages_are_cut() -> None:
    assert one_line("a" * 400 + "\n" + "b" * 800) == "a" * 400 + " " + "b" * 99 + " … " + "b" * 500


HOSTILE = {
    "weights": {
        "names_are_numbers.pth": lambda path: torch.save({1: torch.zeros(2)}, path),
        "complex.pth": lambda path: torch.save({"a.b": torch.zeros(2, dtype=torch.complex64)}, path),
        "sparse.pth": lambda path: torch.save({"a.b": torch.zeros(2, 2).to_sparse()}, path),
        "surrogate.pth": lambda path: torch.save({"a.\ud800\n": 3}, path),
    },
    "config": {
        "boolean.yaml": lambda path: path.write_text("min_size: !!bool foo"),
        "date.yaml": lambda path: path.write_text("min_size: !!timestamp foo"),
        "float.yaml": lambda path: path.write_text("min_size: !!float x"),
        "integer.yaml": lambda path: path.write_text('min_size: !!int ""'),
        "list.yaml": lambda path: path.write_text("[1, 2]"),
        "nan.yaml": lambda path: path.write_text("rpn_nms_thresh: .nan"),
        "huge.yaml": lambda path: path.write_text("min_size: 1" + "0" * 30),
        "name.yaml": lambda path: path.write_text(yaml.safe_dump({"class_names": ["a\nb"] + ["c"] * 89})),
        "nothing.py": lambda path: path.write_text("import os\nos.system('true')\n"),
    },
    "labels": {
        "self.yaml": lambda path: path.write_text("things: &a [*a]"),
        "nul.yaml": lambda path: path.write_text('things: ["a\\0b"]'),
        "tag.yaml": lambda path: path.write_text("things: !!bool foo"),
        "id.yaml": lambda path: path.write_text("things: {99999: a}"),
    },
}  # fmt: skip


@pytest.mark.parametrize(("place", "name"), [(place, name) for place in HOSTILE for name in HOSTILE[place]])
def test_hostile_file_is_refused_by_its_name_in_every_place(
    place: str, name: str, thin_checkpoint: tuple[Path, Path], tmp_path: Path
) -> None:
    path = tmp_path / name
    HOSTILE[place][name](path)
    files = {"weights": thin_checkpoint[0], "config": thin_checkpoint[1], place: path}
    with pytest.raises(LoadError) as raised:
        load_model("auto", **files)
    assert str(raised.value).isprintable() and len(str(raised.value)) < 1100
    assert name in str(raised.value) or thin_checkpoint[0].name in str(raised.value)


def test_wrong_wishes_are_the_same_exception(tmp_path: Path) -> None:
    wishes = ("tensorflow",), ("solo",), ("auto", tmp_path), ("auto", "a/b"), ("auto", tmp_path / "x.pth")
    for arguments in wishes:
        with pytest.raises(LoadError):
            load_model(*arguments)
    model = load_model()
    with pytest.raises(LoadError, match=r"x\.onnx: no such exported file"):
        open_engine(model, torch.device("cpu"), exported=tmp_path / "x.onnx")
    with pytest.raises(LoadError, match="precision 'fp8' is not known"):
        open_engine(model, torch.device("cpu"), "fp8")
