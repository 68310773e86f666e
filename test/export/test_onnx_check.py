# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""ONNX files that are no network, or need more work than one, are refused before they are opened."""

import json
import re
import sys
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from onnx import TensorProto, helper, numpy_helper
from torch.utils._pytree import tree_leaves

from seg_node.export.dense_part import load_exported, open_engine
from seg_node.export.info import ExportInfo, fingerprint, outline
from seg_node.models.files.load_error import LoadError
from seg_node.models.load import load_model

CPU = torch.device("cpu")
CAMERA, INPUT = (90, 120), (128, 192)
Node, Constant = Any, Any


@pytest.fixture(scope="module")
def thin(thin_checkpoint: tuple[Path, Path]) -> tuple[ExportInfo, list[tuple[int, ...]]]:
    """Return the description of a file for the thin model, and the outputs that it must have."""
    network = load_model("auto", *thin_checkpoint).network
    info = ExportInfo("MaskRCNN", "thin.pth", fingerprint(network), CAMERA, INPUT, "fp32", "")
    return info, [tuple(output.shape) for output in tree_leaves(outline(network, INPUT))]


def constant(name: str, value: Any, dtype: Any = np.float32) -> Constant:
    return numpy_helper.from_array(np.asarray(value, dtype), name)


def right_outputs(shapes: Sequence[tuple[int, ...]], colours: int = 3) -> tuple[list[Node], list[Constant]]:
    """Build layers that give each output its shape: one grey map, resized and repeated over the channels."""
    nodes = [helper.make_node("Conv", ["x", "grey"], ["g"])]
    constants = [constant("grey", np.zeros((1, colours, 1, 1)))]
    for i, shape in enumerate(shapes):
        constants.append(constant(f"size{i}", [1, 1, *shape[2:]], np.int64))
        constants.append(constant(f"channels{i}", np.zeros((1, shape[1], 1, 1))))
        nodes.append(helper.make_node("Resize", ["g", "", "", f"size{i}"], [f"r{i}"]))
        nodes.append(helper.make_node("Add", [f"r{i}", f"channels{i}"], [f"y{i}"]))
    return nodes, constants


def write(
    path: Path,
    thin: tuple[ExportInfo, list[tuple[int, ...]]],
    nodes: Sequence[Node] = (),
    constants: Sequence[Constant] = (),
    *,
    text: str | None = None,
    outputs: Sequence[Any] | None = None,
    colours: int = 3,
    **parts: Any,
) -> Path:
    """Write a file that claims to be the thin model's: the given layers, then those of the right outputs."""
    info, shapes = thin
    last_nodes, last_constants = right_outputs(shapes, colours)
    if outputs is None:
        outputs = [
            helper.make_tensor_value_info(f"y{i}", TensorProto.FLOAT, shape) for i, shape in enumerate(shapes)
        ]
    graph = helper.make_graph(
        [*nodes, *last_nodes],
        "graph",
        [helper.make_tensor_value_info("x", parts.pop("type", TensorProto.FLOAT), [1, 3, *INPUT])],
        outputs,
        [*constants, *last_constants],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], **parts)
    model.ir_version = 10
    entry = model.metadata_props.add()
    entry.key, entry.value = "seg_node", info.to_json() if text is None else text
    path.write_bytes(model.SerializeToString())
    return path


def refusal(path: Path, checkpoint: tuple[Path, Path]) -> str:
    with pytest.raises(LoadError) as raised:
        load_exported(path, load_model("auto", *checkpoint), CPU)
    assert str(path) in str(raised.value) and str(raised.value).isprintable()
    return str(raised.value)


def test_file_of_plain_layers_with_the_right_outputs_is_run(
    thin: Any, thin_checkpoint: tuple[Path, Path], tmp_path: Path
) -> None:
    path, model = write(tmp_path / "x.onnx", thin), load_model("auto", *thin_checkpoint)
    with torch.inference_mode():
        outputs = tree_leaves(load_exported(path, model, CPU)(torch.ones(1, 3, *INPUT)))
    open_engine(model, CPU, exported=path).warm_up(CAMERA)
    assert [tuple(output.shape) for output in outputs] == thin[1]
    assert all(output.eq(0).all() for output in outputs)


BRANCH = helper.make_graph(
    [helper.make_node("Identity", ["x"], ["o"])],
    "branch",
    [],
    [helper.make_tensor_value_info("o", TensorProto.FLOAT, [1])],
)
BODY = helper.make_graph(
    [helper.make_node("Identity", ["c"], ["c2"])],
    "body",
    [
        helper.make_tensor_value_info("i", TensorProto.INT64, []),
        helper.make_tensor_value_info("c", TensorProto.BOOL, []),
    ],
    [helper.make_tensor_value_info("c2", TensorProto.BOOL, [])],
)
FOREVER = [constant("n", 2**62, np.int64), constant("true", True, np.bool_)]
HOSTILE: dict[str, tuple[list[Node], list[Constant], str]] = {
    "a loop": ([helper.make_node("Loop", ["n", "true"], [], body=BODY)], FOREVER, "has a layer 'Loop'"),
    "a branch": (
        [helper.make_node("If", ["true"], ["o"], then_branch=BRANCH, else_branch=BRANCH)],
        FOREVER,
        "has a layer 'If'",
    ),
    "a graph in a plain layer": (
        [helper.make_node("Relu", ["x"], ["o"], body=BODY)],
        [],
        r"a graph inside a layer \(Relu\)",
    ),
    "a constant of any size": (
        [helper.make_node("ConstantOfShape", ["s"], ["o"])],
        [constant("s", [2**40], np.int64)],
        "has a layer 'ConstantOfShape'",
    ),
    "an expansion": (
        [helper.make_node("Expand", ["x", "s"], ["o"])],
        [constant("s", [2**20, 3, *INPUT], np.int64)],
        "has a layer 'Expand'",
    ),
    "a range": ([helper.make_node("Range", ["n", "n", "n"], ["o"])], FOREVER, "has a layer 'Range'"),
    "a layer of others": (
        [helper.make_node("Evil", ["x"], ["o"], domain="evil")],
        [],
        r"has a layer 'evil\.Evil'",
    ),
    "a large map": (
        [helper.make_node("Resize", ["x", "", "s"], ["o"])],
        [constant("s", [1, 1, 100, 100])],
        r"up to number 0 \(Resize\) take more than any network",
    ),
    "a large border": (
        [helper.make_node("Pad", ["x", "p"], ["o"])],
        [constant("p", [0, 0, 0, 0, 0, 0, 10**5, 10**5], np.int64)],
        r"up to number 0 \(Pad\) take more",
    ),
    "a sum of all with all": (
        [
            helper.make_node("Reshape", ["x", "column"], ["a"]),
            helper.make_node("Reshape", ["x", "row"], ["b"]),
            helper.make_node("Add", ["a", "b"], ["o"]),
        ],
        [constant("column", [-1, 1], np.int64), constant("row", [1, -1], np.int64)],
        r"up to number 2 \(Add\) take more",
    ),
    "many maps at once": (
        [helper.make_node("Relu", ["x"], [f"o{i}"]) for i in range(100)]
        + [helper.make_node("Concat", [f"o{i}" for i in range(100)], ["o"], axis=1)],
        [],
        "take more than any network",
    ),
    "very many layers": (
        [helper.make_node("Relu", ["x"], [f"o{i}"]) for i in range(20_001)],
        [],
        r"has \d+ layers, of at most 20000",
    ),
    "long arithmetic": (
        [helper.make_node("Conv", ["x", "w"], [f"o{i}"], pads=[15] * 4) for i in range(500)],
        [constant("w", np.zeros((3, 3, 31, 31)))],
        r"\(Conv\) take more than any network",
    ),
    "a size that depends on what is seen": (
        [
            helper.make_node("Cast", ["x"], ["n"], to=TensorProto.INT64),
            helper.make_node("Reshape", ["n", "flat"], ["f"]),
            helper.make_node("Reshape", ["x", "f"], ["o"]),
        ],
        [constant("flat", [-1], np.int64)],
        "layers do not fit each other|whose size is not fixed",
    ),
    "layers that do not fit": (
        [helper.make_node("Gemm", ["x", "x"], ["o"])],
        [],
        "layers do not fit each other",
    ),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_layers_that_no_network_has_are_refused(
    kind: str, thin: Any, thin_checkpoint: tuple[Path, Path], tmp_path: Path
) -> None:
    nodes, constants, message = HOSTILE[kind]
    assert re.search(message, refusal(write(tmp_path / "x.onnx", thin, nodes, constants), thin_checkpoint))


def test_layers_that_fail_only_when_they_run_are_tried_out(
    thin: Any, thin_checkpoint: tuple[Path, Path], tmp_path: Path
) -> None:
    path = write(tmp_path / "x.onnx", thin, colours=5)
    assert re.search(r"ONNX Runtime cannot (open|run) it", refusal(path, thin_checkpoint))


def test_constants_in_other_files_are_not_read(
    thin: Any, thin_checkpoint: tuple[Path, Path], tmp_path: Path
) -> None:
    outside = constant("w", np.zeros(2))
    outside.ClearField("raw_data")
    outside.data_location = TensorProto.EXTERNAL
    place = outside.external_data.add()
    place.key, place.value = "location", "/etc/passwd"
    path = write(tmp_path / "x.onnx", thin, constants=[outside])
    assert "has constants in another file" in refusal(path, thin_checkpoint)
    inside_node = helper.make_node("Constant", [], ["o"], value=outside)
    path = write(tmp_path / "x.onnx", thin, [inside_node])
    assert "has constants in another file" in refusal(path, thin_checkpoint)


def test_inputs_and_outputs_are_those_of_the_network(
    thin: Any, thin_checkpoint: tuple[Path, Path], tmp_path: Path
) -> None:
    shapes = thin[1]
    double = write(tmp_path / "x.onnx", thin, type=TensorProto.DOUBLE)
    assert "layers do not fit" in refusal(double, thin_checkpoint)
    infos = [helper.make_tensor_value_info(f"y{i}", TensorProto.FLOAT, s) for i, s in enumerate(shapes)]
    few = write(tmp_path / "x.onnx", thin, outputs=infos[:2])
    assert "its 2 outputs are not of the shapes of the network's 14" in refusal(few, thin_checkpoint)
    swapped = write(tmp_path / "x.onnx", thin, outputs=[infos[1], infos[0], *infos[2:]])
    assert "its 14 outputs are not of the shapes" in refusal(swapped, thin_checkpoint)
    cast = [helper.make_node("Cast", ["y0"], ["z"], to=TensorProto.INT64)]
    integer = helper.make_tensor_value_info("z", TensorProto.INT64, shapes[0])
    nodes, constants = right_outputs(shapes)
    path = tmp_path / "i.onnx"
    graph = helper.make_graph(
        [*nodes, *cast],
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, *INPUT])],
        [integer, *infos[1:]],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)])
    entry = model.metadata_props.add()
    entry.key, entry.value = "seg_node", thin[0].to_json()
    path.write_bytes(model.SerializeToString())
    assert "its outputs are not float32 or float16" in refusal(path, thin_checkpoint)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("{", "written by another version"),
        ("[1]", "written by another version"),
        ("[" * 100_000, "written by another version"),
        ({"camera_size": [10**9, 10**9]}, "a size that is not from 1 to 8192"),
        ({"camera_size": [-1, 5]}, "a size that is not from 1 to 8192"),
        ({"camera_size": [90]}, "written by another version"),
        ({"input_size": [128, 224]}, r"of images of \(90, 120\) this model makes \(128, 192\)"),
        ({"precision": ["fp32"]}, "its fields are not texts"),
        ({"precision": "int4"}, "exported in int4, but precision is fp32"),
        ({"more": 1}, "written by another version"),
        ({"weights": "0"}, "exported from other weights"),
    ],
)
def test_what_a_file_says_of_itself_is_checked(
    change: Any, message: str, thin: Any, thin_checkpoint: tuple[Path, Path], tmp_path: Path
) -> None:
    text = change if isinstance(change, str) else json.dumps({**json.loads(thin[0].to_json()), **change})
    path = write(tmp_path / "x.onnx", thin, text=text)
    with pytest.raises(LoadError, match=rf"x\.onnx: .*{message}"):
        load_exported(path, load_model("auto", *thin_checkpoint), CPU, "fp32")


def test_descriptions_of_packages_are_read_within_limits(
    thin: Any, thin_checkpoint: tuple[Path, Path], tmp_path: Path
) -> None:
    model = load_model("auto", *thin_checkpoint)
    for text, message in (
        ("[" * 10_000_000, "not a package that seg_node export wrote"),
        (b"\xff\xfe", "not a package that seg_node export wrote"),
        (replace(thin[0], machine="").to_json(), "compiled for , not for"),
    ):
        with zipfile.ZipFile(tmp_path / "x.pt2", "w", zipfile.ZIP_DEFLATED) as package:
            package.writestr("x/extra/seg_node.json", text)
        with pytest.raises(LoadError, match=rf"x\.pt2: {message}"):
            load_exported(tmp_path / "x.pt2", model, CPU)


def test_missing_package_says_what_to_install(
    thin: Any, thin_checkpoint: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "x.onnx", thin)
    model = load_model("auto", *thin_checkpoint)
    monkeypatch.setitem(sys.modules, "onnx.shape_inference", None)
    with pytest.raises(RuntimeError, match="pip install onnx"):
        load_exported(path, model, CPU)
