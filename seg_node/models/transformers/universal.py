# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Loading of networks for universal segmentation: Mask2Former, MaskFormer, OneFormer, EoMT, VidEoMT, DETR."""

import inspect
from functools import partial
from pathlib import Path
from typing import Any

from seg_node.models.transformers.inputs import ToInput
from seg_node.models.transformers.labels import choose_labels, class_names
from seg_node.models.transformers.model import TransformersModel
from seg_node.models.transformers.post_process import choose_post_process
from seg_node.models.transformers.pretrained import (
    SAFE,
    read_image_processor,
    read_network,
    reading,
    try_image,
)
from seg_node.types import LabelSet, SegmentOptions
from seg_node.untrusted.plain_data import read_json


def load_universal(transformers: Any, folder: Path, kind: str, labels: LabelSet | None) -> TransformersModel:
    """Load the network of a folder with its processor. kind: model_type of config.json.

    A semantic-only checkpoint needs labels with all its classes as stuff.
    """
    with reading(folder):
        network = read_network(transformers, folder, "UniversalSegmentation")
        image_processor, to_input = _read_processor(transformers, folder, kind)
    if getattr(image_processor, "do_split_image", False):
        raise ValueError(f"{folder}: a semantic-only checkpoint; one for instances or panoptic is needed")
    is_oneformer = kind == "oneformer"
    thing_ids = image_processor.metadata["thing_ids"] if is_oneformer else None
    labels = choose_labels(folder, class_names(network.config), thing_ids, labels)
    if is_oneformer:
        image_processor.metadata["thing_ids"] = list(labels.things)
    inputs = try_image(to_input, folder)
    if kind == "videomt":
        _check_video_size(network.config, inputs["pixel_values_videos"].shape[-2:], folder)
    return TransformersModel(
        network=network,
        to_input=to_input,
        image_processor=image_processor,
        post_process=choose_post_process(kind, image_processor, labels),
        labels=labels,
        default_options=_default_options(network.config, image_processor),
    )


def _read_processor(transformers: Any, folder: Path, kind: str) -> tuple[Any, ToInput]:
    """Read the processor with the library's post-processing, and the way to prepare a picture with it."""
    if kind == "videomt":
        videos = transformers.AutoVideoProcessor.from_pretrained(folder, **SAFE)
        # each picture is a video of its own: without earlier frames the queries start as in training
        return videos, lambda image: videos(videos=[image], return_tensors="pt")
    if kind == "oneformer":
        processor = _read_oneformer_processor(transformers, folder)
        prepare = partial(processor, task_inputs=["panoptic"], return_tensors="pt")
        return processor.image_processor, lambda image: prepare(images=image)
    images = read_image_processor(transformers, folder)
    return images, lambda image: images(images=image, return_tensors="pt")


def _check_video_size(config: Any, size: tuple[int, int], folder: Path) -> None:
    """Raise ValueError for an input that VidEoMT, which has one size of masks, cannot process."""
    if tuple(size) != (config.image_size, config.image_size):
        raise ValueError(
            f"{folder}: video_preprocessor_config.json makes inputs of {size[1]}x{size[0]}, but config.json "
            f"has image_size {config.image_size}"
        )


def _read_oneformer_processor(transformers: Any, folder: Path) -> Any:
    class_info = folder / _class_info_file(folder)
    if not class_info.is_file():  # the library would download it
        raise FileNotFoundError(f"{class_info}: no such file, which should hold the classes")
    return transformers.AutoProcessor.from_pretrained(folder, repo_path=str(folder), **SAFE)


def _class_info_file(folder: Path) -> str:
    for file in (folder / "processor_config.json", folder / "preprocessor_config.json"):
        content = read_json(file) if file.is_file() else {}
        name = content.get("image_processor", content).get("class_info_file")
        if name is not None:
            return str(name)
    raise ValueError("preprocessor_config.json names no class_info_file")


def _default_options(config: Any, image_processor: Any) -> SegmentOptions:
    """Use the library's thresholds, and as many objects as the network has queries."""
    instance = inspect.signature(image_processor.post_process_instance_segmentation).parameters
    panoptic = inspect.signature(image_processor.post_process_panoptic_segmentation).parameters
    decoder = getattr(config, "decoder_config", config)  # MaskFormer's has the queries
    return SegmentOptions(
        score_threshold=instance["threshold"].default,
        mask_threshold=panoptic["mask_threshold"].default,
        max_instances=decoder.num_queries,
        panoptic_score_threshold=panoptic["threshold"].default,
        panoptic_stuff_min_area=0,
    )
