# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Which operators make the host wait for the device, because it needs a number to go on."""

from typing import Any

import torch

aten = torch.ops.aten

INDEXING = {
    aten.index.Tensor,
    aten.index_put.default,
    aten.index_put_.default,
    aten._index_put_impl_.default,
}
_ALWAYS = {
    aten._local_scalar_dense.default: "item",
    aten.bincount.default: "bincount",
    aten.equal.default: "equal",
    aten.is_nonzero.default: "is_nonzero",
    aten.masked_select.default: "masked_select",
    aten.nonzero.default: "nonzero",
    aten.unique_consecutive.default: "unique_consecutive",
    aten.unique_dim.default: "unique_dim",
    aten._unique2.default: "unique",
}


def reason_to_wait(operator: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str | None:
    """Why the host waits in this operator; None: it does not. Copies are not told here."""
    if operator in _ALWAYS:
        return _ALWAYS[operator]
    if operator is aten.repeat_interleave.Tensor and kwargs.get("output_size") is None:
        return "repeat_interleave without output_size"
    if operator.name() == "torchvision::nms":
        return "nms"
    if operator in INDEXING:
        return _index_waits(args)
    return None


def _index_waits(args: tuple[Any, ...]) -> str | None:
    indices = [index for index in args[1] if index is not None]
    if any(index.device.type == "cpu" for index in indices):
        return "index on the CPU"
    if not any(index.dtype in (torch.bool, torch.uint8) for index in indices):
        return None
    # writing one number under one mask is masked_fill
    is_fill = len(indices) == 1 and len(args) > 2 and args[2].numel() == 1
    return None if is_fill else "boolean index"
