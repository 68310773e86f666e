# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""A model of any family whose classes are grouped by the user's labels file."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, cast

import torch
from torch import nn

from seg_node.class_groups import ClassGroups
from seg_node.models.assemble.regroup import regroup
from seg_node.models.model import Batch, DenseModel, Raw, Recorder, SegmentationModel
from seg_node.preprocess.prepare import InputSpec
from seg_node.types import Frame, LabelSet, Segmentation, SegmentOptions


@dataclass(frozen=True)
class GroupedModel(Generic[Batch, Raw]):
    """See `SegmentationModel`. Classes in options and results are those of `groups.labels`.

    model: the checkpoint, whose own classes stay as they are.
    """

    model: SegmentationModel[Batch, Raw]
    groups: ClassGroups

    @property
    def network(self) -> nn.Module:
        return self.model.network

    @property
    def labels(self) -> LabelSet:
        return self.groups.labels

    @property
    def default_options(self) -> SegmentOptions:
        return self.model.default_options

    # What follows is there where the model is a DenseModel; `dense` decides.

    @property
    def dense(self) -> Callable[..., Any] | None:
        return cast(DenseModel[Batch, Raw], self.model).dense

    @property
    def input_spec(self) -> InputSpec:
        return cast(DenseModel[Batch, Raw], self.model).input_spec

    def with_dense(self, dense: Callable[..., Any]) -> "GroupedModel[Batch, Raw]":
        return replace(self, model=cast(DenseModel[Batch, Raw], self.model).with_dense(dense))

    def with_recorded(self, record: Recorder) -> "GroupedModel[Batch, Raw]":
        return replace(self, model=cast(DenseModel[Batch, Raw], self.model).with_recorded(record))

    def prepare(self, frames: Sequence[Frame], device: torch.device, exact: bool = True) -> Batch:
        return self.model.prepare(frames, device, exact)

    def __call__(self, batch: Batch, options: SegmentOptions) -> list[Raw]:
        return self.model(batch, self._own(options))

    def assemble(self, raw: Raw, image_size: tuple[int, int], options: SegmentOptions) -> Segmentation:
        found = self.model.assemble(raw, image_size, self._own(options))
        return regroup(found, self.groups, options)

    def _own(self, options: SegmentOptions) -> SegmentOptions:
        """Return the options in the checkpoint's classes, so that it drops the others early."""
        # a group of stuff may be large enough although none of its classes is: `regroup` drops small ones
        least = 0 if self.groups.joins_stuff else options.panoptic_stuff_min_area
        return replace(options, classes=self.groups.members(options.classes), panoptic_stuff_min_area=least)
