# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Types that all kinds of post-processing share: a network's queries, and the objects and segments found."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from seg_node.types import MaskCrop, SegmentOptions


@dataclass(frozen=True)
class QueryPrediction:
    """The network's output for one image: Q masks with classes, without those below every threshold.

    class_logits: float (Q, C + 1) on the CPU, the last is "no object". mask_logits: float (Q, h, w), at any
    resolution, on the network's device.
    """

    class_logits: Tensor
    mask_logits: Tensor


@dataclass(frozen=True)
class FoundObject:
    """An object. score: rounded to 6 digits, like the library's. mask: not empty."""

    class_id: int
    score: float
    mask: MaskCrop


@dataclass(frozen=True)
class FoundSegments:
    """Panoptic segments.

    numbers: (H, W) from 0. entries: number → class and score, in the library's order; other numbers are void.
    """

    numbers: NDArray[np.integer]
    entries: Mapping[int, tuple[int, float]]


class PostProcess(Protocol):
    """The library's post-processing of one kind of network."""

    def __call__(
        self,
        raw: QueryPrediction,
        image_size: tuple[int, int],
        options: SegmentOptions,
        is_wanted: Callable[[int], bool],
    ) -> tuple[list[FoundObject], FoundSegments | None]:
        """Find objects above options.score_threshold, in the library's order, and segments if wanted.

        is_wanted: whether to keep objects of a class.
        """
        ...


def most_probable(raw: QueryPrediction, threshold: float) -> tuple[list[int], Tensor, list[int]]:
    """Return the queries that may become segments, and the probability (Q,) and class of every query."""
    scores, class_ids = raw.class_logits.softmax(-1).max(-1)
    chosen = (class_ids != raw.class_logits.shape[1] - 1) & (scores > threshold)
    return chosen.nonzero()[:, 0].tolist(), scores, class_ids.tolist()


def rounded(score: Tensor) -> float:
    """Round a score like the library."""
    return round(score.item(), 6)
