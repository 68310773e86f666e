# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""The node's parameters: one table, from which declaration, validation, README and config check derive.

`python -m seg_node.ros.node.parameters` prints the table as Markdown.
"""

import re
from collections.abc import Callable
from dataclasses import Field, dataclass, field, fields, replace
from typing import Any, get_args

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor, SetParametersResult
from rclpy.node import Node
from rclpy.parameter import Parameter

from seg_node.inference.precision import PRECISIONS
from seg_node.models.files.config_file import did_you_mean
from seg_node.prompts import check_prompts, result_labels, with_prompts
from seg_node.spatial.lift import LiftOptions
from seg_node.track import TrackOptions
from seg_node.types import LabelSet, MaskEncoding, ModelFamily, Roi, SegmentOptions
from seg_node.untrusted.printable import printable

_CAMERA = re.compile(r"[A-Za-z_]\w*(/[A-Za-z_]\w*)*", re.ASCII)
LONGEST_CAMERA = 100  # the middleware's topic names end at 255, and ours go on behind it


@dataclass(frozen=True)
class Rule:
    """The values that a parameter may have.

    live: it acts on the next frame; otherwise it is read-only after the start.
    own: -1 stands for the checkpoint's own value, and the field is named as in SegmentOptions.
    """

    name: str
    description: str
    live: bool
    limits: tuple[float, float] | None = None
    choices: tuple[str, ...] = ()
    own: bool = False


def _start(
    name: str,
    default: Any,
    description: str,
    choices: tuple[str, ...] = (),
    *,
    limits: tuple[float, float] | None = None,
) -> Any:
    return field(default=default, metadata={"rule": Rule(name, description, False, limits, choices)})


def _live(
    name: str,
    default: Any,
    description: str,
    limits: tuple[float, float] | None = None,
    *,
    choices: tuple[str, ...] = (),
) -> Any:
    return field(default=default, metadata={"rule": Rule(name, description, True, limits, choices)})


def _own(name: str, default: float, description: str, limits: tuple[float, float]) -> Any:
    """Declare a live number that replaces the checkpoint's own unless it is -1."""
    return field(default=default, metadata={"rule": Rule(name, description, True, limits, own=True)})


@dataclass(frozen=True)
class Options:
    """A snapshot of all parameters; the worker takes one per frame."""

    model_family: str = _start(
        "model.family",
        "auto",
        "Kind of model: auto (the embedded model when model.weights is empty, otherwise read from the file).",
        ("auto", *get_args(ModelFamily)),
    )
    model_weights: str = _start(
        "model.weights",
        "",
        "Checkpoint file, or a name that `seg_node fetch-weights` has downloaded. Empty: the embedded model.",
    )
    model_config: str = _start(
        "model.config", "", "The reference's own configuration file, for what the weights do not hold."
    )
    model_labels: str = _start(
        "model.labels", "", "YAML file with the names of the checkpoint's classes: things and, if any, stuff."
    )
    prompt_model_weights: str = _start(
        "prompt_model.weights",
        "",
        "Folder of SAM, SAM 2 or SAM 3's tracker, for ~/segment_prompt; empty: there is no such service.",
    )
    device: str = _start(
        "device", "auto", "auto (CUDA when there is one, otherwise the CPU), cpu, cuda or cuda:N."
    )
    precision: str = _start(
        "precision",
        "auto",
        "Of the network: exact (as the reference), fp32, bf16, fp16, or auto (the fastest that fits).",
        PRECISIONS,
    )
    engine: str = _start("engine", "", "File of `seg_node export` for this model; empty: PyTorch runs it.")
    image_transport: str = _start(
        "image_transport",
        "raw",
        "raw subscribes to `image` (sensor_msgs/Image), compressed to `image`/compressed (CompressedImage).",
        ("raw", "compressed"),
    )
    cameras: tuple[str, ...] = _start(
        "cameras",
        ("",),
        'Names of several cameras: front reads front/image, publishes ~/front/…; [""]: one, without a name.',
    )
    max_batch: int = _live(
        "max_batch",
        0,
        "Cameras whose frames go through the model together; 0: on a GPU all that wait, on the CPU one.",
        (0, 64),
    )
    depth_enabled: bool = _start(
        "depth.enabled",
        False,
        "Subscribe to `depth` (aligned to `image`) and `camera_info`, for ~/objects, ~/cloud, ~/markers.",
    )
    depth_transport: str = _start(
        "depth.transport",
        "raw",
        "raw subscribes to `depth` (Image), compressedDepth to `depth`/compressedDepth (CompressedImage).",
        ("raw", "compressedDepth"),
    )
    depth_unit: float = _start(
        "depth.unit",
        0.0,
        "Metres that 1 stands for in 16UC1 depth, such as 0.0001 for a RealSense D405; 0: millimetres.",
        limits=(0.0, 1.0),
    )
    depth_slop: float = _start(
        "depth.slop",
        0.01,
        "Seconds that the stamps of image and depth may differ; keep it below half the camera's period.",
        limits=(0.0, 1.0),
    )
    depth_erosion: int = _live(
        "depth.erosion",
        2,
        "Pixels eroded from the masks for centroids and the cloud: at edges depth mixes with the background.",
        (0, 50),
    )
    depth_min_points: int = _live(
        "depth.min_points", 20, "Objects with fewer valid depth pixels are not located.", (4, 1_000_000)
    )
    depth_max_points: int = _live(
        "depth.max_points", 10_000, "Larger objects are thinned to about this many points.", (100, 10_000_000)
    )
    target_frame: str = _start(
        "target_frame",
        "",
        "TF frame for ~/objects, ~/cloud, ~/markers, ~/detections_3d (needs tf2_ros); empty: the camera's.",
    )
    autostart: bool = _start("autostart", True, "Configure and activate at the start, without a manager.")
    always_on: bool = _live("always_on", False, "Run the model even when no output has a subscriber.")
    rest_after: float = _live(
        "rest_after",
        30.0,
        "Seconds without a subscriber of any output before images are unsubscribed from; 0: never.",
        (0.0, 3600.0),
    )
    score_threshold: float = _own(
        "score_threshold",
        0.5,
        "Instances scored at or below it are dropped; -1: the checkpoint's own threshold.",
        (-1.0, 1.0),
    )
    nms_threshold: float = _own(
        "nms_threshold",
        -1.0,
        "IoU above which the lower-scored of two boxes of a class is dropped; -1: the checkpoint's own.",
        (-1.0, 1.0),
    )
    duplicate_iou: float = _own(
        "duplicate_iou",
        -1.0,
        "Mask IoU above which the lower-scored of two objects of any class is dropped; 1: never; -1: own.",
        (-1.0, 1.0),
    )
    mask_threshold: float = _own(
        "mask_threshold",
        -1.0,
        "Probability from which a pixel belongs to the object; -1: the checkpoint's own.",
        (-1.0, 1.0),
    )
    max_instances: int = _own(
        "max_instances",
        -1,
        "Most instances in a frame, best-scored first; -1: the checkpoint's own.",
        (-1, 1000),
    )
    min_area: int = _live("min_area", 1, "Instances with fewer mask pixels are dropped.", (0, 100_000_000))
    classes: tuple[str, ...] = _live("classes", ("",), 'Names of the classes to keep; [""] keeps all.')
    prompts: tuple[str, ...] = _live(
        "prompts",
        ("",),
        'What a model that takes text (SAM 3) is to find: ["mug", "screwdriver"] are its classes 0 and 1.',
    )
    mask_encoding: MaskEncoding = _live(
        "mask_encoding",
        "mono8",
        "Encoding of InstanceMask.data: mono8 (fastest), bits (8 times smaller) or rle (COCO).",
        choices=("mono8", "bits", "rle"),
    )
    max_pixels: int = _live(
        "max_pixels",
        64_000_000,
        "Larger images are dropped (too_large) before they are decoded.",
        (1, 2_000_000_000),
    )
    bond_enabled: bool = _start(
        "bond.enabled",
        False,
        "Send Nav2's lifecycle manager heartbeats while the node is active and its worker is not stuck.",
    )
    memory_limit: int = _start(
        "memory_limit",
        -1,
        "Memory limit of the process, MB; 0: no limit; -1: on the CPU 8 GB beyond the model, else none.",
        limits=(-1, 16_777_216),
    )
    stall_timeout: float = _live(
        "stall_timeout",
        10.0,
        "Seconds that images may come without one being served, before /diagnostics reports an error.",
        (0.1, 3600.0),
    )
    max_rate: float = _live(
        "max_rate", 0.0, "Frames per second at most; 0: as fast as the model.", (0.0, 1000.0)
    )
    roi: tuple[int, ...] = _live(
        "roi",
        (0, 0, 0, 0),
        "x, y, width, height in pixels of the part of the image that is segmented; zeros: all of it.",
    )
    track_enabled: bool = _live(
        "track.enabled", True, "The same object keeps its id from frame to frame; false: 1, 2, … by score."
    )
    track_min_iou: float = _live(
        "track.min_iou", 0.1, "Overlap (IoU) that an object's masks in two frames must have.", (0.0, 1.0)
    )
    track_class_penalty: float = _live(
        "track.class_penalty",
        0.1,
        "Subtracted from the overlap when the classes differ; 1 forbids an object to change its class.",
        (0.0, 1.0),
    )
    track_max_age: float = _live(
        "track.max_age",
        2.0,
        "An object not seen for longer (seconds of the images' stamps) comes back with a new id.",
        (0.0, 3600.0),
    )
    panoptic_score_threshold: float = _own(
        "panoptic.score_threshold",
        -1.0,
        "Things scored below it stay out of the panoptic map; -1: the checkpoint's own.",
        (-1.0, 1.0),
    )
    panoptic_overlap_threshold: float = _own(
        "panoptic.overlap_threshold",
        -1.0,
        "Fraction covered by better things above which a thing stays out of the panoptic map; -1: own.",
        (-1.0, 1.0),
    )
    panoptic_stuff_min_area: int = _own(
        "panoptic.stuff_min_area",
        -1,
        "Smaller stuff regions (pixels) become void; -1: the checkpoint's own.",
        (-1, 100_000_000),
    )
    debug_opacity: float = _live(
        "debug.opacity", 0.45, "Opacity of the masks in the debug image.", (0.0, 1.0)
    )
    debug_boxes: bool = _live("debug.boxes", True, "Draw boxes in the debug image.")
    debug_captions: bool = _live("debug.captions", True, "Write names and scores in the debug image.")
    debug_jpeg_quality: int = _live(
        "debug.jpeg_quality", 80, "JPEG quality of the compressed debug image.", (1, 100)
    )

    def segment_options(self, labels: LabelSet, own: SegmentOptions) -> SegmentOptions:
        """Return the model's share of the options; `own` are the checkpoint's, for those left at -1.

        Raises ValueError when a class is unknown to the model, or prompts do not fit it.
        """
        own = with_prompts(own, self.given_prompts())
        labels = result_labels(own, labels)
        names = [name for name in self.classes if name]
        numbers = {option.name: getattr(self, option.name) for option in fields(self) if rule(option).own}
        return replace(
            own,
            min_area=self.min_area,
            classes=labels.ids(names) if names else None,
            **{name: number for name, number in numbers.items() if number >= 0},
        )

    def given_prompts(self) -> tuple[str, ...]:
        """Return the prompts; [""] is the parameter's way to have none."""
        return () if self.prompts == ("",) else self.prompts

    def lift_options(self, keep_points: bool) -> LiftOptions:
        return LiftOptions(self.depth_erosion, self.depth_min_points, self.depth_max_points, keep_points)

    def track_options(self) -> TrackOptions:
        return TrackOptions(self.track_min_iou, self.track_class_penalty, self.track_max_age)

    def region(self) -> Roi:
        return Roi(*self.roi)


def rule(option: "Field[Any]") -> Rule:
    found: Rule = option.metadata["rule"]
    return found


def declare_parameters(node: Node, check: Callable[[Options], None]) -> Options:
    """Declare the table on the node and return its values.

    `check` raises ValueError to refuse a combination; it also guards every later change.
    Raises rclpy's InvalidParameter…Exception when a value given at the start is refused.
    """
    _warn_of_unknown_overrides(node)

    names = {rule(option).name for option in fields(Options)}

    def validate(changes: list[Parameter]) -> SetParametersResult:
        if not any(change.name in names for change in changes):  # rclpy's own, such as QoS overrides
            return SetParametersResult(successful=True)
        try:
            changed = with_changes(options_of(node), changes)
            _check_region(changed)
            check_prompts(changed.given_prompts())
            check(changed)
        except ValueError as error:
            return SetParametersResult(successful=False, reason=str(error))
        return SetParametersResult(successful=True)

    for option in fields(Options):
        default = option.default
        value = list(default) if isinstance(default, tuple) else default
        node.declare_parameter(rule(option).name, value, _descriptor(option))
    options = options_of(node)
    _check_cameras(options)
    _check_region(options)
    check_prompts(options.given_prompts())
    check(options)
    node.add_on_set_parameters_callback(validate)
    return options


def options_of(node: Node) -> Options:
    return with_changes(Options(), [node.get_parameter(rule(option).name) for option in fields(Options)])


def with_changes(options: Options, changes: list[Parameter]) -> Options:
    """Return the options with the changed parameters; unknown names are ignored.

    Raises ValueError that names the parameter, the value and what it must be.
    """
    by_name = {rule(option).name: option for option in fields(Options)}
    values = {
        by_name[change.name].name: _checked(by_name[change.name], change.value)
        for change in changes
        if change.name in by_name
    }
    return replace(options, **values)


def _check_cameras(options: Options) -> None:
    """Raise ValueError when a name cannot be part of a topic, or occurs twice."""
    names = options.cameras
    if names != ("",) and not all(_CAMERA.fullmatch(name) and len(name) <= LONGEST_CAMERA for name in names):
        raise ValueError(
            f"cameras = {printable(str(list(names)))}: each must be a name that topics can have, such as "
            f"front, of at most {LONGEST_CAMERA} characters"
        )
    if len(set(names)) != len(names) or not names:
        raise ValueError(f"cameras = {list(names)}: each camera needs a name of its own")


def _check_region(options: Options) -> None:
    x, y, width, height = options.roi if len(options.roi) == 4 else (-1,) * 4
    empty = width == 0 or height == 0
    if min(x, y, width, height) < 0 or (empty and any(options.roi)):
        raise ValueError(
            f"roi = {list(options.roi)}: must be x, y, width, height in pixels, all 0 for the whole image"
        )


def _checked(option: "Field[Any]", value: Any) -> Any:
    """Return the value in the option's type. Raises ValueError for what the rule forbids."""
    wanted = rule(option)
    default: Any = option.default
    if isinstance(default, float) and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)  # YAML's `max_rate: 10` is meant as 10.0
    if isinstance(default, tuple) and value is not None:
        value = tuple(value)
    if type(value) is not type(default):
        expected = type(default).__name__
        raise ValueError(f"{wanted.name} = {value!r}: must be of type {expected}, such as {default!r}")
    if isinstance(default, tuple) and any(type(item) is not type(default[0]) for item in value):
        raise ValueError(f"{wanted.name} = {list(value)}: must hold values such as {default[0]!r}")
    if wanted.limits and not wanted.limits[0] <= value <= wanted.limits[1]:
        raise ValueError(f"{wanted.name} = {value}: must be from {wanted.limits[0]} to {wanted.limits[1]}")
    if wanted.choices and value not in wanted.choices:
        raise ValueError(f"{wanted.name} = {value!r}: must be one of {', '.join(wanted.choices)}")
    return value


def _descriptor(option: "Field[Any]") -> ParameterDescriptor:
    wanted = rule(option)
    choices = f"One of {', '.join(wanted.choices)}." if wanted.choices else ""
    descriptor = ParameterDescriptor(
        description=wanted.description, additional_constraints=choices, read_only=not wanted.live
    )
    if isinstance(option.default, float):
        descriptor.dynamic_typing = True  # lets whole numbers through to _checked
    if wanted.limits and isinstance(option.default, int):
        low, high = wanted.limits
        descriptor.integer_range = [IntegerRange(from_value=int(low), to_value=int(high), step=1)]
    elif wanted.limits:
        low, high = wanted.limits
        descriptor.floating_point_range = [FloatingPointRange(from_value=low, to_value=high)]
    return descriptor


def _warn_of_unknown_overrides(node: Node) -> None:
    """Log names in a parameter file that the node does not have, such as misspelt ones."""
    known = [rule(option).name for option in fields(Options)]
    for name in getattr(node, "_parameter_overrides", {}):
        if name in known or node.has_parameter(name) or name.startswith("qos_overrides."):
            continue
        hint = did_you_mean(name, known, likeness=0.6)
        node.get_logger().warning(f"parameter {name} is not one of this node's and does nothing{hint}")


def _plain(number: float) -> str:
    return str(int(number)) if number == int(number) else str(number)


def markdown_table() -> str:
    """Return the README's parameter table."""
    lines = ["| parameter | default | range | when | what it does |", "|---|---|---|---|---|"]
    for option in fields(Options):
        wanted = rule(option)
        default = list(option.default) if isinstance(option.default, tuple) else option.default
        shown = str(default).lower() if isinstance(default, bool) else repr(default).replace("'", '"')
        limits = " … ".join(map(_plain, wanted.limits)) if wanted.limits else ", ".join(wanted.choices)
        when = "live" if wanted.live else "start"
        lines.append(f"| `{wanted.name}` | `{shown}` | {limits} | {when} | {wanted.description} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(markdown_table(), end="")
