# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""The exported file as the network of a model: opened on a device, run one image at a time."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from seg_node.models.onnx.check import EXPORTED, check_network, input_shape, set_input_shape
from seg_node.models.onnx.runner import OnnxRunner
from seg_node.models.onnx.shapes import Shape
from seg_node.models.yolo.metadata import EXPORT, YoloMetadata

# beside those of our own exports: heads that select by themselves, and files that leave the input's size open
_ALLOWED = EXPORTED.more(
    "YOLO's export",
    "ConstantOfShape Expand Floor GatherElements Mod Range ReduceMax Shape TopK",
)
_FLOAT16 = 10  # onnx.TensorProto.DataType
_MOST_SIZES = 32  # of inputs whose check is remembered


class YoloNetwork(nn.Module):
    """A checked file. `to` opens it with ONNX Runtime; before, it cannot be called.

    file_precision: what it computes in, fp16 for a file exported in half precision.
    is_dynamic: it takes inputs of any size in multiples of the stride.
    selects: the network selects the detections itself.
    """

    def __init__(self, path: Path, data: bytes, content: Any, metadata: YoloMetadata) -> None:
        """Check the file for the input size that it was exported for.

        data: its bytes, content: the same parsed. Raises ValueError for a file that is no YOLO segmentation
        network, or needs more work than one.
        """
        super().__init__()
        self._path, self._data, self._content = path, data, content
        self._metadata = metadata
        self._runner: OnnxRunner | None = None
        self.file_precision = "fp16" if _has_half_weights(content) else "fp32"
        if any(node.op_type == "NonMaxSuppression" for node in content.graph.node):
            raise ValueError(f"was exported with nms=True; seg_node suppresses itself: {EXPORT}, without nms")
        shape = input_shape(content)
        _check_input(shape, metadata.input_size)
        self._is_open = None in shape
        self.is_dynamic = None in shape[2:]
        self._shapes: dict[tuple[int, int], list[Shape]] = {}
        self.selects = _read_outputs(self.shapes(metadata.input_size), metadata)

    def to(self, device: torch.device) -> "YoloNetwork":  # type: ignore[override]  # no weights of PyTorch's
        """Open the file on the device, and run it once.

        Raises ValueError for a file that ONNX Runtime cannot run, RuntimeError when it is missing or cannot
        use the device.
        """
        try:
            self._runner = OnnxRunner(self._path, self._data, device, self.file_precision)
            size = self._metadata.input_size
            self._runner.try_out(size, self.shapes(size))
        except ValueError as error:
            raise ValueError(f"{self._path}: {error}; export it again: {EXPORT}") from error
        return self

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Run one image, float32 (1, 3, H, W), RGB from 0 to 1.

        Returns the detections, float32 (4 + classes + K, A), or (N, 6 + K) of a network that selects, and the
        prototypes, float32 (K, h, w). Raises ValueError for a size that the file cannot take.
        """
        assert self._runner is not None
        size = (pixels.shape[2], pixels.shape[3])
        detections, prototypes = self._runner(pixels, self.shapes(size))
        return detections[0].float(), prototypes[0].float()

    def shapes(self, size: tuple[int, int]) -> list[Shape]:
        """Return the shapes of the outputs for an input of (height, width), after a check of its layers."""
        if size not in self._shapes:
            if self._is_open:
                set_input_shape(self._content, (1, 3, *size))
            if len(self._shapes) == _MOST_SIZES:
                self._shapes.clear()
            try:
                self._shapes[size] = check_network(self._content, size, _ALLOWED)
            except ValueError as error:
                raise ValueError(f"{self._path}: {error}, for an input of {size[1]}x{size[0]}") from error
        return self._shapes[size]


def _has_half_weights(content: Any) -> bool:
    return any(constant.data_type == _FLOAT16 for constant in content.graph.initializer)


def _check_input(shape: Sequence[int | None], size: tuple[int, int]) -> None:
    """Raise ValueError for an input that does not take one colour image of (height, width)."""
    expected = (1, 3, *size)
    if len(shape) != 4 or any(
        side not in (None, wanted) for side, wanted in zip(shape, expected, strict=True)
    ):
        shown = "x".join("?" if side is None else str(side) for side in shape)
        raise ValueError(
            f"takes an input of {shown}, but 1x3x{size[0]}x{size[1]} is expected, by its metadata; export it "
            f"for one image: {EXPORT} batch=1"
        )


def _read_outputs(shapes: Sequence[Shape], metadata: YoloMetadata) -> bool:
    """Return whether the network selects the detections itself. Raises ValueError for other outputs."""
    if [len(shape) for shape in shapes] == [3, 4]:
        (_, rows, columns), (_, prototypes, *grid) = shapes
        strides = {divmod(side, max(1, cells)) for side, cells in zip(metadata.input_size, grid, strict=True)}
        is_map = len(strides) == 1 and all(stride > 0 == rest for stride, rest in strides)
        if is_map and metadata.end_to_end and columns == 6 + prototypes:
            return True
        if is_map and not metadata.end_to_end and rows == 4 + len(metadata.names) + prototypes:
            return False
    raise ValueError(
        f"its outputs of shapes {', '.join(map(str, shapes))} are not those of YOLO segmentation with "
        f"{len(metadata.names)} classes (boxes with mask coefficients, and prototypes); export it again: "
        f"{EXPORT}"
    )
