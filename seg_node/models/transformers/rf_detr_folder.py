# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Loading of RF-DETR-Seg from a folder of the transformers library."""

from pathlib import Path
from typing import Any

from seg_node.models.files.config_values import positive
from seg_node.models.transformers.labels import choose_labels, class_names
from seg_node.models.transformers.pretrained import read_image_processor, read_network, reading, try_image
from seg_node.models.transformers.rf_detr import RfDetrModel, rf_detr_options
from seg_node.types import LabelSet


def load_rf_detr_folder(transformers: Any, folder: Path, _: str, labels: LabelSet | None) -> RfDetrModel:
    """Load the network of a folder with its image processor; class ids and names are its id2label's.

    Raises ValueError if the folder's network has no masks or its input does not fit.
    """
    with reading(folder):
        network = read_network(transformers, folder, "InstanceSegmentation")
        images = read_image_processor(transformers, folder)
    check_labels_are_things(labels, folder)
    names = class_names(network.config)
    inputs = try_image(lambda image: images(images=image, return_tensors="pt"), folder)
    check_input(network.config, inputs["pixel_values"].shape[-2:], folder)
    top_k = network.config.num_queries
    return RfDetrModel(
        network=network,
        to_input=lambda image: images(images=image, return_tensors="pt"),
        top_k=top_k,
        labels=choose_labels(folder, names, names.keys(), labels),
        default_options=rf_detr_options(top_k),
    )


def check_labels_are_things(labels: LabelSet | None, source: Path) -> None:
    """Raise ValueError if the user's labels have stuff, which RF-DETR cannot find."""
    if labels is not None and labels.stuff:
        raise ValueError(
            f"{source}: RF-DETR finds things only, but the labels name the stuff "
            f"{next(iter(labels.stuff.values()))!r}; list it under things or leave it out"
        )


def check_input(config: Any, size: tuple[int, int], source: Path) -> None:
    """Raise ValueError if the backbone cannot divide an input of this height and width into its windows."""
    backbone = config.backbone_config
    try:
        cell = positive(backbone.patch_size) * positive(backbone.num_windows)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{source}: patch_size and num_windows of the backbone: {error}") from error
    if size[0] % cell or size[1] % cell:
        raise ValueError(
            f"{source}: the input is {size[1]}x{size[0]}, but its sides must be multiples of {cell} "
            "(patch_size times num_windows); check the size in the preprocessor's configuration"
        )
