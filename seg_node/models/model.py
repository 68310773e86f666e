"""What the engine asks of every model family, whatever its architecture."""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from seg_node.prepare import InputSpec, ModelInput
from seg_node.types import LabelSet, Segmentation, SegmentOptions


@dataclass(frozen=True)
class RawPrediction:
    """A network's answer for one image, still on its device: N objects, best first.

    boxes_xyxy: float (N, 4), network-input pixels. scores: float (N,). class_ids: int64 (N,).
    mask_probs: float (N, M, M), the object's probability on an MxM grid over its box.
    input_size: (height, width) of the image as the network saw it, without padding.
    """

    boxes_xyxy: Tensor
    scores: Tensor
    class_ids: Tensor
    mask_probs: Tensor
    input_size: tuple[int, int]


class SegmentationModel(Protocol):
    """One loaded checkpoint.

    labels: names of its classes. input_spec: the input it wants.
    default_options: the thresholds of the software it was trained with.
    """

    @property
    def labels(self) -> LabelSet: ...

    @property
    def input_spec(self) -> InputSpec: ...

    @property
    def default_options(self) -> SegmentOptions: ...

    def to(self, device: torch.device) -> None:
        """Moves the weights."""
        ...

    def __call__(self, batch: ModelInput, options: SegmentOptions) -> list[RawPrediction]:
        """Runs the network: one answer for each image of the batch."""
        ...

    def assemble(
        self, raw: RawPrediction, image_size: tuple[int, int], options: SegmentOptions
    ) -> Segmentation:
        """Turns one answer into objects at the resolution of the camera image."""
        ...
