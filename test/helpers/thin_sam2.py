# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Folders of SAM, SAM 2 and SAM 3's tracker with tiny networks, random but lively."""

from pathlib import Path
from typing import Any

import torch
import transformers
from thin_sam3 import HIDDEN, SIDE, vision_config
from torch import nn

_DECODER = {"hidden_size": HIDDEN, "mlp_dim": 32, "num_attention_heads": 2, "iou_head_hidden_dim": 32}


def write_sam_folder(folder: Path, kind: str) -> Path:
    """kind: sam, sam2 or sam3_tracker."""
    torch.manual_seed(0)
    network, processor = {"sam": _sam, "sam2": _sam2, "sam3_tracker": _sam3_tracker}[kind]()
    make_lively(network)
    folder.mkdir(parents=True, exist_ok=True)
    network.eval().save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def make_lively(network: nn.Module) -> None:
    """Random weights with which prompts at different places get different masks."""
    random = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for tensor in network.parameters():
            if tensor.ndim > 1:
                tensor.normal_(0, 1.6 * tensor[0].numel() ** -0.5, generator=random)


def _sam() -> tuple[nn.Module, Any]:
    side = 64
    vision = {
        "hidden_size": 16,
        "output_channels": HIDDEN,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "image_size": side,
        "patch_size": 8,
        "window_size": 4,
        "global_attn_indexes": [1],
        "num_pos_feats": 16,
        "mlp_dim": 32,
    }
    prompt = {"hidden_size": HIDDEN, "image_size": side, "patch_size": 8}
    config = transformers.SamConfig(
        vision_config=vision, prompt_encoder_config=prompt, mask_decoder_config=_DECODER
    )
    images = transformers.SamImageProcessor(
        size={"longest_edge": side}, pad_size={"height": side, "width": side}
    )
    return transformers.SamModel(config), transformers.SamProcessor(images)


def _sam2() -> tuple[nn.Module, Any]:
    side = 128
    vision = transformers.Sam2VisionConfig(
        backbone_config={
            "model_type": "sam2_hiera_det_model",
            "image_size": [side, side],
            "hidden_size": 8,
            "blocks_per_stage": [1, 1, 2, 1],
            "embed_dim_per_stage": [8, 16, 32, 64],
            "num_attention_heads_per_stage": [1, 1, 2, 2],
            "window_size_per_stage": [4, 4, 4, 4],
            "global_attention_blocks": [3],
        },
        backbone_channel_list=[64, 32, 16, 8],
        backbone_feature_sizes=[[32, 32], [16, 16], [8, 8]],
        fpn_hidden_size=HIDDEN,
    )
    prompt = {"hidden_size": HIDDEN, "image_size": side}
    config = transformers.Sam2Config(
        vision_config=vision, prompt_encoder_config=prompt, mask_decoder_config=_DECODER
    )
    images = transformers.Sam2ImageProcessor(size={"height": side, "width": side})
    return transformers.Sam2Model(config), transformers.Sam2Processor(images)


def _sam3_tracker() -> tuple[nn.Module, Any]:
    config = transformers.Sam3TrackerConfig(
        vision_config=vision_config(),
        prompt_encoder_config={"hidden_size": HIDDEN, "image_size": SIDE, "patch_size": 14},
        mask_decoder_config=_DECODER,
    )
    images = transformers.Sam3ImageProcessor(size={"height": SIDE, "width": SIDE})
    return transformers.Sam3TrackerModel(config), transformers.Sam3TrackerProcessor(images)
