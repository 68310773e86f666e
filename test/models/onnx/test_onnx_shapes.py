# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Sizes that files compute from the shape of their input are known before anything runs, within bounds."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnx", reason="the extra onnx is not in this environment")

from onnx import TensorProto, helper, numpy_helper

from seg_node.models.onnx.check import EXPORTED, check_network, input_shape, parse_onnx, set_input_shape

ALLOWED = EXPORTED.more("the test", "ConstantOfShape Expand Range Shape")
SIZE = (8, 12)
NUMBERS = {"zero": 0, "one": 1, "two": 2, "three": 3}


def network(nodes: Sequence[Any], shape: Sequence[int | str] = (1, 3, *SIZE), **constants: Any) -> Any:
    """Build a network from an image x to an output y."""
    values = {name: np.array(value, np.int64) for name, value in NUMBERS.items()}
    values |= {f"{name}s": np.array([value], np.int64) for name, value in NUMBERS.items()}
    values |= {name: np.asarray(value) for name, value in constants.items()}
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(value, name) for name, value in values.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    return parse_onnx(model.SerializeToString())


# as PyTorch writes x.chunk(2, dim=3)[0] of a size that it has not simplified
HALF = [
    helper.make_node("Shape", ["x"], ["shape"]),
    helper.make_node("Gather", ["shape", "three"], ["width"]),
    helper.make_node("Add", ["width", "one"], ["more"]),
    helper.make_node("Div", ["more", "two"], ["half"]),
    helper.make_node("Unsqueeze", ["half", "zeros"], ["end"]),
    helper.make_node("Slice", ["x", "zeros", "end", "threes"], ["y"]),
]


def test_slices_up_to_a_computed_end_have_a_size() -> None:
    assert check_network(network(HALF), SIZE, ALLOWED) == [(1, 3, 8, 6)]


def test_open_sizes_are_checked_one_after_the_other() -> None:
    model = network(HALF, ("batch", 3, "height", "width"))
    assert input_shape(model) == (None, 3, None, None)
    for height, width in ((8, 12), (4, 32), (8, 12)):
        set_input_shape(model, (1, 3, height, width))
        assert check_network(model, (height, width), ALLOWED) == [(1, 3, height, width // 2)]


def test_ranges_up_to_a_computed_end_have_a_size() -> None:
    nodes = [
        *HALF[:4],
        helper.make_node("Range", ["zero", "half", "one"], ["columns"]),
        helper.make_node("Cast", ["columns"], ["y"], to=TensorProto.FLOAT),
    ]
    assert check_network(network(nodes), SIZE, ALLOWED) == [(6,)]


@pytest.mark.parametrize("shape", [[2**40], [2**31, 2**31], [-1]])
def test_sizes_never_fill_memory(shape: list[int]) -> None:
    nodes = [
        helper.make_node("ConstantOfShape", ["sizes"], ["much"]),
        helper.make_node("Add", ["much", "one"], ["more"]),
        helper.make_node("Relu", ["x"], ["y"]),
        helper.make_node("Shape", ["x"], ["shape"]),
    ]
    with pytest.raises(ValueError, match=r"take more than any network|not fixed|do not fit"):
        check_network(network(nodes, sizes=np.array(shape, np.int64)), SIZE, ALLOWED)


def test_long_chains_of_sizes_are_given_up() -> None:
    nodes: list[Any] = []
    before = "x"
    for i in range(3_900):
        nodes += [
            helper.make_node("Shape", [before], [f"shape{i}"]),
            helper.make_node("Mul", [f"shape{i}", "one"], [f"end{i}"]),
            helper.make_node("Slice", [before, "start", f"end{i}"], [f"part{i}"]),
        ]
        before = f"part{i}"
    nodes.append(helper.make_node("Relu", [before], ["y"]))
    model = network(nodes, start=np.zeros(4, np.int64))
    with pytest.raises(ValueError, match="a layer Slice gives something whose size is not fixed"):
        check_network(model, SIZE, ALLOWED)


def test_layers_in_another_order_are_sorted() -> None:
    """Conversions to float16 write their casts last."""
    nodes = [helper.make_node("Relu", ["a"], ["y"]), helper.make_node("Sigmoid", ["x"], ["a"])]
    model = network(nodes)
    assert check_network(model, SIZE, ALLOWED) == [(1, 3, *SIZE)]
    assert [node.op_type for node in model.graph.node] == ["Sigmoid", "Relu"]


def test_transposed_convolutions_count_their_true_work() -> None:
    """The prototypes of a large YOLO: 320 x 320 channels, 2 x 2, at a quarter of the input."""
    nodes = [
        helper.make_node("Conv", ["x", "first"], ["a"], strides=[8, 8], pads=[0, 0, 0, 0]),
        helper.make_node("ConvTranspose", ["a", "second"], ["y"], strides=[2, 2]),
    ]
    weights = {
        "first": np.zeros((320, 3, 8, 8), np.float32),
        "second": np.zeros((320, 320, 2, 2), np.float32),
    }
    shapes = check_network(network(nodes, (1, 3, 640, 640), **weights), (640, 640), ALLOWED)
    assert shapes == [(1, 320, 160, 160)]
