# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Files of `seg_node export` → the dense part of a network (seg_node.export.dense_part)."""

import io
import json
import tempfile
import zipfile
from collections.abc import Callable
from functools import lru_cache, partial
from pathlib import Path
from random import Random
from typing import Any

import onnxruntime  # the boundary needs it
import thin_torchvision
import torch
from onnx import TensorProto, helper
from torch.utils._pytree import tree_leaves

from fuzz import mutate
from fuzz.target import Input, Target
from seg_node.export.dense_part import load_exported
from seg_node.export.info import METADATA_KEY, ExportInfo, fingerprint
from seg_node.models.load import load_model

assert onnxruntime
_CAMERA, _INPUT = (90, 120), (128, 192)
_OPSET = 19
_TYPES = (TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.INT64, TensorProto.FLOAT16, TensorProto.STRING)
Shape = tuple[int, ...]


@lru_cache
def _model() -> Any:
    with tempfile.TemporaryDirectory() as folder:
        return load_model("auto", *thin_torchvision.write_thin_checkpoint(Path(folder)))


@lru_cache
def _plain() -> tuple[tuple[Shape, ...], dict[str, Any]]:
    """(shapes of what the network's dense part gives, a right description of an exported file)"""
    network = _model().network
    with torch.inference_mode():
        shapes = _shapes(network(torch.zeros(1, 3, *_INPUT)))
    info = ExportInfo(type(network).__name__, "thin.pth", fingerprint(network), _CAMERA, _INPUT, "fp32", "")
    return shapes, json.loads(info.to_json())


def _shapes(record: Any) -> tuple[Shape, ...]:
    return tuple(tuple(map_.shape) for map_ in tree_leaves(record))


def _prepare() -> None:
    _plain()


def make(random: Random) -> Input:
    """A graph that gives zeros in the right shapes, with something wrong."""
    info = _plain()[1]
    if random.random() < 0.2:
        info = mutate.mutate_tree(info, random)
    if random.random() < 0.15:
        return {"suffix": ".pt2", "data": _package(json.dumps(info).encode(), random)}
    graph = random.choice((_zeros, _zeros, _huge, _endless, _odd, _external, _nested))(random)
    data = _serialized(graph, info)
    return {"suffix": ".onnx", "data": mutate.mutate_bytes(data, random) if random.random() < 0.3 else data}


def _serialized(graph: Any, info: Any) -> bytes:
    opsets = [helper.make_opsetid("", _OPSET), helper.make_opsetid("x", 1)]
    model = helper.make_model(graph, opset_imports=opsets)
    model.ir_version = 9
    helper.set_model_props(model, {METADATA_KEY: json.dumps(info)})
    return bytes(model.SerializeToString())


def _known(make_graph: Callable[[Random], Any], seed: int) -> Input:
    return {"suffix": ".onnx", "data": _serialized(make_graph(Random(seed)), _plain()[1])}


def _package(info: bytes, random: Random) -> bytes:
    """PyTorch's package without machine code."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as package:
        for _ in range(random.choice((0, 1, 1, 2))):
            package.writestr("thin/extra/seg_node.json", random.choice((info, info, b"", bytes(1 << 20))))
    data = buffer.getvalue()
    return mutate.mutate_bytes(data, random) if random.random() < 0.5 else data


def _input() -> Any:
    return helper.make_tensor_value_info("pixels", TensorProto.FLOAT, [1, 3, *_INPUT])


def _outputs(shapes: tuple[Any, ...], kind: int = TensorProto.FLOAT) -> list[Any]:
    return [helper.make_tensor_value_info(f"out{i}", kind, shape) for i, shape in enumerate(shapes)]


def _constant(name: str, shape: Any) -> list[Any]:
    """Nodes that give zeros of that shape."""
    value = helper.make_tensor(f"{name}_shape", TensorProto.INT64, [len(shape)], shape)
    return [
        helper.make_node("Constant", [], [f"{name}_shape"], value=value),
        helper.make_node("ConstantOfShape", [f"{name}_shape"], [name]),
    ]


def _zeros(random: Random) -> Any:
    """Right, or with other shapes, types or numbers of outputs."""
    shapes: list[Any] = [list(shape) for shape in _plain()[0]]
    claimed = [list(shape) for shape in shapes]
    match random.randrange(5):
        case 0:
            at = random.randrange(len(shapes))
            shapes[at] = claimed[at] = random.choice(([0], [1], [1, 1 << 20], [1, 3, 5], shapes[at][::-1]))
        case 1:
            claimed[0] = [None, "n", *claimed[0][2:]]
        case 2:
            shapes, claimed = shapes[:-1], claimed[:-1]
    nodes = [node for i, shape in enumerate(shapes) for node in _constant(f"out{i}", shape)]
    return helper.make_graph(nodes, "g", [_input()], _outputs(tuple(claimed)))


def _huge(random: Random) -> Any:
    """Zeros of gigabytes on the way to the first output."""
    size = random.choice((1 << 29, 3 << 28, 1 << 40))
    nodes = [*_constant("large", [size]), helper.make_node("ReduceSum", ["large"], ["sum"], keepdims=0)]
    return _with_sum(nodes, random)


def _with_sum(nodes: list[Any], random: Random) -> Any:
    """The right outputs, the first one plus the number "sum"."""
    shapes = _plain()[0]
    nodes += [node for i, shape in enumerate(shapes) for node in _constant(f"zero{i}", shape)]
    nodes.append(helper.make_node("Add", ["zero0", "sum"], ["out0"]))
    nodes += [helper.make_node("Identity", [f"zero{i}"], [f"out{i}"]) for i in range(1, len(shapes))]
    return helper.make_graph(nodes, "g", [_input()], _outputs(shapes))


def _endless(random: Random) -> Any:
    """A loop that ends after 2 ** 40 rounds."""
    scalar = helper.make_tensor_value_info
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["condition"], ["again"]),
            helper.make_node("Add", ["before", "before"], ["after"]),
        ],
        "body",
        [scalar("round", TensorProto.INT64, []), scalar("condition", TensorProto.BOOL, []),
         scalar("before", TensorProto.FLOAT, [])],
        [scalar("again", TensorProto.BOOL, []), scalar("after", TensorProto.FLOAT, [])],
    )  # fmt: skip
    constants = (
        ("rounds", TensorProto.INT64, [1 << random.choice((4, 40))]),
        ("true", TensorProto.BOOL, [True]),
        ("start", TensorProto.FLOAT, [1.0]),
    )
    nodes = [
        helper.make_node("Constant", [], [name], value=helper.make_tensor(name, kind, [], values))
        for name, kind, values in constants
    ]
    nodes.append(helper.make_node("Loop", ["rounds", "true", "start"], ["sum"], body=body))
    return _with_sum(nodes, random)


def _odd(random: Random) -> Any:
    """An operator of nobody, another input, or outputs of another type."""
    kind = random.choice(_TYPES)
    shapes = _plain()[0]
    domain, name = random.choice(
        (("x", "Foreign"), ("", "Foreign"), ("", "Identity"), ("com.microsoft", "Gelu"))
    )
    nodes = [helper.make_node(name, ["pixels"], [f"out{i}"], domain=domain) for i in range(len(shapes))]
    pixels = helper.make_tensor_value_info("pixels", kind, random.choice(([1, 3, *_INPUT], [2], ["a", "b"])))
    return helper.make_graph(nodes, "g", [pixels][: random.choice((0, 1, 1))], _outputs(shapes, kind))


def _external(random: Random) -> Any:
    """Weights in another file."""
    tensor = helper.make_tensor("sum", TensorProto.FLOAT, [], [0.0])
    tensor.ClearField("float_data")
    tensor.data_location = TensorProto.EXTERNAL
    place = random.choice(("/etc/passwd", "../../../etc/passwd", "engine.onnx", "/dev/zero", "missing.bin"))
    for key, value in (
        ("location", place),
        ("offset", "0"),
        ("length", random.choice(("4", "-1", str(1 << 40)))),
    ):
        entry = tensor.external_data.add()
        entry.key, entry.value = key, value
    graph = _with_sum([], random)
    graph.initializer.append(tensor)
    return graph


def _nested(random: Random) -> Any:
    """A chain of many nodes."""
    count = random.choice((10, 3000))
    nodes = _constant("sum0", [])
    nodes += [helper.make_node("Identity", [f"sum{i}"], [f"sum{i + 1}"]) for i in range(count)]
    nodes.append(helper.make_node("Identity", [f"sum{count}"], ["sum"]))
    return _with_sum(nodes, random)


def run(fields: Input, folder: Path) -> None:
    path = folder / f"engine{fields['suffix']}"
    path.write_bytes(fields["data"])
    dense = load_exported(path, _model(), torch.device("cpu"))
    with torch.inference_mode():
        found = dense(torch.zeros(1, 3, *_INPUT))
    assert _shapes(found) == _plain()[0], "maps of another shape than the network's"


TARGET = Target(
    "engine_file",
    make,
    run,
    (ValueError, FileNotFoundError),
    batch=50,
    prepare=_prepare,
    known={
        **{f"large {seed}": partial(_known, _huge, seed) for seed in range(3)},
        **{f"endless {seed}": partial(_known, _endless, seed) for seed in range(2)},
        **{f"weights elsewhere {seed}": partial(_known, _external, seed) for seed in range(3)},
    },
)
