# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Tiny RF-DETR-Seg networks, random but lively, as folders of transformers and as checkpoints of rfdetr."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import Tensor, nn

NAMES = ("car", "person", "dog", "road", "sky", "cup")
SIDE, PATCH, WINDOWS, QUERIES, GROUPS, HEADS = 64, 8, 2, 12, 2, 4
# what rfdetr stores of such a network's settings; `sa_nheads` and others have no trace in the tensors
SETTINGS: Mapping[str, Any] = {
    "resolution": SIDE,
    "num_windows": WINDOWS,
    "out_feature_indexes": [1, 2, 3, 4],
    "sa_nheads": HEADS,
    "dec_n_points": 2,
    "num_select": QUERIES,
    "projector_scale": ["P4"],
    "segmentation_head": True,
    "num_channels": 3,
    "device": "cuda",
}
# names of the library → names of rfdetr
_RENAMED = {
    r"model\.model\.backbone\.backbone\.": "backbone.0.encoder.encoder.",
    r"model\.model\.backbone\.projector\.layer_norm\.": "backbone.0.projector.stages.0.1.",
    r"model\.model\.backbone\.projector\.projector_layer\.": "backbone.0.projector.stages.0.0.",
    r"model\.model\.reference_point_embed\.": "refpoint_embed.",
    r"model\.model\.query_feat\.": "query_feat.",
    r"model\.model\.": "transformer.",
    r"model\.": "",
    r"segmentation_bias": "segmentation_head.bias",
    r"(?=blocks\.|spatial_features|query_features)": "segmentation_head.",
}
_PARTS = {
    r"(\.0\.0\..*)conv(\d)\.norm\.": r"\1cv\2.bn.",
    r"(\.0\.0\..*)conv(\d)\.conv\.": r"\1cv\2.conv.",
    r"\.bottlenecks\.": ".m.",
    r"attention\.q_proj\.": "attention.attention.query.",
    r"attention\.k_proj\.": "attention.attention.key.",
    r"attention\.v_proj\.": "attention.attention.value.",
    r"attention\.o_proj\.": "attention.output.dense.",
    r"self_attn\.o_proj\.": "self_attn.out_proj.",
    r"\.self_attn_layer_norm\.": ".norm1.",
    r"\.cross_attn_layer_norm\.": ".norm2.",
    r"(decoder\.layers\.\d+)\.layer_norm\.": r"\1.norm3.",
    r"(decoder\.layers\.\d+)\.mlp\.fc(\d)\.": r"\1.linear\2.",
    r"decoder\.layernorm\.": "decoder.norm.",
    r"(head\.blocks\.\d+)\.layernorm\.": r"\1.norm.",
    r"\.depthwise_conv\.": ".dwconv.",
    r"\.pointwise_conv\.": ".pwconv1.",
    r"query_features_block\.norm\.": "query_features_block.norm_in.",
    r"query_features_block\.mlp\.fc1\.": "query_features_block.layers.0.",
    r"query_features_block\.mlp\.fc2\.": "query_features_block.layers.2.",
}


def rf_detr_network(rows: int = len(NAMES), seed: int = 8, **changes: Any) -> nn.Module:
    """Build a network whose class head has this many rows."""
    config = transformers.RfDetrConfig(
        backbone_config={
            "model_type": "rf_detr_dinov2",
            "hidden_size": 64,
            "num_hidden_layers": 4,
            "num_attention_heads": 1,
            "image_size": SIDE,
            "patch_size": PATCH,
            "num_windows": WINDOWS,
            "out_features": ["stage1", "stage2", "stage3", "stage4"],
        },
        d_model=32,
        num_queries=QUERIES,
        decoder_self_attention_heads=HEADS,
        decoder_cross_attention_heads=HEADS,
        decoder_n_points=2,
        decoder_layers=2,
        decoder_ffn_dim=16,
        group_detr=GROUPS,
        intermediate_size=64,
        layer_norm_eps=1e-6,
        **{"num_labels": rows, **changes},
    )
    network = transformers.RfDetrForInstanceSegmentation(config).eval()
    _make_lively(network, seed)
    return network


def _make_lively(network: nn.Module, seed: int) -> None:
    """Random weights that give sure classes, boxes of all sizes and sharp masks."""
    random = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in network.named_parameters():
            if tensor.ndim > 1:
                tensor.normal_(0, 1.4 * tensor[0].numel() ** -0.5, generator=random)
            if name.endswith("class_embed.weight"):
                tensor *= 2
            if "lambda1" in name:
                tensor.fill_(0.5)


def write_rf_detr_folder(folder: Path, names: tuple[str, ...] = NAMES, **changes: Any) -> Path:
    """Write a network and its image processor as a folder of transformers."""
    network = rf_detr_network(len(names), id2label=dict(enumerate(names)), **changes)
    network.save_pretrained(folder)
    transformers.RfDetrImageProcessor(size={"height": SIDE, "width": SIDE}).save_pretrained(folder)
    return folder


def write_thin_checkpoint(folder: Path) -> tuple[Path, Path]:
    """Write a checkpoint of rfdetr that holds tensors alone, and its settings as a configuration."""
    weights = folder / "rf_detr_thin.pth"
    torch.save({"model": rfdetr_tensors(rf_detr_network())}, weights)
    config = folder / "training_config.json"
    config.write_text(json.dumps({"model_config": dict(SETTINGS), "class_names": NAMES[:-1]}))
    return weights, config


def rfdetr_tensors(network: nn.Module) -> dict[str, Tensor]:
    """Name a network's tensors as rfdetr does, with queries, keys and values of its decoder in one tensor."""
    renamed = {_rfdetr_name(name): tensor for name, tensor in network.state_dict().items()}
    for name in [name for name in renamed if "self_attn.q_proj" in name]:
        parts = [renamed.pop(name.replace("q_proj", f"{part}_proj")) for part in "qkv"]
        renamed[name.replace("q_proj.", "in_proj_")] = torch.cat(parts)
    return renamed


def _rfdetr_name(name: str) -> str:
    for theirs, ours in _RENAMED.items():
        if re.match(theirs, name):
            name = re.sub(f"^{theirs}", ours, name)
            break
    for theirs, ours in _PARTS.items():
        name = re.sub(theirs, ours, name)
    return name


def write_rfdetr_checkpoint(file: Path, network: nn.Module | None = None, **entries: Any) -> Path:
    """Write a checkpoint of rfdetr. entries: what lies beside the tensors; None: none of the usual ones."""
    usual: dict[str, Any] = {
        "args": {"class_names": list(NAMES[:-1]), "num_classes": len(NAMES) - 1, "resume": None},
        "model_config": dict(SETTINGS),
        "model_name": "RFDETRSegNano",
    }
    tensors = rfdetr_tensors(network or rf_detr_network())
    content = {"model": tensors, **usual, **entries}
    torch.save({key: value for key, value in content.items() if value is not None}, file)
    return file
