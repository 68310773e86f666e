# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Checkpoint folders of the transformers library with tiny networks, random but lively."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from numpy.typing import NDArray
from torch import nn

from seg_node.labels import COCO_STUFF_NAMES, COCO_THING_NAMES
from seg_node.types import LabelSet

COCO_PANOPTIC = (*COCO_THING_NAMES, *COCO_STUFF_NAMES)  # in the order of published checkpoints
QUERIES = 12
NAMES = ("car", "person", "dog", "stuff road", "stuff sky", "cup")
LABELS = LabelSet({0: "car", 1: "person", 2: "dog", 5: "cup"}, {3: "stuff road", 4: "stuff sky"})
RGB = np.random.default_rng(0).integers(0, 256, (48, 80, 3), dtype=np.uint8)
KINDS = tuple(
    kind
    for kind in ("mask2former", "maskformer", "oneformer", "eomt", "detr", "eomt_dinov3", "videomt")
    if kind in transformers.CONFIG_MAPPING  # the older the library, the fewer it has
)
_SIZE = {"shortest_edge": 64, "longest_edge": 128}


def write_thin_checkpoint(folder: Path) -> tuple[Path, None]:
    """A Mask2Former with the classes of COCO panoptic; the folder is the weights, there is no config."""
    return write_transformers_folder(folder, "mask2former", COCO_PANOPTIC), None


def write_transformers_folder(folder: Path, kind: str, names: tuple[str, ...]) -> Path:
    """kind: of KINDS. names: of the classes from 0; for OneFormer those that begin with "stuff" are stuff."""
    labels: dict[str, Any] = {"num_labels": len(names), "id2label": dict(enumerate(names))}
    torch.manual_seed(0)
    network = _NETWORKS[kind](labels).eval()
    folder.mkdir(exist_ok=True)
    processor = _oneformer_processor(folder, names) if kind == "oneformer" else _PROCESSORS[kind]()
    processor.save_pretrained(folder)
    stuff = {i for i, name in enumerate(names) if name.startswith("stuff") or name in COCO_STUFF_NAMES}
    for seed in range(200):
        make_lively(network, seed)
        if is_lively(network, processor, stuff):
            network.save_pretrained(folder)
            return folder
    raise AssertionError(f"no seed makes {kind} lively")


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


def is_lively(network: nn.Module, processor: Any, stuff: set[int]) -> bool:
    """Whether noise has several objects and segments of things and of stuff; DETR has one class at best."""
    image = np.random.default_rng(0).integers(0, 256, (48, 80, 3), dtype=np.uint8)
    with torch.inference_mode():
        output = network(**library_inputs(processor, image))
    post = getattr(processor, "image_processor", processor)
    (objects,) = post.post_process_instance_segmentation(output, target_sizes=[(48, 80)])
    (segments,) = post.post_process_panoptic_segmentation(output, target_sizes=[(48, 80)])
    things = [entry for entry in objects["segments_info"] if entry["label_id"] not in stuff]
    kinds = {entry["label_id"] in stuff for entry in segments["segments_info"]}
    wanted = {False} if isinstance(network, transformers.DetrForSegmentation) else {True, False}
    return len(things) > 1 and kinds >= wanted


def read_processor(folder: Path, kind: str) -> Any:
    """Read the folder's processor with the library."""
    loaders = {"oneformer": "OneFormerProcessor", "videomt": "AutoVideoProcessor"}
    return getattr(transformers, loaders.get(kind, "AutoImageProcessor")).from_pretrained(folder)


def library_inputs(processor: Any, image: NDArray[np.uint8]) -> Any:
    """Prepare an image, for VidEoMT as a video of one frame."""
    if hasattr(processor, "tokenizer"):
        return processor(images=[image], task_inputs=["panoptic"], return_tensors="pt")
    if "Video" in type(processor).__name__:
        return processor(videos=[image[None]], return_tensors="pt")
    return processor(images=[image], return_tensors="pt")


def _backbone() -> transformers.SwinConfig:
    return transformers.SwinConfig(
        image_size=64,
        embed_dim=8,
        depths=[1] * 4,
        num_heads=[1, 1, 2, 2],
        window_size=4,
        out_features=_STAGES,
    )


def _resnet() -> transformers.ResNetConfig:
    return transformers.ResNetConfig(
        embedding_size=8,
        hidden_sizes=[8, 16, 32, 64],
        depths=[1] * 4,
        layer_type="basic",
        out_features=_STAGES,
    )


def _detr_config(**more: Any) -> transformers.DetrConfig:
    return transformers.DetrConfig(
        use_timm_backbone=False,
        use_pretrained_backbone=False,
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
    return transformers.EomtForUniversalSegmentation(transformers.EomtConfig(**_VIT, **labels))


def _eomt_dinov3(labels: dict[str, Any]) -> nn.Module:
    config = transformers.EomtDinov3Config(intermediate_size=32, **_VIT, **labels)
    return transformers.EomtDinov3ForUniversalSegmentation(config)


def _videomt(labels: dict[str, Any]) -> nn.Module:
    return transformers.VideomtForUniversalSegmentation(transformers.VideomtConfig(**_VIT, **labels))


def _detr(labels: dict[str, Any]) -> nn.Module:
    return transformers.DetrForSegmentation(_detr_config(**labels))


def _oneformer_processor(folder: Path, names: tuple[str, ...]) -> Any:
    classes = {str(i): {"name": name, "isthing": int(name[:5] != "stuff")} for i, name in enumerate(names)}
    (folder / "classes.json").write_text(json.dumps(classes))
    letters = "abcdefghijklmnopqrstuvwxyz"
    words = ["<|startoftext|>", "<|endoftext|>", *letters, *(letter + "</w>" for letter in letters)]
    (folder / "vocab.json").write_text(json.dumps({word: i for i, word in enumerate(words)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    return transformers.OneFormerProcessor(
        transformers.OneFormerImageProcessor(
            size=_SIZE, repo_path=str(folder), class_info_file="classes.json", num_text=4
        ),
        transformers.CLIPTokenizer.from_pretrained(folder),
    )


def _eomt_processor() -> Any:
    return transformers.EomtImageProcessor(size={"shortest_edge": 64, "longest_edge": 64}, do_pad=True)


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
_VIT = {
    "hidden_size": 16,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "image_size": 64,
    "patch_size": 8,
    "num_blocks": 1,
    "num_queries": QUERIES,
    "num_upscale_blocks": 1,
}
_NETWORKS = {
    "mask2former": _mask2former,
    "maskformer": _maskformer,
    "oneformer": _oneformer,
    "eomt": _eomt,
    "eomt_dinov3": _eomt_dinov3,
    "videomt": _videomt,
    "detr": _detr,
}
_PROCESSORS = {
    "mask2former": lambda: transformers.Mask2FormerImageProcessor(size=_SIZE),
    "maskformer": lambda: transformers.MaskFormerImageProcessor(size=_SIZE),
    "eomt": _eomt_processor,
    "eomt_dinov3": _eomt_processor,
    "videomt": lambda: transformers.VideomtVideoProcessor(size={"height": 64, "width": 64}),
    "detr": lambda: transformers.DetrImageProcessor(size=_SIZE),
}
