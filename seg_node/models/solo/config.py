# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""A SOLO configuration of WXinlong/SOLO or mmdetection 2 and 3 (Python or YAML) → `SoloConfig`.

Keys that change the results are read or, if only some of their values are supported, checked; keys that the
tensors determine and keys of training are ignored.
"""

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from seg_node.models.files.config_file import did_you_mean
from seg_node.models.files.config_values import (
    count,
    number,
    positive,
    positive_side,
    section,
    three_divisors,
    three_numbers,
)
from seg_node.models.solo.config_keys import (
    HARMLESS_STEPS,
    IGNORED_KEYS,
    READ,
    SUPPORTED,
    TOP_LEVEL_IGNORED,
    TOP_LEVEL_READ,
)
from seg_node.models.solo.settings import LEVELS, SoloConfig, SoloSettings
from seg_node.preprocess.prepare import InputSpec
from seg_node.untrusted.printable import listed

logger = logging.getLogger(__name__)

Section = Mapping[str, Any]


def read_openmmlab_config(content: Section, source: str, base: SoloConfig, num_classes: int) -> SoloConfig:
    """Apply `content`, which may be partial, to the base.

    source: names it in messages.
    num_classes: of the checkpoint.
    Raises ValueError for a key that is not known, or whose value is not supported or does not fit.
    """
    known = {*TOP_LEVEL_READ.split(), *TOP_LEVEL_IGNORED.split()}
    unknown = [key for key in content if key not in known and not key.startswith("_")]
    if content and not content.keys() & known:
        raise ValueError(f"{source}: has no key of mmdetection's, such as model: is it another software's?")
    if unknown:
        logger.warning("%s: not understood and ignored: %s", source, listed(unknown))
    model = _section(content, "model", "model", source)
    backbone = _section(model, "backbone", "backbone", source)
    _section(backbone, "dcn", "deformable convolutions", source)
    _section(model, "neck", "neck", source)
    loop = section(content, source, "test_cfg")  # in mmdetection 3 it configures the test loop
    in_model = "test_cfg" in model or "type" in loop
    test_cfg = _section(model if in_model else content, "test_cfg", "test_cfg", source)
    settings = _read_settings(model, test_cfg, base.settings, num_classes, source)
    options = replace(
        base.options,
        mask_threshold=_read(test_cfg, "mask_thr", base.options.mask_threshold, number, source),
        max_instances=_read(test_cfg, "max_per_img", base.options.max_instances, positive, source),
    )
    return SoloConfig(
        settings,
        _read_input(content, model, base.input_spec, source),
        options,
        stride_in_1x1=backbone.get("style", "pytorch") == "caffe",
        class_names=_read_class_names(content, source),
        depth=_read(backbone, "depth", None, count, source),
        groups=_read(backbone, "groups", None, count, source),
        head=_head_kind(model, source),
    )


def _head_kind(model: Section, source: str) -> str | None:
    """Return SOLO, DecoupledSOLO or SOLOv2 by the type of the head; None if it is not set."""
    head = section(model, source, "bbox_head" if "bbox_head" in model else "mask_head")
    kind = str(head.get("type", "")).upper()
    kinds = {"SOLOV2": "SOLOv2", "DECOUPLED": "DecoupledSOLO", "SOLO": "SOLO"}
    return next((name for part, name in kinds.items() if part in kind), None)


def _read_settings(
    model: Section, test_cfg: Section, base: SoloSettings, num_classes: int, source: str
) -> SoloSettings:
    head = _section(model, "mask_head" if "mask_head" in model else "bbox_head", "head", source)
    inner = "mask_feature_head" in head
    features = _section(
        head if inner else model, "mask_feature_head" if inner else "mask_feat_head", "mask features", source
    )
    _section(head, "dcn_cfg", "deformable convolutions", source)
    _section(features, "conv_cfg", "deformable convolutions", source)
    # mmdetection 1 includes the background
    if _read(head, "num_classes", num_classes, count, source) not in (num_classes, num_classes + 1):
        raise ValueError(
            f"{source}: num_classes is {head['num_classes']}, but the checkpoint has {num_classes}"
        )
    update_key = "filter_thr" if "filter_thr" in test_cfg else "update_thr"
    return replace(
        base,
        grids=_read(head, "num_grids", base.grids, _levels, source),
        strides=_read(head, "strides", base.strides, _levels, source),
        score_threshold=_read(test_cfg, "score_thr", base.score_threshold, number, source),
        update_threshold=_read(test_cfg, update_key, base.update_threshold, number, source),
        nms_candidates=_read(test_cfg, "nms_pre", base.nms_candidates, positive, source),
        nms=test_cfg.get("kernel", base.nms),
        sigma=_read(test_cfg, "sigma", base.sigma, number, source),
        mask_stride=_read(features, "mask_stride", base.mask_stride, _stride, source),
    )


def _read_input(content: Section, model: Section, base: InputSpec, source: str) -> InputSpec:
    """Read how images are resized, normalised and padded for testing."""
    spec = _read_normalisation(section(content, source, "img_norm_cfg"), "Normalize", base, source)
    for step in _test_steps(content, source):
        kind = str(step.get("type")).removeprefix("mmdet.")
        if kind in HARMLESS_STEPS.split():
            continue
        if kind not in ("Resize", "Normalize", "Pad", "MultiScaleFlipAug"):
            raise ValueError(f"{source}: the step {kind} of the test pipeline is not supported")
        step = {key: value for key, value in step.items() if key != "type"}
        _check(step, kind, source)
        if kind == "Normalize":
            spec = _read_normalisation(step, kind, spec, source)
        elif kind == "Pad":
            spec = replace(spec, multiple=_read(step, "size_divisor", 32, _multiple_of_32, source))
        for key in {"img_scale", "scale"} & step.keys():
            short, long = _read(step, key, None, _scale, source)
            spec = replace(spec, min_size=short, max_size=long)
    preprocessor = _section(model, "data_preprocessor", "data_preprocessor", source)
    spec = _read_normalisation(preprocessor, "data_preprocessor", spec, source)
    return replace(
        spec, multiple=_read(preprocessor, "pad_size_divisor", spec.multiple, _multiple_of_32, source)
    )


def _read_normalisation(section: Section, name: str, base: InputSpec, source: str) -> InputSpec:
    to_rgb = section.get("bgr_to_rgb" if name == "data_preprocessor" else "to_rgb", base.channels == "rgb")
    return replace(
        base,
        channels="rgb" if to_rgb else "bgr",
        mean=_read(section, "mean", base.mean, three_numbers, source),
        std=_read(section, "std", base.std, three_divisors, source),
    )


def _test_steps(content: Section, source: str) -> Iterator[Section]:
    """Yield the steps of the test pipeline, if any, including those inside an augmentation."""
    pipelines = (
        section(content, source, "test_dataloader", "dataset").get("pipeline"),  # mmdetection 3
        section(content, source, "data", "test").get("pipeline"),
        content.get("test_pipeline"),
    )
    steps: Any = next((steps for steps in pipelines if steps), [])
    if not isinstance(steps, list):
        raise ValueError(f"{source}: its test pipeline is a {type(steps).__name__}, not a list of steps")
    for step in steps:
        if not isinstance(step, Mapping):
            raise ValueError(f"{source}: {step!r} is not a step of a test pipeline")
        if step.get("type") == "Resize" and "scale" in step:
            step = {"keep_ratio": False, **step}  # mmdetection 3's default
        yield step
        yield from _inner_steps(step, source)


def _inner_steps(step: Section, source: str) -> list[Section]:
    inner = step.get("transforms") or []
    if not isinstance(inner, list) or not all(isinstance(item, Mapping) for item in inner):
        raise ValueError(f"{source}: transforms of {step.get('type')!r} is not a list of steps")
    return inner


def _read_class_names(content: Section, source: str) -> tuple[str, ...]:
    datasets = (
        section(content, source, "test_dataloader", "dataset", "metainfo"),
        section(content, source, "data", "test"),
        section(content, source, "metainfo"),
        content,
    )
    return read_names(next((names for dataset in datasets if (names := dataset.get("classes"))), ()), source)


def read_names(names: Any, source: str) -> tuple[str, ...]:
    """Read a list of class names; a file of names, which mmdetection allows, is ignored.

    Raises ValueError for names that are not text.
    """
    if not isinstance(names, list | tuple):
        return ()
    if not all(isinstance(name, str | int) for name in names):
        raise ValueError(f"{source}: its class names are not a list of texts")
    return tuple(str(name) for name in names)


def _section(parent: Section, key: str, name: str, source: str) -> Section:
    """Return the dictionary under the key, validated; empty if absent."""
    found = section(parent, source, key)
    _check(found, name, source)
    return found


def _check(section: Section, name: str, source: str) -> None:
    supported = SUPPORTED[name]
    known = {*supported, *READ.get(name, "").split(), *IGNORED_KEYS.get(name, "").split()}
    for key, value in section.items():
        value = list(value) if isinstance(value, tuple) else value
        if isinstance(value, str):
            value = value.removeprefix("mmdet.")
        if key in supported and value not in supported[key]:
            values = ", ".join(repr(value) for value in supported[key])
            raise ValueError(f"{source}: {name}.{key}: {value!r} is not supported; supported: {values}")
        if key not in known and not key.startswith("_"):
            raise ValueError(f"{source}: {name}.{key} is not known{did_you_mean(key, known)}")


def _read(section: Section, key: str, default: Any, convert: Callable[[Any], Any], source: str) -> Any:
    if key not in section:
        return default
    try:
        return convert(section[key])
    except (TypeError, ValueError, LookupError, ArithmeticError) as error:
        raise ValueError(f"{source}: {key}: {section[key]!r} does not fit ({error})") from error


def _multiple_of_32(value: Any) -> int:
    if positive_side(value) % 32 != 0:
        raise ValueError("expected a multiple of 32")
    return positive_side(value)


def _stride(value: Any) -> int:
    return count(value, least=1, most=1024)


def _levels(value: Any) -> tuple[int, ...]:
    if len(value) != LEVELS:
        raise ValueError(f"expected {LEVELS} numbers")
    return tuple(_stride(item) for item in value)


def _scale(value: Any) -> tuple[int, int]:
    """Read the limits of the shorter and the longer side."""
    if isinstance(value[0], list | tuple):
        if len(value) != 1:
            raise ValueError("expected one size")
        value = value[0]
    first, second = (positive_side(item) for item in value)
    return min(first, second), max(first, second)
