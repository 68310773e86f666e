# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Check that an ONNX file is a convolutional network, and no more work than one, before it is opened.

ONNX Runtime computes while it opens a file: a few hundred bytes can request all memory or run for ever. So
only layers that networks use are accepted, each of a known size, within what an image of that size needs.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

from seg_node.models.onnx.shapes import Shape, infer_shapes, load_onnx

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

_FLOAT, _FLOAT16 = 1, 10  # onnx.TensorProto.DataType


@dataclass(frozen=True)
class Allowed:
    """What a file of one writer may hold.

    writer: its name in messages. operators: those of its layers. inputs: types of its input.
    """

    writer: str = "seg_node export"
    operators: frozenset[str] = _OPERATORS
    inputs: tuple[int, ...] = (_FLOAT,)

    def more(self, writer: str, operators: str) -> "Allowed":
        """Allow further operators, and images in float16, for another writer."""
        return Allowed(writer, self.operators | set(operators.split()), (_FLOAT, _FLOAT16))


EXPORTED = Allowed()


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
    onnx = load_onnx()
    try:
        return onnx.load_model_from_string(data)
    except Exception as error:  # protobuf's own
        raise ValueError(f"not an ONNX file ({str(error).splitlines()[0]})") from error


def check_onnx(model: Any, input_size: tuple[int, int], outputs: Sequence[Shape]) -> None:
    """Raise ValueError for a file that is not a network's dense part for that input, or needs more work.

    model: from `parse_onnx`; its large constants are emptied. input_size: (height, width).
    outputs: the shapes of the network's outputs for one image.
    """
    given = check_network(model, input_size, EXPORTED)
    if given != list(outputs):
        raise ValueError(f"its {len(given)} outputs are not of the shapes of the network's {len(outputs)}")


def check_network(model: Any, input_size: tuple[int, int], allowed: Allowed) -> list[Shape]:
    """Return the shapes of the outputs for one image; raise ValueError for other layers or too much work.

    model: from `parse_onnx`; its large constants are emptied. input_size: (height, width); a file that leaves
    it open gets it by `set_input_shape`.
    """
    _check_parts(model, allowed)
    _sort_layers(model.graph)
    shapes = infer_shapes(model)
    inputs = _inputs(model)
    if [shapes.get(value.name) for value in inputs] != [(1, 3, *input_size)] or not _has_type(
        inputs, *allowed.inputs
    ):
        raise ValueError(f"its input is not one image of {input_size[1]}x{input_size[0]}")
    outputs = [value.name for value in model.graph.output]
    if not _has_type(model.graph.output, _FLOAT, _FLOAT16):
        raise ValueError("its outputs are not float32 or float16")
    layers = [_Layer(node.op_type, tuple(node.input), tuple(node.output)) for node in model.graph.node]
    _check_work(layers, shapes, outputs, prod(input_size))
    return [shapes[name] for name in outputs]


def input_shape(model: Any) -> tuple[int | None, ...]:
    """Return the shape of the file's image, None for open sides. Raises ValueError for other inputs."""
    inputs = _inputs(model)
    if len(inputs) != 1:
        raise ValueError(f"has {len(inputs)} inputs, expected one image")
    dims = inputs[0].type.tensor_type.shape.dim
    return tuple(dim.dim_value if dim.HasField("dim_value") else None for dim in dims)


def _inputs(model: Any) -> list[Any]:
    constants = {constant.name for constant in model.graph.initializer}
    return [value for value in model.graph.input if value.name not in constants]


def set_input_shape(model: Any, shape: Shape) -> None:
    """Set the shape of the only input of a file that leaves its sides open."""
    dims = _inputs(model)[0].type.tensor_type.shape.dim
    for dim, side in zip(dims, shape, strict=True):
        dim.Clear()
        dim.dim_value = side


def _sort_layers(graph: Any) -> None:
    """Put each layer after those that it needs, which float16 conversions leave to ONNX Runtime."""
    made_by = {name: place for place, node in enumerate(graph.node) for name in filter(None, node.output)}
    needs = [{made_by[name] for name in node.input if name in made_by} for node in graph.node]
    order: dict[int, None] = {}
    for first in range(len(needs)):
        stack, begun = [first], set[int]()
        while stack:
            waits = needs[stack[-1]] - order.keys() if stack[-1] not in order else ()
            if not waits:
                order[stack.pop()] = None
            elif stack[-1] in begun:
                raise ValueError(f"its layer {graph.node[stack[-1]].op_type} needs its own output")
            else:
                begun.add(stack[-1])
                stack += waits
    if list(order) != list(range(len(needs))):
        layers = [graph.node[place] for place in order]
        del graph.node[:]
        graph.node.extend(layers)


def _has_type(values: Iterable[Any], *types: int) -> bool:
    return all(value.type.tensor_type.elem_type in types for value in values)


def _check_parts(model: Any, allowed: Allowed) -> None:
    """Raise ValueError for anything that such a network does not need."""
    graph = model.graph
    if len(graph.node) > _MOST_NODES:
        raise ValueError(f"has {len(graph.node)} layers, of at most {_MOST_NODES}")
    if model.functions or model.training_info or graph.sparse_initializer:
        raise ValueError(
            f"has functions, training or sparse constants, which {allowed.writer} does not write"
        )
    for node in graph.node:
        if node.domain not in ("", "ai.onnx") or node.op_type not in allowed.operators:
            name = f"{node.domain}.{node.op_type}".removeprefix(".")
            raise ValueError(f"has a layer {name[:50]!r}, which {allowed.writer} does not write")
    for tensor in _constants(graph):
        if tensor.data_location == tensor.EXTERNAL or tensor.external_data:
            raise ValueError(f"has constants in another file, which {allowed.writer} does not write")


def _constants(graph: Any) -> Iterator[Any]:
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("g") or attribute.graphs or attribute.HasField("sparse_tensor"):
                raise ValueError(f"has a graph inside a layer ({node.op_type}), which no network has")
            yield attribute.t
            yield from attribute.tensors


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
    if layer.operator == "ConvTranspose":
        return prod(weight[:1]) * prod(weight[2:])
    return prod(weight[1:]) if layer.operator.endswith("Conv") else prod(weight[:-1])
