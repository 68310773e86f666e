# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""The shape of every value of an ONNX file, without computing the values.

onnx's own inference knows the size of a `Slice`, `Range` or `Expand` only where it is a constant. Files that
leave the input's size open, or were not simplified, compute it from shapes, which is done here too.
"""

import importlib
from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

Shape = tuple[int, ...]

_BIG_CONSTANT = 1024  # numbers; a smaller one may be a shape that sizes depend on
# layers that sizes pass through, and how many numbers at a time: a shape and its parts
_ON_SIZES = frozenset((
    "Add", "Cast", "Concat", "Constant", "ConstantOfShape", "Div", "Equal", "Floor", "Gather", "Identity",
    "Mul", "Reshape", "Slice", "Squeeze", "Sub", "Unsqueeze", "Where",
))  # fmt: skip
_MOST_SIZES = 16
_MOST_INFERRED = 20_000  # layers, in all rounds: YOLO's 800 need 4, since sizes follow from earlier sizes


def infer_shapes(model: Any) -> Mapping[str, Shape]:
    """Return the shape of every value that has a fixed one; large constants of the model are emptied.

    Raises ValueError for layers that do not fit each other.
    """
    for constant in model.graph.initializer:
        if prod(constant.dims) > _BIG_CONSTANT:  # only its shape matters
            constant.ClearField("raw_data")
            constant.ClearField("float_data")
    del model.graph.value_info[:]  # claims of the file, which may be false
    declared = {value.name: _shape(value) for value in model.graph.output}
    for value in model.graph.output:
        value.type.tensor_type.ClearField("shape")
    shapes = _infer(model)
    if any(node.op_type == "Shape" for node in model.graph.node):
        shapes |= _infer_with_sizes(model, shapes)
    if any(shape is not None and shapes.get(name) != shape for name, shape in declared.items()):
        raise ValueError("its outputs do not have the shapes that it says")
    return shapes


def _infer(model: Any) -> dict[str, Shape]:
    try:
        # without data_prop, which allocates whatever size a file names
        inferred = load_onnx().shape_inference.infer_shapes(model, strict_mode=True).graph
    except Exception as error:  # its own, and protobuf's
        raise ValueError(f"its layers do not fit each other ({str(error).splitlines()[0]})") from error
    values = (*inferred.input, *inferred.value_info, *inferred.output)
    shapes = {value.name: shape for value in values if (shape := _shape(value)) is not None}
    return shapes | {constant.name: tuple(constant.dims) for constant in inferred.initializer}


def _shape(value: Any) -> Shape | None:
    dims = value.type.tensor_type.shape.dim
    is_fixed = all(dim.HasField("dim_value") and dim.dim_value >= 0 for dim in dims)
    if not value.type.tensor_type.HasField("shape") or not is_fixed:
        return None
    return tuple(dim.dim_value for dim in dims)


def _infer_with_sizes(model: Any, shapes: Mapping[str, Shape]) -> dict[str, Shape]:
    """Infer the shapes with all sizes computed that follow from the shape of the input."""
    onnx = load_onnx()
    folded = onnx.ModelProto()
    folded.CopyFrom(model)
    sizes = _constant_sizes(model)
    tried: set[str] = set()
    for _ in range(_MOST_INFERRED // len(model.graph.node)):
        done = _compute_sizes(folded.graph.node, shapes, sizes, tried)
        if not done:
            break
        others = [node for place, node in enumerate(folded.graph.node) if place not in done]
        for place in done:
            name = folded.graph.node[place].output[0]
            folded.graph.initializer.append(onnx.numpy_helper.from_array(sizes[name], name))
        del folded.graph.node[:]
        folded.graph.node.extend(others)
        shapes = _infer(folded)
    return dict(shapes)


def _compute_sizes(
    nodes: Sequence[Any], shapes: Mapping[str, Shape], sizes: dict[str, NDArray[Any]], tried: set[str]
) -> set[int]:
    """Add to `sizes` what layers compute from shapes and each other; return the places of these layers.

    tried: outputs that have been computed, or cannot be; added to.
    """
    done = set()
    for place, node in enumerate(nodes):
        inputs = list(filter(None, node.input))
        result = None
        if node.op_type == "Shape" and inputs[0] in shapes and not node.attribute:
            result = np.array(shapes[inputs[0]], np.int64)
        elif node.op_type in _ON_SIZES and node.output[0] not in tried and all(n in sizes for n in inputs):
            tried.add(node.output[0])
            result = _compute(node, {name: sizes[name] for name in inputs})
        if result is not None and result.size <= _MOST_SIZES:
            sizes[node.output[0]] = result
            done.add(place)
    return done


def _constant_sizes(model: Any) -> dict[str, NDArray[Any]]:
    small = (constant for constant in model.graph.initializer if prod(constant.dims) <= _MOST_SIZES)
    to_array = load_onnx().numpy_helper.to_array
    try:
        return {constant.name: to_array(constant) for constant in small}
    except Exception as error:  # a constant whose numbers are not there
        raise ValueError(f"has a constant that cannot be read ({str(error).splitlines()[0]})") from error


def _compute(node: Any, values: Mapping[str, NDArray[Any]]) -> NDArray[Any] | None:
    """Compute one layer on a few numbers; None if it cannot be, or fills more than a shape."""
    if (
        node.op_type == "ConstantOfShape"
        and not 0 < np.prod(values[node.input[0]], dtype=float) <= _MOST_SIZES
    ):
        return None
    evaluator = importlib.import_module("onnx.reference").ReferenceEvaluator
    try:
        result = evaluator(node).run(None, dict(values))[0]
    except Exception:  # its shape then stays unknown, which is refused
        return None
    return np.asarray(result)


def load_onnx() -> Any:
    """Import the package onnx. Raises RuntimeError when it is missing."""
    try:
        importlib.import_module("onnx.shape_inference")
        return importlib.import_module("onnx")
    except ImportError as error:
        raise RuntimeError("an .onnx file is checked by the package onnx: pip install onnx") from error
