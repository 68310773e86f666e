"""From a SOLO head's grids to instances: candidate cells, their scores, and masks at image resolution.

Source of the order of operations: WXinlong/SOLO `mmdet/models/anchor_heads/solov2_head.py: get_seg_single`.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from seg_node.models.matrix_nms import hard_nms, matrix_nms
from seg_node.models.solo_settings import SoloSettings
from seg_node.types import MaskCrop, SegmentOptions

# pixels multiplied at a time, so that few of the weights are zeros
_TILE = 64
_EMPTY = MaskCrop(0, 0, np.zeros((0, 0), np.bool_))


@dataclass(frozen=True)
class Candidates:
    """K pairs of a grid cell and a class, over levels, rows, columns, classes.

    cells: of each level int64 indices over rows, then columns; K altogether.
    class_ids: int64 (K,). scores: float (K,). strides: float (K,), of the cell's level in input pixels.
    """

    cells: tuple[Tensor, ...]
    class_ids: Tensor
    scores: Tensor
    strides: Tensor


@dataclass(frozen=True)
class SoloPrediction:
    """The network's answer for one image, on its device: N objects, best first.

    scores: float (N,). class_ids: int64 (N,).
    mask_probs: float (N, h, w), over the padded input, at a quarter of its resolution.
    input_size: (height, width) of the image as the network saw it, without padding.
    """

    scores: Tensor
    class_ids: Tensor
    mask_probs: Tensor
    input_size: tuple[int, int]


def find_candidates(
    category_probs: Sequence[Tensor],
    strides: Sequence[int],
    threshold: float,
    classes: Collection[int] | None,
) -> Candidates:
    """The cells with a class scored above the threshold.

    category_probs: one image's (S, S, classes) of each level. classes: the only ids wanted, None for all.
    """
    counts = [probs.shape[0] ** 2 for probs in category_probs]
    scores = torch.cat([probs.flatten(0, 1) for probs in category_probs])
    wanted = scores > threshold
    if classes is not None:
        known = torch.zeros(scores.shape[1], dtype=torch.bool)
        known[[class_id for class_id in classes if 0 <= class_id < len(known)]] = True
        wanted &= known.to(wanted.device)
    cells, class_ids = torch.where(wanted)  # in the order (cell, class)
    stride_of = torch.tensor(strides, device=scores.device, dtype=scores.dtype)
    stride_of = stride_of.repeat_interleave(torch.tensor(counts, device=scores.device))
    per_level = [int(level.count_nonzero()) for level in wanted.split(counts)]
    firsts = [sum(counts[:level]) for level in range(len(counts))]
    return Candidates(
        tuple(part - first for part, first in zip(cells.split(per_level), firsts, strict=True)),
        class_ids,
        scores[cells, class_ids],
        stride_of[cells],
    )


def select_instances(
    candidates: Candidates, mask_probs: Tensor, settings: SoloSettings, options: SegmentOptions
) -> tuple[Tensor, Tensor, Tensor]:
    """Scores (N,), class ids (N,) and mask probabilities (N, h, w) of what is kept, best first.

    mask_probs: (K, h, w), of the candidates.
    """
    masks = mask_probs > options.mask_threshold
    areas = masks.sum((1, 2)).float()
    large = areas > candidates.strides
    masks, areas, mask_probs = masks[large], areas[large], mask_probs[large]
    class_ids = candidates.class_ids[large]
    scores = candidates.scores[large] * ((mask_probs * masks).sum((1, 2)) / areas)
    best = scores.argsort(descending=True, stable=True)[: settings.nms_candidates]
    scores, class_ids, masks = scores[best], class_ids[best], masks[best]
    if settings.nms == "hard":
        kept = hard_nms(masks, class_ids, options.nms_threshold)
    else:
        scores = matrix_nms(masks, class_ids, scores, settings.nms, settings.sigma)
        kept = scores >= settings.update_threshold
    kept &= scores > options.score_threshold
    scores, class_ids, best = scores[kept], class_ids[kept], best[kept]
    final = scores.argsort(descending=True, stable=True)[: options.max_instances]
    return scores[final], class_ids[final], mask_probs[best[final]]


def place_masks(
    prediction: SoloPrediction, image_size: tuple[int, int], mask_stride: int | None, threshold: float
) -> list[MaskCrop]:
    """The pixels of each object in the camera image, cropped to the smallest rectangle that holds them.

    The probabilities are enlarged to the padded input, the padding is cut off, the rest is resized to the
    image; a pixel belongs to the object above the threshold. An object without pixels gets a crop of (0, 0).
    mask_stride: as in `SoloSettings`.
    """
    small_size, input_size = prediction.mask_probs.shape[-2:], prediction.input_size
    stride = -(-input_size[0] // small_size[0]) if mask_stride is None else mask_stride
    rows, columns = (
        _resizing(*sizes, stride) for sizes in zip(small_size, input_size, image_size, strict=True)
    )
    return [_place(probs, rows, columns, threshold) for probs in prediction.mask_probs.cpu()]


@dataclass(frozen=True)
class _Resizing:
    """How the pixels along one side of the image are made of the cells along that side of the small masks.

    weights: (pixels, cells). firsts, ends: of each pixel, it is made of the cells first … end - 1.
    """

    weights: Tensor
    firsts: list[int]
    ends: list[int]

    def touched(self, first_cell: int, end_cell: int) -> tuple[int, int]:
        """First and end of the pixels that some of the cells contribute to."""
        return bisect_right(self.ends, first_cell), bisect_left(self.firsts, end_cell)

    def apply(self, cells: Tensor, offset: int, first: int, end: int) -> Tensor:
        """The pixels first … end - 1 (P, n) from the cells (C, n), of which the first one is `offset`."""
        tiles = []
        for start in range(first, end, _TILE):
            stop = min(start + _TILE, end)
            used = slice(self.firsts[start], self.ends[stop - 1])
            tiles.append(self.weights[start:stop, used] @ cells[used.start - offset : used.stop - offset])
        return torch.cat(tiles)


def _resizing(small: int, unpadded: int, image: int, stride: int) -> _Resizing:
    """Enlarges by the stride, cuts off the padding and resizes to the image: all that is linear."""
    enlarged = F.interpolate(torch.eye(small)[None], size=small * stride, mode="linear")[..., :unpadded]
    weights = F.interpolate(enlarged, size=image, mode="linear")[0].T.contiguous()
    used = weights > 0
    ends = small - used.flip(1).int().argmax(dim=1)
    return _Resizing(weights, used.int().argmax(dim=1).tolist(), ends.tolist())


def _place(probs: Tensor, rows: _Resizing, columns: _Resizing, threshold: float) -> MaskCrop:
    """probs: (h, w). Only pixels that have a part in a cell above the threshold are computed."""
    x, y, width, height = cv2.boundingRect((probs > threshold).numpy().view(np.uint8))
    if width == 0:
        return _EMPTY
    top, bottom = rows.touched(y, y + height)
    left, right = columns.touched(x, x + width)
    if top == bottom or left == right:
        return _EMPTY
    first, end = rows.firsts[top], rows.ends[bottom - 1]
    wide = columns.apply(probs[first:end].T, 0, left, right)  # (right - left, end - first)
    mask = (rows.apply(wide.T, first, top, bottom) > threshold).numpy()
    x, y, width, height = cv2.boundingRect(mask.view(np.uint8))
    if width == 0:
        return _EMPTY
    return MaskCrop(left + x, top + y, mask[y : y + height, x : x + width])
