# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Choice of the post-processing for a kind of network."""

from types import SimpleNamespace
from typing import Any

import torch

from seg_node.models.transformers.eomt import EomtPostProcess
from seg_node.models.transformers.found import PostProcess
from seg_node.models.transformers.library import LibraryPostProcess
from seg_node.models.transformers.mask_former import MaskFormerPostProcess, OneFormerPostProcess
from seg_node.types import LabelSet

_MASK2FORMER_GRID = (384, 384)  # of its masks, for images of any size


def choose_post_process(kind: str, image_processor: Any, labels: LabelSet) -> PostProcess:
    """Choose the post-processing.

    kind: model_type of config.json. image_processor: the library's. labels: separate things from stuff.
    """
    if kind == "mask2former":
        return MaskFormerPostProcess(_MASK2FORMER_GRID)
    if kind == "maskformer":
        return MaskFormerPostProcess(None)
    if kind == "oneformer":
        return OneFormerPostProcess(frozenset(labels.things), _antialiases(image_processor))
    if kind in ("eomt", "eomt_dinov3"):
        return EomtPostProcess(image_processor)
    if kind == "videomt":
        return EomtPostProcess(None)
    return LibraryPostProcess(image_processor)


def _antialiases(image_processor: Any) -> bool:
    """Whether the installed OneFormer shrinks masks with antialiasing; older versions do not.

    Tested by shrinking rows of four pixels to one. The first row, 0 1 1 0, becomes 0.58 with antialiasing,
    which averages all four pixels, and 1 without; the second row is 0.8 everywhere.
    """
    probs = torch.tensor([[1e-9, 1 - 1e-6, 1 - 1e-6, 1e-9], [0.8] * 4])
    output = SimpleNamespace(
        class_queries_logits=100 * torch.eye(2, 3)[None], masks_queries_logits=probs.logit()[None, :, None]
    )
    (answer,) = image_processor.post_process_panoptic_segmentation(
        output, target_sizes=[(1, 1)], label_ids_to_fuse=set()
    )
    return bool(answer["segments_info"][0]["label_id"] == 1)
