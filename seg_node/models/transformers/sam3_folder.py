# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Loading of SAM 3 from a folder of the transformers library: its detector, for images and text."""

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from seg_node.models.transformers.pretrained import SAFE, load_network, reading
from seg_node.models.transformers.sam3 import Sam3
from seg_node.models.transformers.sam3_text import MAX_TOKENS, TextEncoder
from seg_node.types import Frame, LabelSet, SegmentOptions

# model_type of config.json → the library's class of the network, and of its configuration. The published
# folder of SAM 3 is one for videos, whose detector is the network for images.
SAM3_KINDS: Mapping[str, tuple[str, str]] = {
    "sam3": ("Sam3Model", "Sam3Config"),
    "sam3_video": ("Sam3Model", "Sam3Config"),
    "sam3_lite_text": ("Sam3LiteTextModel", "Sam3LiteTextConfig"),
}
DUPLICATE_IOU = 0.7  # ours: the library never compares the objects of two prompts
_MOST_LEVELS = 8  # of the feature pyramid; SAM 3 has 4


def load_sam3(transformers: Any, folder: Path, kind: str, labels: LabelSet | None) -> Sam3:
    """Load the network, the image processor and the tokenizer of a folder that `check_folder` has validated.

    transformers: the library. kind: one of SAM3_KINDS. Raises ValueError if the folder does not fit, or
    labels are given.
    """
    if labels is not None:
        raise ValueError(
            f"{folder}: its classes are the prompts, so it takes no file of labels: leave it out"
        )
    network_class, config_class = (getattr(transformers, name) for name in SAM3_KINDS[kind])
    with reading(folder):
        network = _load_network(network_class, config_class, folder)
        processor = transformers.Sam3Processor.from_pretrained(folder, **SAFE)
        _check_text(network.config, processor)
    model = Sam3(
        network=network,
        image_processor=processor.image_processor,
        encode_text=TextEncoder(network, processor),
        default_options=_default_options(network.config, processor.image_processor),
    )
    _check_image_size(model, network.config.image_size, folder)
    return model


def _load_network(network_class: Any, config_class: Any, folder: Path) -> Any:
    config = config_class.from_pretrained(folder, **SAFE)
    config = getattr(config, "detector_config", None) or config
    if isinstance(config, Mapping):  # of a model for videos
        config = config_class(**config)
    levels = config.vision_config.scale_factors
    if len(levels) > _MOST_LEVELS:
        raise ValueError(f"config.json: scale_factors has {len(levels)} levels, of at most {_MOST_LEVELS}")
    return load_network(network_class, config, folder)


def _check_text(config: Any, processor: Any) -> None:
    """Raise ValueError when the tokenizer's numbers do not fit the text encoder."""
    text, words = config.text_config, len(processor.tokenizer)
    if text.max_position_embeddings < MAX_TOKENS:
        raise ValueError(
            f"config.json: the text encoder has places for {text.max_position_embeddings} tokens; "
            f"{MAX_TOKENS} are needed"
        )
    if words > text.vocab_size:
        raise ValueError(
            f"the tokenizer has {words} words, the text encoder {text.vocab_size}: it is another model's"
        )


def _check_image_size(model: Sam3, size: Any, folder: Path) -> None:
    """Raise ValueError when the image processor does not make the network's input."""
    wanted = (1, 3, *(size if isinstance(size, list | tuple) else (size, size)))
    grey = Frame(np.full((48, 64, 3), 128, np.uint8), "rgb")
    try:
        (pixels,) = model.prepare([grey], torch.device("cpu"))
    except Exception as error:  # the library raises anything for values that it has not validated
        raise ValueError(f"{folder}: processor_config.json cannot prepare an image ({error!r})") from error
    if tuple(pixels.shape) != wanted:
        raise ValueError(
            f"{folder}: processor_config.json makes images of {tuple(pixels.shape)}, but config.json is for "
            f"{wanted}"
        )


def _default_options(config: Any, image_processor: Any) -> SegmentOptions:
    """Use the library's thresholds, and as many objects as the network has queries for a prompt."""
    own = inspect.signature(image_processor.post_process_instance_segmentation).parameters
    return SegmentOptions(
        score_threshold=own["threshold"].default,
        mask_threshold=own["mask_threshold"].default,
        duplicate_iou=DUPLICATE_IOU,
        max_instances=config.detr_decoder_config.num_queries,
        prompts=(),
    )
