"""Checkpoint folders of the transformers library with tiny networks, random but lively."""

import json
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import nn

from seg_node.labels import COCO_STUFF_NAMES, COCO_THING_NAMES

COCO_PANOPTIC = (*COCO_THING_NAMES, *COCO_STUFF_NAMES)  # in the order of published checkpoints
QUERIES = 12
# kind → a seed that gives several segments of several classes
KINDS = {"mask2former": 7, "maskformer": 11, "oneformer": 0, "eomt": 8, "detr": 24}
_SIZE = {"shortest_edge": 64, "longest_edge": 128}


def write_thin_checkpoint(folder: Path) -> tuple[Path, None]:
    """A Mask2Former with the classes of COCO panoptic; the folder is the weights, there is no config."""
    return write_transformers_folder(folder, "mask2former", COCO_PANOPTIC), None


def write_transformers_folder(folder: Path, kind: str, names: tuple[str, ...]) -> Path:
    """kind: of KINDS. names: of the classes from 0; for OneFormer those that begin with "stuff" are stuff."""
    labels: dict[str, Any] = {"num_labels": len(names), "id2label": dict(enumerate(names))}
    torch.manual_seed(0)
    network = _NETWORKS[kind](labels)
    make_lively(network, KINDS[kind])
    network.save_pretrained(folder)
    if kind == "oneformer":
        _write_oneformer_processor(folder, names)
    else:
        size = {"shortest_edge": 64, "longest_edge": 64} if kind == "eomt" else _SIZE
        padding = {"do_pad": True} if kind == "eomt" else {}
        name = {"mask2former": "Mask2Former", "maskformer": "MaskFormer", "eomt": "Eomt", "detr": "Detr"}[kind]
        getattr(transformers, f"{name}ImageProcessor")(size=size, **padding).save_pretrained(folder)
    return folder


def make_lively(network: nn.Module, seed: int) -> None:
    """Random weights that give sure classes and sharp masks."""
    random = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in network.named_parameters():
            if tensor.ndim > 1:
                fan_in = 1 if tensor.shape[0] == QUERIES and tensor.ndim == 2 else tensor[0].numel()
                tensor.normal_(0, 1.6 * fan_in**-0.5, generator=random)
            if name.endswith(("class_predictor.weight", "class_labels_classifier.weight")) or (
                "class_embed" in name and tensor.ndim == 2
            ):
                tensor *= 4


def _backbone() -> transformers.SwinConfig:
    return transformers.SwinConfig(
        image_size=64, embed_dim=8, depths=[1] * 4, num_heads=[1, 1, 2, 2], window_size=4, out_features=_STAGES
    )


def _resnet() -> transformers.ResNetConfig:
    return transformers.ResNetConfig(
        embedding_size=8, hidden_sizes=[8, 16, 32, 64], depths=[1] * 4, layer_type="basic", out_features=_STAGES
    )


def _detr_config(**more: Any) -> transformers.DetrConfig:
    return transformers.DetrConfig(
        use_timm_backbone=False,
        backbone_config=_resnet(),
        d_model=32,
        encoder_layers=1,
        decoder_layers=1,
        encoder_ffn_dim=16,
        decoder_ffn_dim=16,
        encoder_attention_heads=8,
        decoder_attention_heads=8,
        num_queries=QUERIES,
        **more,
    )


def _mask2former(labels: dict[str, Any]) -> nn.Module:
    config = transformers.Mask2FormerConfig(
        backbone_config=_backbone(), feature_size=32, mask_feature_size=32, **_DECODER, **labels
    )
    return transformers.Mask2FormerForUniversalSegmentation(config)


def _maskformer(labels: dict[str, Any]) -> nn.Module:
    config = transformers.MaskFormerConfig(
        backbone_config=_backbone(),
        decoder_config=_detr_config(),
        fpn_feature_size=32,
        mask_feature_size=32,
        **labels,
    )
    return transformers.MaskFormerForInstanceSegmentation(config)


def _oneformer(labels: dict[str, Any]) -> nn.Module:
    config = transformers.OneFormerConfig(
        backbone_config=_backbone(),
        conv_dim=32,
        mask_dim=32,
        is_training=False,
        query_dec_layers=1,
        text_encoder_width=32,
        text_encoder_num_layers=1,
        text_encoder_vocab_size=100,
        **_DECODER,
        **labels,
    )
    return transformers.OneFormerForUniversalSegmentation(config)


def _eomt(labels: dict[str, Any]) -> nn.Module:
    config = transformers.EomtConfig(
        hidden_size=16,
        num_hidden_layers=3,
        num_attention_heads=2,
        image_size=64,
        patch_size=8,
        num_blocks=1,
        num_queries=QUERIES,
        num_upscale_blocks=1,
        **labels,
    )
    return transformers.EomtForUniversalSegmentation(config)


def _detr(labels: dict[str, Any]) -> nn.Module:
    return transformers.DetrForSegmentation(_detr_config(**labels))


def _write_oneformer_processor(folder: Path, names: tuple[str, ...]) -> None:
    classes = {str(i): {"name": name, "isthing": int(name[:5] != "stuff")} for i, name in enumerate(names)}
    (folder / "classes.json").write_text(json.dumps(classes))
    letters = "abcdefghijklmnopqrstuvwxyz"
    words = ["<|startoftext|>", "<|endoftext|>", *letters, *(letter + "</w>" for letter in letters)]
    (folder / "vocab.json").write_text(json.dumps({word: i for i, word in enumerate(words)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    transformers.OneFormerProcessor(
        transformers.OneFormerImageProcessor(
            size=_SIZE, repo_path=str(folder), class_info_file="classes.json", num_text=4
        ),
        transformers.CLIPTokenizer.from_pretrained(folder),
    ).save_pretrained(folder)


_STAGES = ["stage1", "stage2", "stage3", "stage4"]
_DECODER = {
    "hidden_dim": 32,
    "encoder_feedforward_dim": 16,
    "dim_feedforward": 16,
    "encoder_layers": 1,
    "decoder_layers": 2,
    "num_attention_heads": 2,
    "num_queries": QUERIES,
}
_NETWORKS = {
    "mask2former": _mask2former,
    "maskformer": _maskformer,
    "oneformer": _oneformer,
    "eomt": _eomt,
    "detr": _detr,
}
