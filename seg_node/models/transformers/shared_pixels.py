"""Which of several masks each pixel of an image belongs to.

The library makes all masks at the image's size at once and goes over each several times. Here there is one at
a time, in the same order, only where it can matter, and the host waits for the device once, at the end.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seg_node.models.transformers.enlarge import Window

OWN_SHARE = 0.8  # a segment owns more of what it claims: the library's overlap_mask_area_threshold


class SharedPixels:
    """Each pixel belongs to the mask with the highest value there, to the first of equal ones."""

    def __init__(
        self, count: int, image_size: tuple[int, int], device: torch.device, only_sure: bool
    ) -> None:
        """count: of the masks. only_sure: a pixel that its mask does not claim is void (EoMT's rule)."""
        self._owner = torch.zeros(image_size, dtype=number_type(count), device=device)
        self._highest = torch.full(image_size, -torch.inf, device=device)
        self._sure = torch.zeros(image_size, dtype=torch.bool, device=device) if only_sure else None
        self._claimed: list[Tensor] = []

    def add(self, values: Tensor, claimed: Tensor, window: Window) -> None:
        """The next mask. values: float, claimed: bool, where it is sure of itself; both of the window.

        Outside of the window it must not have the highest value.
        """
        number = len(self._claimed)
        self._claimed.append(torch.count_nonzero(claimed))
        owner, highest = window.of(self._owner), window.of(self._highest)
        higher = values > highest
        torch.maximum(highest, values, out=highest)
        # as masked_fill_ with the number, which only grows: ten times as fast on the CPU
        torch.maximum(owner, higher.to(owner.dtype).mul_(number), out=owner)
        if self._sure is not None:
            window.of(self._sure).logical_and_(~higher).logical_or_(higher & claimed)

    def download(self) -> tuple[NDArray[np.integer], list[int]]:
        """(H, W) numbers of the masks in the order of `add`, and those that are segments; others are void."""
        if not self._claimed:
            return self._owner.cpu().numpy(), []
        layers = [torch.stack(self._claimed), self._owner, *([] if self._sure is None else [self._sure])]
        claimed, owner, *others = on_host(*layers)
        sure = others[0] if others else None
        counts = [_count(owner == number, sure) for number in range(len(claimed))]
        if sure is not None:
            owner = np.where(sure, owner, owner.dtype.type(len(claimed)))
        # in float32, as PyTorch divides whole numbers
        with np.errstate(divide="ignore", invalid="ignore"):
            shares = np.array([own for own, _ in counts], np.float32) / claimed.astype(np.float32)
        kept = [
            number
            for number, (own, seen) in enumerate(counts)
            if min(own, seen, claimed[number]) > 0 and float(shares[number]) > OWN_SHARE
        ]
        return owner, kept


def number_type(count: int) -> torch.dtype:
    """For numbers up to count."""
    return torch.uint8 if count < 256 else torch.int16


def on_host(*tensors: Tensor) -> list[NDArray]:
    """Tensors of one device, downloaded as one piece."""
    if not tensors[0].is_cuda:
        return [tensor.numpy() for tensor in tensors]
    parts = [tensor.view(-1).view(torch.uint8) for tensor in tensors]
    pieces = torch.cat(parts).cpu().split([len(part) for part in parts])
    return [
        piece.clone().view(tensor.dtype).view(tensor.shape).numpy()
        for piece, tensor in zip(pieces, tensors, strict=True)
    ]


def _count(own: NDArray[np.bool_], sure: NDArray[np.bool_] | None) -> tuple[int, int]:
    """How many pixels a mask owns, and of how many of them it is sure."""
    count = int(np.count_nonzero(own))
    return count, count if sure is None else int(np.count_nonzero(own & sure))
