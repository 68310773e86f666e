# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Small ONNX files with the inputs, outputs and metadata of exported YOLO segmentation networks.

Their boxes, scores and coefficients are given; their three prototypes are the image's colours, so that masks
show where the image lies in the input.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import helper, numpy_helper

NAMES = {0: "disc", 1: "box", 2: "driver's cab"}
STRIDE = 32


def metadata(size: tuple[int, int], selects: bool = False, **changes: Any) -> dict[str, str]:
    """Return what the export writes; a value None leaves its key out."""
    texts = {
        "description": "YOLO segmentation",
        "version": "8.4.190",
        "stride": STRIDE,
        "task": "segment",
        "batch": 1,
        "imgsz": list(size),
        "names": NAMES,
        "channels": 3,
        "end2end": selects,
        **changes,
    }
    return {key: str(value) for key, value in texts.items() if value is not None}


def write_yolo(
    path: Path,
    size: tuple[int, int],
    detections: NDArray[np.float32],
    texts: Mapping[str, str] | None = None,
    *,
    input_shape: Sequence[int | str] | None = None,
    dtype: Any = np.float32,
    layers: Sequence[Any] = (),
) -> Path:
    """Write a file for inputs of (height, width), with these detections: (4 + classes + 3, A) or (N, 9)."""
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    shape = list(input_shape or (1, 3, *size))
    constants = {
        "detections": detections[None].astype(dtype),
        "grey": np.full((1, 3, 1, 1), 0.5, dtype),
        "nothing": np.zeros((), dtype),
        "column": np.array([-1, 1, 1], np.int64),
    }
    nodes = [
        helper.make_node("AveragePool", ["images"], ["colours"], kernel_shape=[4, 4], strides=[4, 4]),
        helper.make_node("Sub", ["colours", "grey"], ["output1"]),
        # the reference needs an output that depends on the input
        helper.make_node("ReduceMean", ["images"], ["mean"], axes=[1, 2, 3], keepdims=0),
        helper.make_node("Mul", ["mean", "nothing"], ["zeros"]),
        helper.make_node("Reshape", ["zeros", "column"], ["zero"]),
        helper.make_node("Add", ["detections", "zero"], ["output0"]),
        *layers,
    ]
    cells: list[int | str | None] = [
        side // 4 if isinstance(side, int) else f"{side}_4" for side in shape[2:]
    ]
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("images", kind, shape)],
        [
            helper.make_tensor_value_info("output0", kind, [shape[0], *detections.shape]),
            helper.make_tensor_value_info("output1", kind, [shape[0], 3, *cells]),
        ],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    for key, value in (metadata(size) if texts is None else texts).items():
        entry = model.metadata_props.add()
        entry.key, entry.value = key, value
    path.write_bytes(model.SerializeToString())
    return path


def stripes(height: int, width: int) -> NDArray[np.uint8]:
    """Make an image of coloured bands, BGR, in whole numbers."""
    y, x = np.mgrid[:height, :width]
    levels = (x * 12 // width * 37, y * 12 // height * 53, (x * 12 // width + y * 12 // height) * 29)
    return np.stack([level % 256 for level in levels], axis=-1).astype(np.uint8)


def write_thin_checkpoint(folder: Path) -> tuple[Path, None]:
    """Write a file that finds four objects in any picture."""
    boxes = np.array([[30, 30, 40, 40], [80, 40, 50, 60], [60, 60, 100, 30], [40, 50, 20, 70]])
    scores = np.array([[0.9, 0, 0.1], [0, 0.8, 0], [0.2, 0, 0.7], [0, 0.6, 0]])
    coefficients = np.array([[1, 2, -1], [-1, 1, 2], [2, 1, 1], [1, 1, 3]])
    anchors = np.concatenate((boxes, scores, coefficients), axis=1).T.astype(np.float32)
    return write_yolo(folder / "yolo.onnx", (96, 128), anchors), None
