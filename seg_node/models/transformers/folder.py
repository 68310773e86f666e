# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Loading of models from folders of the Hugging Face `transformers` library (extra `transformers`).

Everything is read from the folder: nothing is downloaded, and no code in it is run.
"""

import inspect
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from seg_node.labels import COCO_STUFF_NAMES, COCO_THING_NAMES
from seg_node.models.files.load_error import loading
from seg_node.models.transformers.checks import check_folder, check_size, offline
from seg_node.models.transformers.model import TransformersModel
from seg_node.models.transformers.post_process import choose_post_process
from seg_node.models.transformers.sam3 import Sam3
from seg_node.models.transformers.sam3_folder import SAM3_KINDS, load_sam3
from seg_node.types import Frame, LabelSet, SegmentOptions
from seg_node.untrusted.plain_data import read_json

logger = logging.getLogger(__name__)

_SAFE = {"local_files_only": True, "trust_remote_code": False}


def is_transformers_folder(path: Path) -> bool:
    """Whether the path is a folder with a config.json."""
    return (path / "config.json").is_file()


def load_transformers(folder: Path, labels: LabelSet | None = None) -> TransformersModel | Sam3:
    """Load the model of a folder with config.json, preprocessor_config.json and safetensors to the CPU.

    Supported are Mask2Former, MaskFormer, OneFormer, EoMT, and DETR with its mask head; a semantic-only
    checkpoint of these needs labels with all its classes as stuff. SAM 3 finds what prompts name.
    labels: the user's, which separate stuff from things, by the checkpoint's names or by class ids; missing
    classes are things. None: OneFormer's own, COCO's if the checkpoint has its panoptic names, else all
    classes are things (with a warning).

    Raises LoadError if the library or the folder is missing, or the folder does not fit.
    """
    with loading(folder):
        return _load(folder, labels)


def _load(folder: Path, labels: LabelSet | None) -> TransformersModel | Sam3:
    kind = check_folder(folder)
    is_oneformer = kind == "oneformer"
    try:
        import transformers
    except ImportError as error:
        raise RuntimeError(f"{folder}: {error}; run pip install 'transformers>=4.48'") from error
    transformers.utils.logging.disable_progress_bar()
    if kind in SAM3_KINDS:
        return load_sam3(transformers, folder, kind, labels)
    try:
        with offline():
            network = _load_network(transformers, folder)
            processor = _load_processor(transformers, folder, is_oneformer)
    except ImportError as error:  # a package that only some models need
        raise RuntimeError(f"{folder}: {error}") from error
    except Exception as error:  # malicious files can make the library raise anything
        reason = str(error) or type(error).__name__
        raise ValueError(f"{folder}: the transformers library cannot load it: {reason}") from error
    image_processor = getattr(processor, "image_processor", processor)
    if getattr(image_processor, "do_split_image", False):
        raise ValueError(f"{folder}: a semantic-only checkpoint; one for instances or panoptic is needed")
    class_names = {int(class_id): str(name) for class_id, name in network.config.id2label.items()}
    thing_ids = image_processor.metadata["thing_ids"] if is_oneformer else None
    labels = _choose_labels(folder, class_names, thing_ids, labels)
    if is_oneformer:
        image_processor.metadata["thing_ids"] = list(labels.things)
    model = TransformersModel(
        network=network,
        processor=processor,
        image_processor=image_processor,
        post_process=choose_post_process(kind, image_processor, labels),
        prompt={"task_inputs": ["panoptic"]} if is_oneformer else {},
        labels=labels,
        default_options=_default_options(network.config, image_processor),
    )
    _try_image(model, folder)
    return model


def _try_image(model: TransformersModel, folder: Path) -> None:
    """Raise ValueError if preprocessor_config.json cannot prepare an image."""
    grey = Frame(np.full((48, 64, 3), 128, np.uint8), "rgb")
    try:
        model.prepare([grey], torch.device("cpu"))
    except Exception as error:  # the library raises anything for values that it has not validated
        raise ValueError(f"{folder}: preprocessor_config.json cannot prepare an image ({error!r})") from error


def _load_network(transformers: Any, folder: Path) -> Any:
    config = transformers.AutoConfig.from_pretrained(folder, **_SAFE)
    for section in (config, getattr(config, "backbone_config", None)):
        if section is not None:
            section.use_pretrained_backbone = False  # it would be downloaded, then overwritten
            config._attn_implementation = None  # the checkpoint's may name code on the hub
    with torch.device("meta"):
        check_size(transformers.AutoModelForUniversalSegmentation.from_config(config), folder)
    network, report = transformers.AutoModelForUniversalSegmentation.from_pretrained(
        folder,
        config=config,
        use_safetensors=True,
        ignore_mismatched_sizes=True,  # reported below
        output_loading_info=True,
        **_SAFE,
    )
    odd = {*report["missing_keys"], *report["mismatched_keys"]}
    odd = {key if isinstance(key, str) else key[0] for key in odd}  # version 5 adds shapes
    odd &= dict(network.named_parameters()).keys()  # the losses' buffers do not matter
    if odd:
        raise ValueError(f"{len(odd)} of its tensors are missing or of another shape, such as {min(odd)}")
    return network.float().eval()


def _load_processor(transformers: Any, folder: Path, is_oneformer: bool) -> Any:
    if not is_oneformer:
        return transformers.AutoImageProcessor.from_pretrained(folder, **_SAFE)
    class_info = folder / _class_info_file(folder)
    if not class_info.is_file():  # the library would download it
        raise FileNotFoundError(f"{class_info}: no such file, which should hold the classes")
    return transformers.AutoProcessor.from_pretrained(folder, repo_path=str(folder), **_SAFE)


def _class_info_file(folder: Path) -> str:
    for file in (folder / "processor_config.json", folder / "preprocessor_config.json"):
        content = read_json(file) if file.is_file() else {}
        name = content.get("image_processor", content).get("class_info_file")
        if name is not None:
            return str(name)
    raise ValueError("preprocessor_config.json names no class_info_file")


def _choose_labels(
    folder: Path, names: Mapping[int, str], thing_ids: list[int] | None, given: LabelSet | None
) -> LabelSet:
    named = {class_id: name for class_id, name in names.items() if name != "N/A"}  # COCO's unused ids
    if given is not None:
        given = _by_name(given, named)
        unknown = sorted((given.things.keys() | given.stuff.keys()) - names.keys())
        if unknown:
            raise ValueError(f"{folder}: has classes up to {max(names)}, but the labels name {unknown[0]}")
        return LabelSet(
            {**{i: name for i, name in named.items() if i not in given.stuff}, **given.things}, given.stuff
        )
    if thing_ids is not None:
        stuff = named.keys() - set(thing_ids)
    elif set(COCO_STUFF_NAMES) <= set(named.values()):
        stuff = {i for i, name in named.items() if name in COCO_STUFF_NAMES}
    else:
        stuff = set()
        if not set(named.values()) <= set(COCO_THING_NAMES):
            logger.warning(
                "%s does not say which of its classes are stuff: all are treated as things; list things and "
                "stuff in a file of labels, by the checkpoint's own names",
                folder,
            )
    return LabelSet(
        things={i: name for i, name in named.items() if i not in stuff},
        stuff={i: name for i, name in named.items() if i in stuff},
    )


def _by_name(given: LabelSet, named: Mapping[int, str]) -> LabelSet:
    """Map the user's labels to the checkpoint's ids if it knows all of their names."""
    id_of = {name: class_id for class_id, name in named.items()}
    if not {*given.things.values(), *given.stuff.values()} <= id_of.keys():
        return given
    return LabelSet(
        {id_of[name]: name for name in given.things.values()},
        {id_of[name]: name for name in given.stuff.values()},
    )


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
