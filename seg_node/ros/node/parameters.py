# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""The table of the node's parameters: declaration, validation and docs/parameters.md derive from it.

A new parameter is a row here and a field of `Options` (options.py).
`python -m seg_node.ros.node.parameters` prints the table as Markdown.
"""

from dataclasses import dataclass

from seg_node.choices import MODEL_FAMILIES, PRECISIONS

Value = bool | int | float | str | tuple[int, ...] | tuple[str, ...]


@dataclass(frozen=True)
class Declaration:
    """One parameter: its name, its default (which gives its type) and the values that it may have.

    live: it acts on the next frame; otherwise it is read-only after the start.
    limits: lowest and highest number. choices: the only texts.
    own: a number of SegmentOptions, of which -1 stands for the checkpoint's own.
    """

    name: str
    default: Value
    description: str
    live: bool = False
    limits: tuple[float, float] | None = None
    choices: tuple[str, ...] = ()
    own: bool = False

    @property
    def field(self) -> str:
        """The name of its field of Options, and where `own` is set of SegmentOptions."""
        return self.name.replace(".", "_")


PARAMETERS = (
    Declaration(
        "model.family",
        "auto",
        "Kind of model: auto (the embedded model when model.weights is empty, otherwise read from the file).",
        choices=MODEL_FAMILIES,
    ),
    Declaration(
        "model.weights",
        "",
        "Checkpoint file, or a name that `seg_node fetch-weights` has downloaded. Empty: the embedded model.",
    ),
    Declaration(
        "model.config", "", "The reference's own configuration file, for what the weights do not hold."
    ),
    Declaration(
        "model.labels",
        "",
        "YAML file with the names of the checkpoint's classes (things and, if any, stuff), with groups of "
        "them, or both.",
    ),
    Declaration(
        "prompt_model.weights",
        "",
        "Folder of SAM, SAM 2 or SAM 3's tracker, for ~/segment_prompt; empty: there is no such service.",
    ),
    Declaration("device", "auto", "auto (CUDA when there is one, otherwise the CPU), cpu, cuda or cuda:N."),
    Declaration(
        "precision",
        "auto",
        "Of the network: exact (as the reference), fp32, bf16, fp16, or auto (the fastest that fits).",
        choices=PRECISIONS,
    ),
    Declaration("engine", "", "File of `seg_node export` for this model; empty: PyTorch runs it."),
    Declaration(
        "image_transport",
        "raw",
        "raw subscribes to `image` (Image), compressed to `image`/compressed, ffmpeg and compressed_video to "
        "packets of a video on `image`/ffmpeg (FFMPEGPacket) and `image`/foxglove (CompressedVideo).",
        choices=("raw", "compressed", "ffmpeg", "compressed_video"),
    ),
    Declaration(
        "cameras",
        ("",),
        'Names of several cameras: front reads front/image, publishes ~/front/…; [""]: one, without a name.',
    ),
    Declaration(
        "max_batch",
        0,
        "Cameras whose frames go through the model together; 0: on a GPU all that wait, on the CPU one.",
        live=True,
        limits=(0, 64),
    ),
    Declaration(
        "depth.enabled",
        False,
        "Subscribe to `depth` (aligned to `image`) and `camera_info`, for ~/objects, ~/cloud, ~/markers.",
    ),
    Declaration(
        "depth.transport",
        "raw",
        "raw subscribes to `depth` (Image), compressedDepth to `depth`/compressedDepth (CompressedImage).",
        choices=("raw", "compressedDepth"),
    ),
    Declaration(
        "depth.unit",
        0.0,
        "Metres that 1 stands for in 16UC1 depth, such as 0.0001 for a RealSense D405; 0: millimetres.",
        limits=(0.0, 1.0),
    ),
    Declaration(
        "depth.slop",
        0.01,
        "Seconds that the stamps of image and depth may differ; keep it below half the camera's period.",
        limits=(0.0, 1.0),
    ),
    Declaration(
        "depth.erosion",
        2,
        "Pixels eroded from the masks for centroids and the cloud: at edges depth mixes with the background.",
        live=True,
        limits=(0, 50),
    ),
    Declaration(
        "depth.min_points",
        20,
        "Objects with fewer valid depth pixels are not located.",
        live=True,
        limits=(4, 1_000_000),
    ),
    Declaration(
        "depth.max_points",
        10_000,
        "Larger objects are thinned to about this many points.",
        live=True,
        limits=(100, 10_000_000),
    ),
    Declaration(
        "target_frame",
        "",
        "TF frame for ~/objects, ~/cloud, ~/markers, ~/detections_3d (needs tf2_ros); empty: the camera's.",
    ),
    Declaration("autostart", True, "Configure and activate at the start, without a manager."),
    Declaration("always_on", False, "Run the model even when no output has a subscriber.", live=True),
    Declaration(
        "rest_after",
        30.0,
        "Seconds without a subscriber of any output before images are unsubscribed from; 0: never.",
        live=True,
        limits=(0.0, 3600.0),
    ),
    Declaration(
        "score_threshold",
        0.5,
        "Instances scored at or below it are dropped; -1: the checkpoint's own threshold.",
        live=True,
        limits=(-1.0, 1.0),
        own=True,
    ),
    Declaration(
        "nms_threshold",
        -1.0,
        "IoU above which the lower-scored of two boxes of a class is dropped; -1: the checkpoint's own.",
        live=True,
        limits=(-1.0, 1.0),
        own=True,
    ),
    Declaration(
        "duplicate_iou",
        -1.0,
        "Mask IoU above which the lower-scored of two objects of any class is dropped; 1: never; -1: own.",
        live=True,
        limits=(-1.0, 1.0),
        own=True,
    ),
    Declaration(
        "mask_threshold",
        -1.0,
        "Probability from which a pixel belongs to the object; -1: the checkpoint's own.",
        live=True,
        limits=(-1.0, 1.0),
        own=True,
    ),
    Declaration(
        "max_instances",
        -1,
        "Most instances in a frame, best-scored first; -1: the checkpoint's own.",
        live=True,
        limits=(-1, 1000),
        own=True,
    ),
    Declaration(
        "min_area", 1, "Instances with fewer mask pixels are dropped.", live=True, limits=(0, 100_000_000)
    ),
    Declaration("classes", ("",), 'Names of the classes to keep; [""] keeps all.', live=True),
    Declaration(
        "prompts",
        ("",),
        'What a model that takes text (SAM 3) is to find: ["mug", "screwdriver"] are its classes 0 and 1.',
        live=True,
    ),
    Declaration(
        "mask_encoding",
        "mono8",
        "Encoding of InstanceMask.data: mono8 (fastest), bits (8 times smaller) or rle (COCO).",
        live=True,
        choices=("mono8", "bits", "rle"),
    ),
    Declaration(
        "class_map.size",
        (0, 0),
        "width, height of class_map and confidence_map, such as those of a depth cloud; zeros: the image's.",
        live=True,
    ),
    Declaration(
        "max_pixels",
        64_000_000,
        "Larger images are dropped (too_large) before they are decoded.",
        live=True,
        limits=(1, 2_000_000_000),
    ),
    Declaration(
        "bond.enabled",
        False,
        "Send Nav2's lifecycle manager heartbeats while the node is active and its worker is not stuck.",
    ),
    Declaration(
        "memory_limit",
        -1,
        "Memory limit of the process, MB; 0: no limit; -1: on the CPU 8 GB beyond the model, else none.",
        limits=(-1, 16_777_216),
    ),
    Declaration(
        "stall_timeout",
        10.0,
        "Seconds that images may come without one being served, before /diagnostics reports an error.",
        live=True,
        limits=(0.1, 3600.0),
    ),
    Declaration(
        "max_rate",
        0.0,
        "Frames per second at most; 0: as fast as the model.",
        live=True,
        limits=(0.0, 1000.0),
    ),
    Declaration(
        "roi",
        (0, 0, 0, 0),
        "x, y, width, height in pixels of the part of the image that is segmented; zeros: all of it.",
        live=True,
    ),
    Declaration(
        "track.enabled",
        True,
        "The same object keeps its id from frame to frame; false: 1, 2, … by score.",
        live=True,
    ),
    Declaration(
        "track.min_iou",
        0.1,
        "Overlap (IoU) that an object's masks in two frames must have.",
        live=True,
        limits=(0.0, 1.0),
    ),
    Declaration(
        "track.class_penalty",
        0.1,
        "Subtracted from the overlap when the classes differ; 1 forbids an object to change its class.",
        live=True,
        limits=(0.0, 1.0),
    ),
    Declaration(
        "track.max_age",
        2.0,
        "An object not seen for longer (seconds of the images' stamps) comes back with a new id.",
        live=True,
        limits=(0.0, 3600.0),
    ),
    Declaration(
        "panoptic.score_threshold",
        -1.0,
        "Things scored below it stay out of the panoptic map; -1: the checkpoint's own.",
        live=True,
        limits=(-1.0, 1.0),
        own=True,
    ),
    Declaration(
        "panoptic.overlap_threshold",
        -1.0,
        "Fraction covered by better things above which a thing stays out of the panoptic map; -1: own.",
        live=True,
        limits=(-1.0, 1.0),
        own=True,
    ),
    Declaration(
        "panoptic.stuff_min_area",
        -1,
        "Smaller stuff regions (pixels) become void; -1: the checkpoint's own.",
        live=True,
        limits=(-1, 100_000_000),
        own=True,
    ),
    Declaration(
        "debug.opacity", 0.45, "Opacity of the masks in the debug image.", live=True, limits=(0.0, 1.0)
    ),
    Declaration("debug.boxes", True, "Draw boxes in the debug image.", live=True),
    Declaration(
        "debug.captions",
        True,
        "Write names, ids (with track.enabled) and scores in the debug image.",
        live=True,
    ),
    Declaration(
        "debug.stuff", True, "Tint and name the stuff (floor, wall …) in the debug image.", live=True
    ),
    Declaration(
        "debug.jpeg_quality", 80, "JPEG quality of the compressed debug image.", live=True, limits=(1, 100)
    ),
)


def markdown_table() -> str:
    """Return the table of docs/parameters.md."""
    lines = ["| parameter | default | range | when | what it does |", "|---|---|---|---|---|"]
    for row in PARAMETERS:
        limits = " … ".join(map(_plain, row.limits)) if row.limits else ", ".join(row.choices)
        when = "live" if row.live else "start"
        lines.append(f"| `{row.name}` | `{shown_default(row)}` | {limits} | {when} | {row.description} |")
    return "\n".join(lines) + "\n"


def shown_default(row: Declaration) -> str:
    """Return the default as YAML writes it."""
    default = list(row.default) if isinstance(row.default, tuple) else row.default
    return str(default).lower() if isinstance(default, bool) else repr(default).replace("'", '"')


def _plain(number: float) -> str:
    return str(int(number)) if number == int(number) else str(number)


if __name__ == "__main__":
    print(markdown_table(), end="")
