# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""RF-DETR-Seg checkpoints of the `rfdetr` package (.pth), loaded into the transformers library's network.

The library renames the tensors (`conversion_mapping.py`); `rf_detr_settings.py` finds sizes and settings.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from seg_node.labels import COCO_THING_NAMES, COCO_THINGS, zero_based_labels
from seg_node.models.files.checkpoint import Checkpoint
from seg_node.models.transformers.folder import is_transformers_folder
from seg_node.models.transformers.labels import choose_labels
from seg_node.models.transformers.pretrained import SAFE, import_library, missing_tensors, reading
from seg_node.models.transformers.rf_detr import RfDetrModel, rf_detr_options
from seg_node.models.transformers.rf_detr_folder import check_input, check_labels_are_things
from seg_node.models.transformers.rf_detr_settings import RfDetrSettings, read_rf_detr_settings
from seg_node.types import LabelSet
from seg_node.untrusted.printable import listed

_QUERIES, _HEAD = "refpoint_embed.weight", "segmentation_head.bias"
_UNUSED = ("_kp_active_mask",)  # says which keypoints a model has: none of those with masks
_ROOM = 1 << 20  # numbers beyond those of the file: computed buffers


def is_rf_detr(checkpoint: Checkpoint) -> bool:
    """Whether these are an RF-DETR's tensors, with or without masks."""
    return {_QUERIES, "query_feat.weight", "transformer.enc_output.0.weight"} <= checkpoint.tensors.keys()


def load_rf_detr(
    checkpoint: Checkpoint, config: Mapping[str, Any], source: str, labels: LabelSet | None = None
) -> RfDetrModel:
    """Load a checkpoint's model to the CPU.

    config: the package's training_config.json, or the settings alone; they replace the checkpoint's.
    source: names the configuration in errors. labels: class names that replace the checkpoint's.
    Raises ValueError that names the file, the tensor or key, and what is expected; RuntimeError without a
    library that knows RF-DETR.
    """
    path = checkpoint.path
    if path.suffix == ".safetensors" and is_transformers_folder(path.parent):
        raise ValueError(f"{path}: belongs to a folder of transformers; give the folder: {path.parent}")
    if not is_rf_detr(checkpoint):
        raise ValueError(f"{path}: not an RF-DETR of rfdetr, nor a folder of transformers")
    _check_is_segmentation(checkpoint)
    check_labels_are_things(labels, path)
    settings = read_rf_detr_settings(checkpoint, config, source)
    class_names = _choose_class_names(settings, path)
    transformers = import_library(path, "rf_detr")
    tensors = {name: tensor for name, tensor in checkpoint.tensors.items() if name not in _UNUSED}
    with reading(path):
        network = _load_network(transformers, settings, tensors)
        side = settings.resolution
        # the size is the package's: stretched without antialiasing
        images = transformers.RfDetrImageProcessor(size={"height": side, "width": side})
    check_input(network.config, (side, side), path)
    return RfDetrModel(
        network=network,
        to_input=lambda image: images(images=image, return_tensors="pt"),
        top_k=settings.num_select,
        labels=choose_labels(path, class_names, class_names.keys(), labels),
        default_options=rf_detr_options(settings.num_select),
    )


def _check_is_segmentation(checkpoint: Checkpoint) -> None:
    path, tensors = checkpoint.path, checkpoint.tensors
    if any(".base_model.model." in name for name in tensors):
        raise ValueError(
            f"{path}: an RF-DETR with LoRA adapters (backbone_lora); load it with rfdetr, which merges them, "
            "and save its state_dict"
        )
    if _HEAD not in tensors:
        raise ValueError(
            f"{path}: an RF-DETR without a segmentation head (no {_HEAD}): it finds boxes or keypoints, no "
            "masks; use an RF-DETR-Seg checkpoint"
        )
    odd = [name for name in tensors if name not in _UNUSED and not tensors[name].is_floating_point()]
    if odd:
        raise ValueError(
            f"{path}: {odd[0]}: holds {tensors[odd[0]].dtype}, expected floats; is it quantised?"
        )


def _load_network(transformers: Any, settings: RfDetrSettings, tensors: Mapping[str, Tensor]) -> Any:
    """Build the library's network and load the tensors, which it renames.

    Raises ValueError if they are not exactly the network's.
    """
    config = transformers.RfDetrConfig(**settings.library_config())
    with torch.device("meta"):
        outlined = transformers.RfDetrForInstanceSegmentation(config)
    own = sum(tensor.numel() for tensor in (*outlined.parameters(), *outlined.buffers()))
    stored = sum(tensor.numel() for tensor in tensors.values())
    if own > stored + _ROOM:
        raise ValueError(f"its tensors describe a network of {own} numbers and hold {stored}")
    network, report = transformers.RfDetrForInstanceSegmentation.from_pretrained(
        None,
        config=config,
        state_dict=dict(tensors),
        ignore_mismatched_sizes=True,  # reported below
        output_loading_info=True,
        **SAFE,
    )
    odd = missing_tensors(network, report)
    if odd:
        raise ValueError(f"{len(odd)} tensors are missing or of another shape: {listed(odd)}")
    if report["unexpected_keys"]:
        unknown = listed(sorted(report["unexpected_keys"]))
        raise ValueError(f"its tensors {unknown} are not part of an RF-DETR-Seg")
    return network.float().eval()


def _choose_class_names(settings: RfDetrSettings, path: Path) -> Mapping[int, str]:
    """Name the classes as the package does: those of COCO keep COCO's ids, others are numbered from 0.

    The head of a model of COCO has a row for every id from 0 to 90; in others the last row is no class.
    """
    rows, names = settings.class_rows, settings.class_names
    coco_rows = max(COCO_THINGS.things) + 1
    if (rows >= coco_rows and names == COCO_THING_NAMES) or (rows == coco_rows and not names):
        return COCO_THINGS.things
    if len(names) > rows:
        raise ValueError(f"{path}: {len(names)} class names for {rows} rows of class_embed")
    if names:
        return dict(enumerate(names))
    return zero_based_labels(max(rows - 1, 1)).things
