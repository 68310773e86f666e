"""What a network's queries are, and what post-processing makes of them, whoever does it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from seg_node.types import MaskCrop, SegmentOptions


@dataclass(frozen=True)
class QueryPrediction:
    """A network's answer for one image: Q masks with their classes, without those below every threshold.

    class_logits: float (Q, C + 1) on the CPU, the last is "no object". mask_logits: float (Q, h, w), of any
    resolution, on the network's device.
    """

    class_logits: Tensor
    mask_logits: Tensor


@dataclass(frozen=True)
class FoundObject:
    """score: rounded to 6 digits, as the library does. mask: with pixels."""

    class_id: int
    score: float
    mask: MaskCrop


@dataclass(frozen=True)
class FoundSegments:
    """numbers: (H, W) from 0. entries: number → class and score, in the library's order; others are void."""

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
        """The objects above options.score_threshold, in the library's order; segments with options.panoptic.

        is_wanted: of an object's class; others are left out.
        """
        ...


def most_probable(raw: QueryPrediction, threshold: float) -> tuple[list[int], Tensor, list[int]]:
    """Queries that may become segments, and of every query the probability (Q,) and its class."""
    scores, class_ids = raw.class_logits.softmax(-1).max(-1)
    chosen = (class_ids != raw.class_logits.shape[1] - 1) & (scores > threshold)
    return chosen.nonzero()[:, 0].tolist(), scores, class_ids.tolist()


def rounded(score: Tensor) -> float:
    """Of a tensor with one number."""
    return round(score.item(), 6)
