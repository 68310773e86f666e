# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""A YOLACT configuration (`data/config.py` of dbolya/yolact, or YAML) → `YolactConfig`."""

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from seg_node.models.files.config_file import did_you_mean
from seg_node.models.files.config_values import count, number, positive, positive_side, sizes
from seg_node.models.yolact.detect import YolactSettings
from seg_node.preprocess.prepare import InputSpec
from seg_node.types import SegmentOptions

T = TypeVar("T")

PUBLISHED_SIZE = 550
_COCO_SCALES, _PASCAL_SCALES = (24, 48, 96, 192, 384), (32, 64, 128, 256, 512)
_RATIOS = (1, 1 / 2, 2)
# red, green, blue on a scale of 0 … 255
_MEAN, _STD = (123.68, 116.78, 103.94), (58.40, 57.12, 57.38)

_PASCAL_CLASSES = 21
_PASCAL_NAMES = (
    "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable",
    "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)  # fmt: skip

# keys that change the results, with their supported values, by section
_SUPPORTED: Mapping[str, Mapping[str, tuple[Any, ...]]] = {
    "": {
        "mask_type": (1,),
        "eval_mask_branch": (True,),
        "mask_proto_src": (0,),
        "mask_proto_bias": (False,),
        "mask_proto_prototype_activation": ("relu", "<lambda>"),  # as Python prints it
        "mask_proto_mask_activation": ("sigmoid",),
        "mask_proto_coeff_activation": ("tanh",),
        "mask_proto_use_grid": (False,),
        "mask_proto_coeff_gate": (False,),
        "mask_proto_prototypes_as_features": (False,),
        "mask_proto_split_prototypes_by_head": (False,),
        "share_prediction_module": (True,),
        "use_focal_loss": (False,),
        "use_mask_scoring": (False,),
        "use_coeff_nms": (False,),
        "use_instance_coeff": (False,),
        "use_prediction_module": (False,),
        "use_yolo_regressors": (False,),
        "extra_layers": ([0, 0, 0],),
        "preserve_aspect_ratio": (False,),
    },
    "fpn": {
        "interpolation_mode": ("bilinear",),
        "use_conv_downsample": (True,),
        "pad": (True,),
        "relu_downsample_layers": (False,),
        "relu_pred_layers": (True,),
    },
    "backbone": {
        "use_pixel_scales": (True,),
        "preapply_sqrt": (False,),
        "selected_layers": ([1, 2, 3], [2, 3, 4]),  # ResNet's, DarkNet's last three
    },
    "transform": {"channel_order": ("RGB",)},
    "_eval_args": {"fast_nms": (True,), "crop_masks": (True,), "top_k_display": (None,)},
}
_READ: Mapping[str, Collection[str]] = {
    "": (
        *("dataset", "num_classes", "max_size", "max_num_detections"),
        *("nms_top_k", "nms_conf_thresh", "nms_thresh"),
        *("backbone", "fpn", "mask_proto_net", "extra_head_net", "head_layer_params"),
        *("maskiou_net", "rescore_mask", "_eval_args"),
    ),
    "fpn": ("num_downsample",),
    "backbone": ("transform", "pred_scales", "pred_aspect_ratios", "use_square_anchors"),
    "transform": ("normalize", "subtract_means", "to_float"),
    "_eval_args": ("cross_class_nms", "score_threshold"),
}
# derived from the tensors, or used in training only
_IGNORED_WORDS = """
name max_iter lr momentum decay gamma lr_steps lr_warmup_init lr_warmup_until conf_alpha bbox_alpha
mask_alpha mask_size masks_to_train mask_dim mask_proto_crop mask_proto_crop_expand mask_proto_loss
mask_proto_binarize_downsampled_gt mask_proto_normalize_mask_loss_by_sqrt_area mask_proto_reweight_mask_loss
mask_proto_grid_file mask_proto_prototypes_as_features_no_grad mask_proto_remove_empty_masks
mask_proto_reweight_coeff mask_proto_coeff_diversity_loss mask_proto_coeff_diversity_alpha
mask_proto_normalize_emulate_roi_pooling mask_proto_double_loss mask_proto_double_loss_alpha
mask_proto_crop_with_pred_box mask_proto_debug augment_photometric_distort augment_expand
augment_random_sample_crop augment_random_mirror augment_random_flip augment_random_rot90 discard_box_width
discard_box_height freeze_bn ohem_use_most_confident focal_loss_alpha focal_loss_gamma focal_loss_init_pi
use_class_balanced_conf use_sigmoid_focal_loss use_objectness_score use_class_existence_loss
class_existence_alpha use_semantic_segmentation_loss semantic_segmentation_alpha mask_scoring_alpha
use_change_matching positive_iou_threshold negative_iou_threshold ohem_negpos_ratio crowd_iou_threshold
min_size force_cpu_nms num_instance_coeffs train_masks train_boxes use_gt_bboxes use_prediction_matching
delayed_settings no_jit use_maskiou discard_mask_area maskiou_alpha rescore_bbox
maskious_to_train num_heads _tmp_img_h _tmp_img_w _thin_overrides _thin_base_channels
"""
_IGNORED_KEYS: Mapping[str, Collection[str]] = {
    "": _IGNORED_WORDS.split(),
    "fpn": ("num_features",),
    "backbone": ("name", "path", "type", "args"),
    "transform": (),
    "_eval_args": (),
}


@dataclass(frozen=True)
class PublishedModel:
    """The published model that supplies the settings missing from a configuration.

    plus: YOLACT++. num_classes includes the background; 21 selects the model for Pascal.
    """

    num_classes: int
    darknet: bool = False
    plus: bool = False
    input_size: int = PUBLISHED_SIZE


@dataclass(frozen=True)
class YolactConfig:
    """A configuration.

    downsamples: levels of the pyramid beyond the backbone's. class_names: empty if not set.
    """

    settings: YolactSettings
    input_spec: InputSpec
    options: SegmentOptions
    downsamples: int
    class_names: tuple[str, ...]


def read_yolact_config(content: Mapping[str, Any], source: str, published: PublishedModel) -> YolactConfig:
    """Read a configuration.

    content: the reference's configuration, complete, partial or empty.
    source: names the file in errors.
    Raises ValueError for a key that is not known, or a value that is not supported or does not fit.
    """
    _check_keys(content, source)
    num_classes = content.get("num_classes", published.num_classes)
    if num_classes != published.num_classes:
        raise ValueError(
            f"{source}: num_classes is {num_classes}, but the checkpoint has {published.num_classes}"
        )
    size = _read(content, "max_size", positive_side, published.input_size, source)
    top_k = _read(content, "nms_top_k", positive, 200, source)
    evaluation = _section(content, "_eval_args", source)
    cross_class = _read(evaluation, "cross_class_nms", bool, False, source)
    settings = YolactSettings(
        input_size=size,
        prior_sizes=_read_prior_sizes(content, size, published, source),
        candidate_threshold=_read(content, "nms_conf_thresh", number, 0.05, source),
        candidates_per_class=top_k,
        cross_class_nms=cross_class,
        rescore_masks=_read(content, "rescore_mask", bool, published.plus, source),
    )
    options = SegmentOptions(
        score_threshold=_read(evaluation, "score_threshold", number, 0.0, source),
        nms_threshold=_read(content, "nms_thresh", number, 0.5, source),
        # if classes compete, the reference applies no further limit
        max_instances=top_k if cross_class else _read(content, "max_num_detections", positive, 100, source),
    )
    return YolactConfig(
        settings,
        _read_input_spec(content, size, published, source),
        options,
        downsamples=_read(_section(content, "fpn", source), "num_downsample", _downsamples, 2, source),
        class_names=_read_names(content, num_classes, source),
    )


def _check_keys(content: Mapping[str, Any], source: str) -> None:
    backbone = _section(content, "backbone", source)
    _check(content, "", source)
    _check(backbone, "backbone", source)
    _check(_section(backbone, "transform", source), "transform", source)
    _check(_section(content, "fpn", source), "fpn", source)
    _check(_section(content, "_eval_args", source), "_eval_args", source)
    for key, convert in _LAYERS.items():
        _read(content, key, convert, None, source)


def _section(content: Mapping[str, Any], key: str, source: str) -> Mapping[str, Any]:
    section = content.get(key) or {}
    if not isinstance(section, Mapping):
        raise ValueError(f"{source}: {key}: {section!r} does not fit, expected keys with values")
    return section


def _check(section: Mapping[str, Any], name: str, source: str) -> None:
    place = f"{name}." if name else ""
    for key, value in section.items():
        if key in _SUPPORTED[name]:
            if value not in _SUPPORTED[name][key]:
                supported = " or ".join(repr(choice) for choice in _SUPPORTED[name][key])
                raise ValueError(f"{source}: {place}{key}: {value!r} is not supported, only {supported}")
        elif key not in _READ[name] and key not in _IGNORED_KEYS[name]:
            hint = did_you_mean(key, [*_SUPPORTED[name], *_READ[name]])
            raise ValueError(f"{source}: {place}{key} is not a key of YOLACT's configurations{hint}")


def _read(section: Mapping[str, Any], key: str, convert: Callable[[Any], T], default: T, source: str) -> T:
    if section.get(key) is None:
        return default
    try:
        return convert(section[key])
    except (TypeError, ValueError, LookupError, AttributeError, ArithmeticError) as error:
        raise ValueError(f"{source}: {key}: {section[key]!r} does not fit ({error})") from error


def _downsamples(value: Any) -> int:
    return count(value, most=8)  # halvings of the coarsest map


# Widths and kernels are in the tensors; strides and padding must be those of the published models.
def _check_layers(rows: Any) -> None:
    for channels, kernel, options in rows:
        if channels is None and kernel == -2 and not options:
            continue
        if kernel < 0:
            raise ValueError("only convolutions and a bilinear enlargement by 2 are supported")
        _check_padding({"kernel_size": kernel, **options})


def _check_padding(options: Any) -> None:
    unknown = options.keys() - {"kernel_size", "padding"}
    if unknown or options.get("padding", 0) != options["kernel_size"] // 2:
        raise ValueError("only convolutions that keep the size are supported")


def _check_strides(rows: Any) -> None:
    if any(kernel <= 1 or options != {"stride": 2} for _, kernel, options in rows):
        raise ValueError("only convolutions of stride 2 without padding are supported")


_LAYERS: Mapping[str, Callable[[Any], None]] = {
    "mask_proto_net": _check_layers,
    "extra_head_net": _check_layers,
    "head_layer_params": _check_padding,
    "maskiou_net": _check_strides,
}


def _read_prior_sizes(
    content: Mapping[str, Any], input_size: int, published: PublishedModel, source: str
) -> tuple[tuple[tuple[float, float], ...], ...]:
    """Compute the priors' sizes. Source: dbolya/yolact `yolact.py: make_priors`, `data/config.py`."""
    backbone = _section(content, "backbone", source)
    pascal = published.num_classes == _PASCAL_CLASSES
    base = _PASCAL_SCALES if pascal else _COCO_SCALES
    scales: list[Any] = [[int(scale / PUBLISHED_SIZE * input_size)] for scale in base]
    if published.plus:
        scales = [[scale * 2 ** (third / 3) for third in range(3)] for (scale,) in scales]
    scales = _read(backbone, "pred_scales", list, scales, source)
    ratios = _read(backbone, "pred_aspect_ratios", list, [[_RATIOS]] * len(scales), source)
    square = _read(backbone, "use_square_anchors", bool, not (pascal or published.plus), source)
    try:
        return tuple(
            tuple(
                (scale * math.sqrt(ratio), scale * math.sqrt(ratio) if square else scale / math.sqrt(ratio))
                for group in groups
                for scale in sizes(level)
                for ratio in sizes(group)
            )
            for level, groups in zip(scales, ratios, strict=True)
        )
    except (TypeError, ValueError, ZeroDivisionError) as error:
        raise ValueError(f"{source}: pred_scales and pred_aspect_ratios do not fit ({error})") from error


def _read_input_spec(
    content: Mapping[str, Any], size: int, published: PublishedModel, source: str
) -> InputSpec:
    """Read the normalisation. Source: dbolya/yolact `utils/augmentations.py: FastBaseTransform`."""
    transform = _section(_section(content, "backbone", source), "transform", source)
    if not transform:
        transform = {"to_float": True} if published.darknet else {"normalize": True}
    mean, std = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
    if transform.get("normalize"):
        mean, std = _MEAN, _STD
    elif transform.get("subtract_means"):
        mean = _MEAN
    elif transform.get("to_float"):
        std = (255.0, 255.0, 255.0)
    return InputSpec("rgb", mean, std, pixel_max=1, resize="torch", stretch=(size, size), multiple=1)


def _read_names(content: Mapping[str, Any], num_classes: int, source: str) -> tuple[str, ...]:
    names = _section(content, "dataset", source).get("class_names")
    if names is None:
        return _PASCAL_NAMES if num_classes == _PASCAL_CLASSES else ()
    # these files often lack the comma in a tuple of one name
    return (names,) if isinstance(names, str) else tuple(str(name) for name in names)
