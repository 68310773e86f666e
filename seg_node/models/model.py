"""What the engine asks of every model family, whatever its architecture."""

from collections.abc import Sequence
from typing import Protocol, TypeVar

import torch
from torch import nn

from seg_node.types import Frame, LabelSet, Segmentation, SegmentOptions

Batch = TypeVar("Batch")
Raw = TypeVar("Raw")


class SegmentationModel(Protocol[Batch, Raw]):
    """One loaded checkpoint.

    network: its weights; `dense(pixels)` is all of it that depends on nothing but the input's shape.
    labels: names of its classes.
    default_options: the thresholds of the software it was trained with.
    Batch is its network's input, Raw the network's answer for one image, both on the device.
    """

    @property
    def network(self) -> nn.Module: ...

    @property
    def labels(self) -> LabelSet: ...

    @property
    def default_options(self) -> SegmentOptions: ...

    def prepare(self, frames: Sequence[Frame], device: torch.device, exact: bool = True) -> Batch:
        """Uploads the frames as the network wants them.

        exact: to the last bit as the reference does. Raises ValueError for a frame without pixels.
        """
        ...

    def __call__(self, batch: Batch, options: SegmentOptions) -> list[Raw]:
        """Runs the network: one answer for each image of the batch."""
        ...

    def assemble(self, raw: Raw, image_size: tuple[int, int], options: SegmentOptions) -> Segmentation:
        """Turns one answer into objects at the resolution of the camera image."""
        ...
