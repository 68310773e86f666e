# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Check that an ONNX file is a network's dense part, and no more work than one, before it is opened.

ONNX Runtime computes while it opens a file: a few hundred bytes can request all memory or run for ever. So
only layers that networks use are accepted, each of a known size, within what an image of that size needs.
"""

import importlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

# those of seg_node export, and those that other versions of PyTorch may write in their place
_OPERATORS = frozenset((
    "Add", "AveragePool", "BatchNormalization", "Cast", "Clip", "Concat", "Constant", "Conv", "ConvTranspose",
    "DeformConv", "Div", "Equal", "Flatten", "Gather", "Gemm", "GroupNormalization", "Identity",
    "InstanceNormalization", "LeakyRelu", "MatMul", "Max", "MaxPool", "Min", "Mul", "Pad", "Pow",
    "ReduceMean", "Relu", "Reshape", "Resize", "Sigmoid", "Slice", "Softmax", "Split", "Sqrt", "Squeeze",
    "Sub", "Tanh", "Transpose", "Unsqueeze", "Where",
))  # fmt: skip
_MULTIPLYING = ("Conv", "ConvTranspose", "DeformConv", "Gemm", "MatMul")
_MOST_NODES = 20_000
# per pixel of the input: numbers in memory at once, numbers computed in all, multiplications.
# SOLO's R-50, which has the largest maps, needs 53, 1 200 and 310 000
_MOST_ALIVE, _MOST_MADE, _MOST_MULTIPLIED = 200, 10_000, 2_000_000
_ROOM = 1_000_000  # numbers that are allowed beyond that, for small images
_ROOM_FACTOR = 10_000  # multiplications for each of these
_BIG_CONSTANT = 1024  # numbers; a smaller one may be a shape that sizes depend on

_FLOAT, _FLOAT16 = 1, 10  # onnx.TensorProto.DataType

Shape = tuple[int, ...]


@dataclass(frozen=True)
class _Layer:
    """One node of the graph, with the names of its inputs and outputs."""

    operator: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


def parse_onnx(data: bytes) -> Any:
    """Parse the file as onnx's ModelProto; no other file is read.

    Raises ValueError for another file, RuntimeError when the package onnx is missing.
    """
    onnx = _onnx()
    try:
        return onnx.load_model_from_string(data)
    except Exception as error:  # protobuf's own
        raise ValueError(f"not an ONNX file ({str(error).splitlines()[0]})") from error


def check_onnx(model: Any, input_size: tuple[int, int], outputs: Sequence[Shape]) -> None:
    """Raise ValueError for a file that is not a network's dense part for that input, or needs more work.

    model: from `parse_onnx`; its large constants are emptied. input_size: (height, width).
    outputs: the shapes of the network's outputs for one image.
    """
    _check_parts(model)
    shapes = _infer_shapes(model)
    constants = {constant.name for constant in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in constants]
    if [shapes.get(value.name) for value in inputs] != [(1, 3, *input_size)] or not _has_type(inputs, _FLOAT):
        raise ValueError(f"its input is not one image of {input_size[1]}x{input_size[0]}")
    given = [value.name for value in model.graph.output]
    if [shapes.get(name) for name in given] != list(outputs):
        raise ValueError(f"its {len(given)} outputs are not of the shapes of the network's {len(outputs)}")
    if not _has_type(model.graph.output, _FLOAT, _FLOAT16):
        raise ValueError("its outputs are not float32 or float16")
    layers = [_Layer(node.op_type, tuple(node.input), tuple(node.output)) for node in model.graph.node]
    _check_work(layers, shapes, given, prod(input_size))


def _has_type(values: Iterable[Any], *types: int) -> bool:
    return all(value.type.tensor_type.elem_type in types for value in values)


def _check_parts(model: Any) -> None:
    """Raise ValueError for anything that a network's dense part does not need."""
    graph = model.graph
    if len(graph.node) > _MOST_NODES:
        raise ValueError(f"has {len(graph.node)} layers, of at most {_MOST_NODES}")
    if model.functions or model.training_info or graph.sparse_initializer:
        raise ValueError("has functions, training or sparse constants, which seg_node export does not write")
    for node in graph.node:
        if node.domain not in ("", "ai.onnx") or node.op_type not in _OPERATORS:
            name = f"{node.domain}.{node.op_type}".removeprefix(".")
            raise ValueError(f"has a layer {name[:50]!r}, which seg_node export does not write")
    for tensor in _constants(graph):
        if tensor.data_location == tensor.EXTERNAL or tensor.external_data:
            raise ValueError("has constants in another file, which seg_node export does not write")


def _constants(graph: Any) -> Iterator[Any]:
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("g") or attribute.graphs or attribute.HasField("sparse_tensor"):
                raise ValueError(f"has a graph inside a layer ({node.op_type}), which no network has")
            yield attribute.t
            yield from attribute.tensors


def _infer_shapes(model: Any) -> Mapping[str, Shape]:
    """Return the shape of every value that has a fixed one. Raises ValueError for layers that do not fit."""
    for constant in model.graph.initializer:
        if prod(constant.dims) > _BIG_CONSTANT:  # only its shape matters
            constant.ClearField("raw_data")
            constant.ClearField("float_data")
    del model.graph.value_info[:]  # claims of the file, which may be false
    declared = {value.name: _shape(value) for value in model.graph.output}
    for value in model.graph.output:
        value.type.tensor_type.ClearField("shape")
    try:
        inferred = _onnx().shape_inference.infer_shapes(model, strict_mode=True).graph
    except Exception as error:  # its own, and protobuf's
        raise ValueError(f"its layers do not fit each other ({str(error).splitlines()[0]})") from error
    values = (*inferred.input, *inferred.value_info, *inferred.output)
    shapes = {value.name: shape for value in values if (shape := _shape(value)) is not None}
    shapes |= {constant.name: tuple(constant.dims) for constant in inferred.initializer}
    if any(shapes.get(name) != shape for name, shape in declared.items()):
        raise ValueError("its outputs do not have the shapes that it says")
    return shapes


def _shape(value: Any) -> Shape | None:
    dims = value.type.tensor_type.shape.dim
    is_fixed = all(dim.HasField("dim_value") and dim.dim_value >= 0 for dim in dims)
    if not value.type.tensor_type.HasField("shape") or not is_fixed:
        return None
    return tuple(dim.dim_value for dim in dims)


def _check_work(
    layers: Sequence[_Layer], shapes: Mapping[str, Shape], outputs: Sequence[str], pixels: int
) -> None:
    """Raise ValueError for more memory or arithmetic than a network needs for so many pixels."""
    last_use = {name: place for place, layer in enumerate(layers) for name in layer.inputs}
    last_use |= dict.fromkeys(outputs, len(layers))
    made_by: dict[str, int] = {}  # how many numbers each value in memory has
    alive = made = multiplied = 0
    for place, layer in enumerate(layers):
        for name in filter(None, layer.outputs):
            if name not in shapes:
                raise ValueError(f"a layer {layer.operator} gives something whose size is not fixed")
            made_by[name] = prod(shapes[name])
            alive += made_by[name]
            made += made_by[name]
            if layer.operator in _MULTIPLYING:
                multiplied += made_by[name] * _factors(layer, shapes)
        if (
            alive > _MOST_ALIVE * pixels + _ROOM
            or made > _MOST_MADE * pixels + _ROOM
            or multiplied > _MOST_MULTIPLIED * pixels + _ROOM * _ROOM_FACTOR
        ):
            raise ValueError(f"its layers up to number {place} ({layer.operator}) take more than any network")
        done = {name for name in (*layer.inputs, *layer.outputs) if last_use.get(name, place) <= place}
        alive -= sum(made_by.pop(name, 0) for name in done)


def _factors(layer: _Layer, shapes: Mapping[str, Shape]) -> int:
    """Return the multiplications per number of the output, rounded up."""
    weight = shapes.get(layer.inputs[1] if len(layer.inputs) > 1 else "", ())
    return prod(weight[1:]) if layer.operator.endswith("Conv") else prod(weight[:-1])


def _onnx() -> Any:
    try:
        importlib.import_module("onnx.shape_inference")
        return importlib.import_module("onnx")
    except ImportError as error:
        raise RuntimeError("an .onnx file is checked by the package onnx: pip install onnx") from error
