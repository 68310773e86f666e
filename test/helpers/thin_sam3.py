# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Folders of SAM 3 with tiny networks, random but lively, and a tokenizer of single letters."""

import json
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import nn

SIDE = 112  # of the network's square input
QUERIES = 12
HIDDEN = 32
_HEADS = {"num_attention_heads": 2, "hidden_size": HIDDEN}
_LAYERS = {**_HEADS, "num_layers": 1, "intermediate_size": 32}


def write_sam3_folder(folder: Path, kind: str = "sam3") -> Path:
    """kind: sam3, sam3_lite_text, or sam3_video, whose folder is published for images as well."""
    torch.manual_seed(0)
    network = _network("sam3" if kind == "sam3_video" else kind).eval()
    make_lively(network)
    folder.mkdir(parents=True, exist_ok=True)
    network.save_pretrained(folder)
    if kind == "sam3_video":
        _as_video(folder)
    sam3_processor(folder).save_pretrained(folder)
    return folder


def sam3_processor(folder: Path) -> Any:
    """The library's processor, with letters for words; its vocabulary is written to the folder."""
    letters = "abcdefghijklmnopqrstuvwxyz"
    words = ["<|startoftext|>", "<|endoftext|>", *letters, *(letter + "</w>" for letter in letters)]
    (folder / "vocab.json").write_text(json.dumps({word: i for i, word in enumerate(words)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    return transformers.Sam3Processor(
        transformers.Sam3ImageProcessor(size={"height": SIDE, "width": SIDE}),
        transformers.CLIPTokenizer.from_pretrained(folder),
    )


def make_lively(network: nn.Module) -> None:
    """Random weights with which prompts find different objects with sharp masks."""
    random = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for name, tensor in network.named_parameters():
            if tensor.ndim > 1:
                fan_in = 1 if "query_embed" in name or "reference_points" in name else tensor[0].numel()
                tensor.normal_(0, 1.6 * fan_in**-0.5, generator=random)
            if name == "dot_product_scoring.query_proj.weight":
                tensor *= 4
            if name == "detr_decoder.presence_head.layer3.bias":
                tensor.fill_(4)


def vision_config() -> transformers.Sam3VisionConfig:
    return transformers.Sam3VisionConfig(
        backbone_config={
            "model_type": "sam3_vit_model",
            "hidden_size": 16,
            "intermediate_size": 32,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "image_size": SIDE,
            "window_size": 4,
            "global_attn_indexes": [1],
            "pretrain_image_size": 56,
        },
        fpn_hidden_size=HIDDEN,
        backbone_feature_sizes=[[32, 32], [16, 16], [8, 8]],
    )


def _network(kind: str) -> nn.Module:
    vision = vision_config()
    text: dict[str, Any] = {
        "vocab_size": 64,
        "hidden_size": 16,
        "intermediate_size": 32,
        "projection_dim": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "max_position_embeddings": 32,
    }
    parts = {
        "vision_config": vision,
        "geometry_encoder_config": {**_LAYERS},
        "detr_encoder_config": {**_LAYERS},
        "detr_decoder_config": {**_LAYERS, "num_queries": QUERIES},
        "mask_decoder_config": {**_HEADS},
    }
    if kind == "sam3_lite_text":
        config = transformers.Sam3LiteTextConfig(text_config=text, **parts)
        return transformers.Sam3LiteTextModel(config)
    text |= {"model_type": "clip_text_model", "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 1}
    return transformers.Sam3Model(transformers.Sam3Config(text_config=text, **parts))


def _as_video(folder: Path) -> None:
    """Rewrite the folder as published: the detector within a model for videos."""
    from safetensors.torch import load_file, save_file

    file = folder / "model.safetensors"
    tensors = {f"detector_model.{name}": tensor for name, tensor in load_file(file).items()}
    tensors["tracker_model.extra"] = torch.zeros(3)
    save_file(tensors, file, metadata={"format": "pt"})
    config = json.loads((folder / "config.json").read_text())
    video = {"model_type": "sam3_video", "architectures": ["Sam3VideoModel"], "detector_config": config}
    (folder / "config.json").write_text(json.dumps(video))
