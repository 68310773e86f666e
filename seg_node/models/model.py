# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""The interface that the engine expects from every model family."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar, runtime_checkable

import torch
from torch import nn

from seg_node.preprocess.prepare import InputSpec
from seg_node.types import Frame, LabelSet, Segmentation, SegmentOptions

Batch = TypeVar("Batch")
Raw = TypeVar("Raw")
Own = TypeVar("Own")
Recorder = Callable[[Callable[..., Any]], Callable[..., Any]]  # wraps a function in one that does the same


class SegmentationModel(Protocol[Batch, Raw]):
    """A loaded checkpoint.

    network: the weights.
    labels: names of its classes.
    default_options: the thresholds of the software it was trained with.
    Batch is the network's input, Raw its output for one image, both on the device.
    """

    @property
    def network(self) -> nn.Module: ...

    @property
    def labels(self) -> LabelSet: ...

    @property
    def default_options(self) -> SegmentOptions: ...

    def prepare(self, frames: Sequence[Frame], device: torch.device, exact: bool = True) -> Batch:
        """Upload the frames as the network's input.

        exact: bit-identical to the reference. Raises ValueError for a frame without pixels.
        """
        ...

    def __call__(self, batch: Batch, options: SegmentOptions) -> list[Raw]:
        """Run the network: one output for each image of the batch."""
        ...

    def assemble(self, raw: Raw, image_size: tuple[int, int], options: SegmentOptions) -> Segmentation:
        """Convert one output to objects at the resolution of the camera image."""
        ...


@runtime_checkable
class DenseModel(SegmentationModel[Batch, Raw], Protocol[Batch, Raw]):
    """A model with a dense part: its network's `forward`, whose work depends only on its input's shape.

    `network(pixels)`, float (N, 3, H, W), returns a NamedTuple of tensors and tuples of tensors, each of N
    images.
    """

    @property
    def input_spec(self) -> InputSpec: ...

    @property
    def dense(self) -> Callable[..., Any] | None:
        """The function that runs in place of the network's `forward`; None: the network itself."""
        ...

    def with_dense(self: Own, dense: Callable[..., Any]) -> Own:
        """Return the model with this function, such as an exported file's, in place of `forward`."""
        ...

    def with_recorded(self: Own, record: Recorder) -> Own:
        """Return the model with the longest part whose shapes are known beforehand wrapped by `record`."""
        ...


@runtime_checkable
class PromptedModel(Protocol):
    """A model that takes text: `default_options.prompts` is empty instead of None."""

    def check_prompts(self, prompts: Sequence[str]) -> None:
        """Raise ValueError for prompts that it cannot read."""
        ...
