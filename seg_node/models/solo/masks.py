# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""From a SOLO head's grids to instances: candidate cells, their scores, and masks at image resolution.

Source of the order of operations: WXinlong/SOLO `mmdet/models/anchor_heads/solov2_head.py: get_seg_single`.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from seg_node.masks.crop import tight_crop
from seg_node.models.solo.heads import bilinear, count_levels, split_levels
from seg_node.models.solo.matrix_nms import hard_nms, matrix_nms
from seg_node.models.solo.settings import SoloSettings
from seg_node.types import MaskCrop, SegmentOptions
from seg_node.untrusted.size_cache import size_cache

_CHUNK = 512  # candidates whose masks are computed at a time
_TILE = 64  # pixels per matrix product; more would multiply many zero weights
_MASKS_AT_ONCE = 16  # enlarged to whole float images at a time


@dataclass(frozen=True)
class Candidates:
    """K pairs of a grid cell and a class, ordered by level, row, column, class.

    cells: int64 (K,), indices over all levels. class_ids: int64 (K,). scores: float (K,).
    strides: float (K,), of the cell's level in input pixels.
    per_level: number of pairs of each level.
    """

    cells: Tensor
    class_ids: Tensor
    scores: Tensor
    strides: Tensor
    per_level: Sequence[int]


@dataclass(frozen=True)
class SoloPrediction:
    """The network's output for one image, on its device: N objects, best first.

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
    """Find the pairs of cell and class with a score above the threshold.

    category_probs: one image's (S, S, classes) per level. classes: the wanted ids, None for all.
    """
    scores = torch.cat([probs.flatten(0, 1) for probs in category_probs])
    wanted = scores > threshold
    if classes is not None:
        # pinned memory: the host does not wait for the upload
        known = torch.zeros(scores.shape[1], dtype=torch.bool, pin_memory=wanted.is_cuda)
        known[[class_id for class_id in classes if 0 <= class_id < len(known)]] = True
        wanted &= known.to(wanted.device, non_blocking=True)
    cells, class_ids, per_level = _places(wanted, [len(probs) for probs in category_probs])
    levels = zip(category_probs, strides, strict=True)
    stride_of = torch.cat([probs.new_full((probs.shape[0] ** 2,), stride) for probs, stride in levels])
    return Candidates(cells, class_ids, scores[cells, class_ids], stride_of[cells], per_level)


def _places(wanted: Tensor, grids: Sequence[int]) -> tuple[Tensor, Tensor, list[int]]:
    """Return cells and classes (K,) where wanted (cells, classes) is true, and their number per level.

    They are ordered by cell, then class. The host waits for a GPU once, as in `torch.where`.
    """
    if not wanted.is_cuda:
        cells, class_ids = torch.where(wanted)
        return cells, class_ids, count_levels(cells, grids)
    classes, up_to = wanted.shape[1], wanted.flatten().cumsum(0)
    ends = accumulate(grid**2 * classes for grid in grids)
    totals = torch.stack([up_to[end - 1] for end in ends]).tolist()
    places = torch.searchsorted(up_to, torch.arange(1, totals[-1] + 1, device=wanted.device))
    return places // classes, places % classes, [b - a for a, b in pairwise([0, *totals])]


def select_instances(
    candidates: Candidates,
    masks_of: Callable[[Sequence[Tensor]], Tensor],
    settings: SoloSettings,
    options: SegmentOptions,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return scores (N,), class ids (N,) and mask probabilities (N, h, w) of kept objects, best first.

    masks_of: computes the mask probabilities (K, h, w) of K cells, given as ascending indices per level.
    """
    scores, class_ids, probs = _rescore(candidates, masks_of, settings, options.mask_threshold)
    masks, kept = probs > options.mask_threshold, scores >= 0
    if settings.nms == "hard":
        kept &= hard_nms(masks, class_ids, options.nms_threshold)
    else:
        scores = matrix_nms(masks, class_ids, scores, settings.nms, settings.sigma)
        kept &= scores >= settings.update_threshold
    kept &= scores > options.score_threshold
    order = torch.where(kept, scores, -1).argsort(descending=True, stable=True)
    best = order[: options.max_instances][: int(kept.sum())]  # the host waits for a GPU here
    return scores[best], class_ids[best], probs[best]


def _rescore(
    candidates: Candidates,
    masks_of: Callable[[Sequence[Tensor]], Tensor],
    settings: SoloSettings,
    mask_threshold: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return scores, class ids and mask probabilities of the best candidates.

    A score is multiplied by the mean probability inside the mask; masks that are too small score -1.
    Chunks of candidates are processed by falling score until no later one can be among the best, which
    bounds memory. The host waits for a GPU only if there is more than one chunk.
    """
    scores, class_ids, probs = candidates.scores[:0], candidates.class_ids[:0], None
    for chunk in _chunks(candidates.scores):
        if len(scores) == settings.nms_candidates and candidates.scores[chunk].amax() < scores[-1]:
            break
        cells = candidates.cells[chunk]
        all_of_them = len(cells) == len(candidates.cells)
        per_level = candidates.per_level if all_of_them else count_levels(cells, settings.grids)
        new_probs = masks_of(split_levels(cells, per_level, settings.grids))
        flat = new_probs.flatten(1)
        inside = (flat > mask_threshold).float()
        areas = inside.sum(1)  # below 2**24, so exact
        new_scores = candidates.scores[chunk] * ((flat * inside).sum(1) / areas)
        new_scores = torch.where(areas > candidates.strides[chunk], new_scores, -1)
        scores = torch.cat((scores, new_scores))
        best = scores.argsort(descending=True, stable=True)[: settings.nms_candidates]
        scores, class_ids = scores[best], torch.cat((class_ids, candidates.class_ids[chunk]))[best]
        probs = (new_probs if probs is None else torch.cat((probs, new_probs)))[best]
    assert probs is not None  # even no candidates make a chunk
    return scores, class_ids, probs


def _chunks(scores: Tensor) -> Iterator[Tensor | slice]:
    """Yield chunks of indices of the scores (K,), the highest first; ascending within each chunk."""
    if len(scores) <= _CHUNK:
        yield slice(None)
        return
    for chunk in scores.argsort(descending=True, stable=True).split(_CHUNK):
        yield chunk.sort().values


def place_masks(
    prediction: SoloPrediction, image_size: tuple[int, int], mask_stride: int | None, threshold: float
) -> list[MaskCrop]:
    """Resize masks to the camera image; return each object's pixels in their smallest bounding rectangle.

    The probabilities are enlarged to the padded input, cropped to the unpadded part and resized to the
    image; a pixel belongs to the object above the threshold. An object without pixels gets a crop of (0, 0).
    mask_stride: as in `SoloSettings`.
    """
    small_size, input_size = prediction.mask_probs.shape[-2:], prediction.input_size
    stride = _stride(prediction, mask_stride)
    rows, columns = (
        _resizing(*sizes, stride) for sizes in zip(small_size, input_size, image_size, strict=True)
    )
    return [_place(probs, rows, columns, threshold) for probs in prediction.mask_probs]


def place_whole_masks(
    prediction: SoloPrediction, image_size: tuple[int, int], mask_stride: int | None, threshold: float
) -> Tensor:
    """Compute `place_masks` as whole images, on a device with enough memory: bool (N, H, W)."""
    small_size, (height, width) = prediction.mask_probs.shape[-2:], prediction.input_size
    stride = _stride(prediction, mask_stride)
    placed = []
    for probs in prediction.mask_probs.split(_MASKS_AT_ONCE):
        enlarged = bilinear(probs[:, None], [side * stride for side in small_size])[..., :height, :width]
        placed.append(bilinear(enlarged, image_size)[:, 0] > threshold)
    return torch.cat(placed)


def _stride(prediction: SoloPrediction, mask_stride: int | None) -> int:
    rows = prediction.mask_probs.shape[-2]
    return -(-prediction.input_size[0] // rows) if mask_stride is None else mask_stride


@dataclass(frozen=True)
class _Resizing:
    """Linear map from the cells along one side of the small masks to the pixels along that side of the image.

    weights: (pixels, cells). firsts, ends: each pixel depends on the cells first … end - 1.
    """

    weights: Tensor
    firsts: list[int]
    ends: list[int]

    def touched(self, first_cell: int, end_cell: int) -> tuple[int, int]:
        """Return first and end of the pixels to which the cells first_cell … end_cell - 1 contribute."""
        return bisect_right(self.ends, first_cell), bisect_left(self.firsts, end_cell)

    def apply(self, cells: Tensor, offset: int, first: int, end: int) -> Tensor:
        """Compute the pixels first … end - 1 (P, n) from the cells (C, n) that start at `offset`."""
        tiles = []
        for start in range(first, end, _TILE):
            stop = min(start + _TILE, end)
            used = slice(self.firsts[start], self.ends[stop - 1])
            tiles.append(self.weights[start:stop, used] @ cells[used.start - offset : used.stop - offset])
        return torch.cat(tiles)


@size_cache(entries=16, longest=8192)  # 2 for each size of camera image, 11 MB at most
def _resizing(small: int, unpadded: int, image: int, stride: int) -> _Resizing:
    """Merge enlarging by the stride, cropping the padding and resizing to the image, which are all linear."""
    enlarged = F.interpolate(torch.eye(small)[None], size=small * stride, mode="linear")[..., :unpadded]
    weights = F.interpolate(enlarged, size=image, mode="linear")[0].T.contiguous()
    used = weights > 0
    ends = small - used.flip(1).int().argmax(dim=1)
    return _Resizing(weights, used.int().argmax(dim=1).tolist(), ends.tolist())


def _place(probs: Tensor, rows: _Resizing, columns: _Resizing, threshold: float) -> MaskCrop:
    """Resize one mask (h, w); only pixels that depend on a cell above the threshold are computed."""
    x, y, width, height = cv2.boundingRect((probs > threshold).numpy().view(np.uint8))
    if width == 0:
        return MaskCrop.empty()
    top, bottom = rows.touched(y, y + height)
    left, right = columns.touched(x, x + width)
    if top == bottom or left == right:
        return MaskCrop.empty()
    first, end = rows.firsts[top], rows.ends[bottom - 1]
    wide = columns.apply(probs[first:end].T, 0, left, right)  # (right - left, end - first)
    mask = (rows.apply(wide.T, first, top, bottom) > threshold).numpy()
    return tight_crop(mask, left, top)
