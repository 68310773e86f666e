# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Assignment of each pixel to one of several masks.

The library enlarges all masks to the image at once and reads each several times. Here they are processed one
at a time in the same order, only inside their windows, and the host waits for the device once, at the end.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seg_node.models.transformers.enlarge import Window

OWN_SHARE = 0.8  # a segment must own more of its mask: the library's overlap_mask_area_threshold


class SharedPixels:
    """Pixels assigned to the mask with the highest value, or to the first of equal ones."""

    def __init__(
        self, count: int, image_size: tuple[int, int], device: torch.device, only_sure: bool
    ) -> None:
        """Prepare for `count` masks. only_sure: pixels that their mask does not claim are void (EoMT)."""
        self._owner = torch.zeros(image_size, dtype=number_type(count), device=device)
        self._highest = torch.full(image_size, -torch.inf, device=device)
        self._sure = torch.zeros(image_size, dtype=torch.bool, device=device) if only_sure else None
        self._claimed: list[Tensor] = []

    def add(self, values: Tensor, claimed: Tensor, window: Window) -> None:
        """Add the next mask. values: float, claimed: bool, where it is sure; both of the window.

        Outside the window it must not have the highest value.
        """
        number = len(self._claimed)
        self._claimed.append(torch.count_nonzero(claimed))
        owner, highest = window.of(self._owner), window.of(self._highest)
        higher = values > highest
        torch.maximum(highest, values, out=highest)
        # equals masked_fill_ with the number, since it only grows; ten times as fast on the CPU
        torch.maximum(owner, higher.to(owner.dtype).mul_(number), out=owner)
        if self._sure is not None:
            window.of(self._sure).logical_and_(~higher).logical_or_(higher & claimed)

    def download(self) -> tuple[NDArray[np.integer], list[int]]:
        """Return the masks' numbers (H, W) in the order of `add`, and those that are segments, not void."""
        if not self._claimed:
            return self._owner.cpu().numpy(), []
        layers = [torch.stack(self._claimed), self._owner, *([] if self._sure is None else [self._sure])]
        claimed, owner, *others = on_host(*layers)
        sure = others[0] if others else None
        counts = [_count(owner == number, sure) for number in range(len(claimed))]
        if sure is not None:
            owner = np.where(sure, owner, owner.dtype.type(len(claimed)))
        # float32, as PyTorch divides whole numbers
        with np.errstate(divide="ignore", invalid="ignore"):
            shares = np.array([own for own, _ in counts], np.float32) / claimed.astype(np.float32)
        kept = [
            number
            for number, (own, seen) in enumerate(counts)
            if min(own, seen, claimed[number]) > 0 and float(shares[number]) > OWN_SHARE
        ]
        return owner, kept


def number_type(count: int) -> torch.dtype:
    """Return the smallest type for numbers up to count."""
    return torch.uint8 if count < 256 else torch.int16


def on_host(*tensors: Tensor) -> list[NDArray]:
    """Download tensors of one device in a single copy."""
    if not tensors[0].is_cuda:
        return [tensor.numpy() for tensor in tensors]
    parts = [tensor.view(-1).view(torch.uint8) for tensor in tensors]
    pieces = torch.cat(parts).cpu().split([len(part) for part in parts])
    return [
        piece.clone().view(tensor.dtype).view(tensor.shape).numpy()
        for piece, tensor in zip(pieces, tensors, strict=True)
    ]


def _count(own: NDArray[np.bool_], sure: NDArray[np.bool_] | None) -> tuple[int, int]:
    """Count the pixels that a mask owns, and those among them of which it is sure."""
    count = int(np.count_nonzero(own))
    return count, count if sure is None else int(np.count_nonzero(own & sure))
