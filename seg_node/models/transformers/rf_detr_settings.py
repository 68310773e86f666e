# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Settings of an RF-DETR-Seg checkpoint: from its tensors, from entries beside them, or the published ones.

Source: rfdetr `config.py: ModelConfig, RFDETRSeg…Config`, `models/weights.py: load_pretrain_weights`.
"""

import logging
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from torch import Tensor

from seg_node.models.files.checkpoint import Checkpoint
from seg_node.models.files.config_values import count, positive, positive_side, section

logger = logging.getLogger(__name__)

Value = TypeVar("Value")

_BACKBONE = "backbone.0.encoder.encoder."
_PROJECTOR = "backbone.0.projector.stages.0.0."
_MAX_MODULES = 200  # in a list; the published models have 13 groups and 12 layers
_HEAD_WIDTH = 64  # channels of an attention head in every DINOv2
_NANO = 312  # input size of RF-DETR-Seg-Nano, the only published one without windows
# settings that change the network in ways that the library's does not have
_EXPECTED = {
    "two_stage": True,
    "bbox_reparam": True,
    "lite_refpoint_refine": True,
    "layer_norm": True,
    "projector_scale": ["P4"],
    "num_channels": 3,
}


@dataclass(frozen=True)
class RfDetrSettings:
    """All that defines the network and its input.

    resolution: side of the square input in pixels. out_features: numbers, from 1, of the encoder's layers
    that the decoder reads. class_rows: outputs of the class head. class_names: the checkpoint's own, if any.
    The others are named as in the package.
    """

    resolution: int
    num_windows: int
    out_features: tuple[int, ...]
    sa_nheads: int
    dec_n_points: int
    mask_downsample_ratio: int
    num_select: int
    class_names: tuple[str, ...]
    class_rows: int
    num_queries: int
    group_detr: int
    dec_layers: int
    hidden_dim: int
    feedforward: int
    head_feedforward: int
    ca_nheads: int
    bottlenecks: int
    bottleneck_width: int
    patch_size: int
    position_side: int
    encoder_width: int
    encoder_layers: int
    encoder_mlp_ratio: int

    def library_config(self) -> dict[str, Any]:
        """Return the arguments of the library's RfDetrConfig."""
        return {
            "backbone_config": {
                "model_type": "rf_detr_dinov2",
                "hidden_size": self.encoder_width,
                "num_hidden_layers": self.encoder_layers,
                "num_attention_heads": max(1, self.encoder_width // _HEAD_WIDTH),
                "mlp_ratio": self.encoder_mlp_ratio,
                "image_size": self.position_side * self.patch_size,
                "patch_size": self.patch_size,
                "num_windows": self.num_windows,
                "out_features": [f"stage{number}" for number in self.out_features],
            },
            "d_model": self.hidden_dim,
            "num_queries": self.num_queries,
            "group_detr": self.group_detr,
            "decoder_layers": self.dec_layers,
            "decoder_ffn_dim": self.feedforward,
            "decoder_n_points": self.dec_n_points,
            "decoder_self_attention_heads": self.sa_nheads,
            "decoder_cross_attention_heads": self.ca_nheads,
            "hidden_expansion": self.bottleneck_width / self.hidden_dim,
            "c2f_num_blocks": self.bottlenecks,
            "intermediate_size": self.head_feedforward,
            "mask_downsample_ratio": self.mask_downsample_ratio,
            "num_labels": self.class_rows,
            "layer_norm_eps": 1e-6,  # the projector's in rfdetr; the library's default is 1e-5
        }


def read_rf_detr_settings(checkpoint: Checkpoint, config: Mapping[str, Any], source: str) -> RfDetrSettings:
    """Read the settings; those of the configuration replace the checkpoint's.

    Raises ValueError that names the file, and the tensor that is missing or the setting that does not fit.
    """
    path = checkpoint.path
    stored = _stored_settings(checkpoint, config, source)
    for key, expected in _EXPECTED.items():
        if stored.get(key, expected) != expected:
            raise ValueError(
                f"{path}: {key} is {stored[key]!r}; only RF-DETRs with {expected!r} are supported"
            )
    try:
        return _read(checkpoint.tensors, stored, str(path))
    except KeyError as error:
        raise ValueError(f"{path}: {error.args[0]} is missing; is it an RF-DETR of rfdetr?") from error
    except (IndexError, ArithmeticError) as error:
        raise ValueError(f"{path}: its tensors are not those of an RF-DETR of rfdetr ({error})") from error


def _stored_settings(checkpoint: Checkpoint, config: Mapping[str, Any], source: str) -> dict[str, Any]:
    """Merge the training's arguments, the model's settings and the user's configuration; the last wins."""
    path, metadata = str(checkpoint.path), checkpoint.metadata
    merged: dict[str, Any] = {}
    for content in (
        section(metadata, path, "args"),
        section(metadata, path, "model_config"),
        config,
        section(config, source, "model_config"),
    ):
        merged |= {key: value for key, value in content.items() if value is not None}
    return merged


def _read(tensors: Mapping[str, Tensor], stored: Mapping[str, Any], path: str) -> RfDetrSettings:
    def setting(key: str, usual: Value, convert: Callable[[Any], Value]) -> Value:
        try:
            return convert(stored[key]) if key in stored else usual
        except (TypeError, ValueError, ArithmeticError) as error:
            raise ValueError(f"{path}: {key}: {stored[key]!r} does not fit ({error})") from error

    hidden_dim, patch_size = _rows(tensors, "transformer.enc_output.0.weight"), _patch_size(tensors)
    position_side = math.isqrt(tensors[f"{_BACKBONE}embeddings.position_embeddings"].shape[1] - 1)
    encoder_width = _rows(tensors, f"{_BACKBONE}embeddings.patch_embeddings.projection.weight")
    groups = _numbered(tensors, r"transformer\.enc_output\.(\d+)\.weight")
    num_queries = _rows(tensors, "refpoint_embed.weight") // groups
    points = setting("dec_n_points", 2, positive)
    layer = "transformer.decoder.layers.0."
    resolution = setting("resolution", position_side * patch_size, positive_side)
    if "num_windows" not in stored:
        logger.warning(
            "%s: stores no settings of the model: those of the published RF-DETR-Seg of %d pixels are "
            "assumed; for a model trained with others give its training_config.json as configuration",
            path,
            resolution,
        )
    return RfDetrSettings(
        resolution=resolution,
        num_windows=setting("num_windows", 1 if resolution == _NANO else 2, positive),
        out_features=setting("out_feature_indexes", (3, 6, 9, 12), _layer_numbers),
        sa_nheads=setting("sa_nheads", 8, positive),
        dec_n_points=points,
        mask_downsample_ratio=setting("mask_downsample_ratio", 4, positive),
        num_select=setting("num_select", num_queries, positive),
        class_names=setting("class_names", (), _names),
        class_rows=_rows(tensors, "class_embed.weight"),
        num_queries=num_queries,
        group_detr=groups,
        dec_layers=_numbered(tensors, r"transformer\.decoder\.layers\.(\d+)\.norm1\.weight"),
        hidden_dim=hidden_dim,
        feedforward=_rows(tensors, f"{layer}linear1.weight"),
        head_feedforward=_rows(tensors, "segmentation_head.query_features_block.layers.0.weight"),
        ca_nheads=_rows(tensors, f"{layer}cross_attn.attention_weights.weight") // points,
        bottlenecks=_numbered(tensors, re.escape(_PROJECTOR) + r"m\.(\d+)\.cv1\.conv\.weight"),
        bottleneck_width=_rows(tensors, f"{_PROJECTOR}m.0.cv1.conv.weight"),
        patch_size=patch_size,
        position_side=position_side,
        encoder_width=encoder_width,
        encoder_layers=_numbered(tensors, re.escape(_BACKBONE) + r"encoder\.layer\.(\d+)\.norm1\.weight"),
        encoder_mlp_ratio=_rows(tensors, f"{_BACKBONE}encoder.layer.0.mlp.fc1.weight") // encoder_width,
    )


def _rows(tensors: Mapping[str, Tensor], name: str) -> int:
    return tensors[name].shape[0]


def _patch_size(tensors: Mapping[str, Tensor]) -> int:
    return tensors[f"{_BACKBONE}embeddings.patch_embeddings.projection.weight"].shape[-1]


def _numbered(tensors: Mapping[str, Tensor], pattern: str) -> int:
    """Count the modules of a list. Raises KeyError with the first one's name if there are none."""
    found = sum(re.fullmatch(pattern, name) is not None for name in tensors)
    first = pattern.replace("\\", "").replace("(d+)", "0")
    if not found:
        raise KeyError(first)
    if found > _MAX_MODULES:
        raise IndexError(f"{found} modules like {first}, of at most {_MAX_MODULES}")
    return found


def _layer_numbers(value: Any) -> tuple[int, ...]:
    numbers = tuple(count(number, least=1, most=1000) for number in value)
    if not numbers or list(numbers) != sorted(set(numbers)):
        raise ValueError("expected rising numbers of layers")
    return numbers


def _names(value: Any) -> tuple[str, ...]:
    """Return the texts among the values, as the package does; a single text is one name."""
    return tuple(name for name in ([value] if isinstance(value, str) else value) if isinstance(name, str))
