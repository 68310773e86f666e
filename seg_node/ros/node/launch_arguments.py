# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""The arguments of launch/seg_node.launch.py and what the node gets from them; plain data, without `launch`.

`python -m seg_node.ros.node.launch_arguments` prints the table of docs/integration.md.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

Value: TypeAlias = bool | str | list[str]

INPUTS = ("image", "depth", "camera_info")
OUTPUTS = (
    *("instances", "panoptic", "instance_map", "class_map", "confidence_map", "debug_image", "timing"),
    *("objects", "cloud", "markers", "detections", "detections_3d", "label_info"),
)
COMPRESSED = ("debug_image", "class_map", "instance_map")  # have a topic NAME/compressed too

# Of config/fastdds_images.xml, the least that the profile needs in /dev/shm.
SEGMENT_BYTES = 16 << 20
# Fast DDS 2 reads the first name; Fast DDS 3 the second, and warns of the first.
PROFILE_VARIABLES = ("FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE")
WITH_FAST_DDS_2 = ("humble", "iron", "jazzy")


@dataclass(frozen=True)
class Argument:
    """`parameter`: the node's parameter that the argument sets; an empty default leaves it as it is."""

    name: str
    default: str
    description: str
    parameter: str = ""


def _parameter(name: str, description: str) -> Argument:
    return Argument(name.replace(".", "_"), "", description, name)


ARGUMENTS = (
    Argument("image", "image", "Topic of the camera's images."),
    Argument("depth", "depth", "Topic of depth aligned to them, for depth_enabled:=true."),
    Argument("camera_info", "camera_info", "Topic of their CameraInfo; as it is: the one beside the images."),
    *[Argument(name, f"~/{name}", f"Topic of the output {name}.") for name in OUTPUTS],
    Argument("tf", "tf", "Topic of TF, relative to the namespace as in Nav2; /tf: one tree for all robots."),
    Argument("name", "seg_node", "Name of the node."),
    Argument("namespace", "", "Namespace of the node, below a pushed one."),
    Argument("params_file", "config/seg_node.yaml", "YAML file with parameters; may hold $(substitutions)."),
    _parameter("use_sim_time", "Take time from /clock: true or false."),
    _parameter("autostart", "false: a lifecycle manager configures and activates the node."),
    Argument("use_respawn", "false", "Start the node again, after 2 s, when its process ends."),
    _parameter(
        "cameras",
        "Names of several cameras, such as front,rear; their topics: front_image:=, rear_image:= and so on.",
    ),
    _parameter("image_transport", "raw, compressed, ffmpeg or compressed_video."),
    _parameter("depth.enabled", "true: locate objects in metres, from depth and camera_info."),
    _parameter("depth.transport", "raw or compressedDepth."),
    _parameter("target_frame", "TF frame for objects, such as base_link."),
    _parameter("device", "auto, cpu, cuda or cuda:N."),
    _parameter("precision", "auto, exact, fp32, bf16 or fp16."),
    _parameter(
        "model.family", "auto, embedded, torchvision, detectron2, yolact, solo, yolo or transformers."
    ),
    _parameter("model.weights", "Checkpoint file or name of a fetched model."),
    _parameter("model.config", "Configuration file of the checkpoint."),
    _parameter("model.labels", "YAML file with names or groups of the checkpoint's classes."),
    _parameter("engine", "File of `seg_node export` for this model."),
    Argument("enclave", "", "SROS 2 enclave of the process, such as /seg_node (docs/security.md)."),
    Argument("log_level", "info", "debug, info, warn or error."),
    Argument(
        "fastdds_profile",
        "auto",
        "Fast DDS profile of the node's process; auto: config/fastdds_images.xml, unless the environment "
        "chooses otherwise; none: as the environment is.",
    ),
)
_DEFAULTS = {argument.name: argument.default for argument in ARGUMENTS}
_SWITCHES = ("use_sim_time", "autostart", "depth_enabled")


def parameters(values: Mapping[str, str]) -> dict[str, Value]:
    """Parameters to set over the params file: of those arguments only that are given.

    values: by argument, as launch has them. Raises ValueError that names the argument and the value.
    """
    found: dict[str, Value] = {}
    for argument in ARGUMENTS:
        text = values.get(argument.name, "")
        if not argument.parameter or not text:
            continue
        if argument.name in _SWITCHES:
            found[argument.parameter] = switch(argument.name, text)
        else:
            found[argument.parameter] = camera_names(text) if argument.name == "cameras" else _unquoted(text)
    return found


def remappings(values: Mapping[str, str]) -> list[tuple[str, str]]:
    """Rules (from, to) for the topics that are not where the node has them by itself."""
    tf = _given(values, "tf") or "tf"
    rules = [("/tf", tf), ("/tf_static", f"{tf}_static")]
    for camera in camera_names(values.get("cameras", "")) or [""]:
        before, prefix = (f"{camera}_", f"{camera}/") if camera else ("", "")
        for name in INPUTS:
            if target := _given(values, before + name):
                rules.append((f"{prefix}{name}", target))
        for name in OUTPUTS:
            if target := _given(values, before + name):
                rules.append((f"~/{prefix}{name}", target))
                if name in COMPRESSED:
                    rules.append((f"~/{prefix}{name}/compressed", f"{target}/compressed"))
    return rules


def without_effect(values: Mapping[str, str]) -> list[str]:
    """Warn of arguments of the only camera, given though `cameras` names others."""
    cameras = camera_names(values.get("cameras", ""))
    names = [name for name in (*INPUTS, *OUTPUTS) if _given(values, name)] if cameras else []
    return [
        f"{name}:= has no effect beside cameras:=, give {cameras[0]}_{name}:= and so on" for name in names
    ]


def camera_names(text: str) -> list[str]:
    """From `front,rear`, or as a parameter is written: `['front', 'rear']`. The node checks the names."""
    names = [name.strip(" \t'\"") for name in text.strip().removeprefix("[").removesuffix("]").split(",")]
    return names if any(names) else []


def switch(name: str, text: str) -> bool:
    """Raises ValueError for anything but true, false, 1 and 0, in capitals or not."""
    if text.lower() not in ("true", "false", "1", "0"):
        raise ValueError(f"launch argument {name} is '{text}': must be true or false")
    return text.lower() in ("true", "1")


def image_environment(
    choice: str, own_profile: str, environment: Mapping[str, str], shared_memory: str = "/dev/shm"
) -> tuple[dict[str, str], list[str]]:
    """Variables for a process that sends or receives images, and what to warn of.

    choice: auto (own_profile, unless the environment has a profile or transports of its own, or another
    middleware), none, or a file. Raises ValueError when the file does not exist.
    """
    if choice == "none" or (choice == "auto" and _has_own_transport(environment)):
        return {}, []
    if choice == "auto":
        room = _free_bytes(shared_memory)
        if room < SEGMENT_BYTES:
            return {}, [_TOO_LITTLE.format(shared_memory, room >> 20, SEGMENT_BYTES >> 20)]
        choice = own_profile
    if not os.path.isfile(choice):
        raise ValueError(f"launch argument fastdds_profile is '{choice}': must be auto, none or a file")
    variable = PROFILE_VARIABLES[environment.get("ROS_DISTRO") not in WITH_FAST_DDS_2]
    return {variable: choice}, []


_TOO_LITTLE = (
    "{} has {} MiB free, and shared memory for images takes {}: images will be slow or lost. Give the "
    "container --shm-size=256m or --ipc=host, or remove what dead processes left (fastdds shm clean)"
)


def _has_own_transport(environment: Mapping[str, str]) -> bool:
    other = not environment.get("RMW_IMPLEMENTATION", "rmw_fastrtps_cpp").startswith("rmw_fastrtps")
    return other or any(environment.get(name) for name in (*PROFILE_VARIABLES, "FASTDDS_BUILTIN_TRANSPORTS"))


def _free_bytes(folder: str) -> int:
    try:
        free = os.statvfs(folder)
    except OSError:
        return 0
    return free.f_bavail * free.f_frsize


def markdown_table() -> str:
    """The table of docs/integration.md."""
    lines = ["| argument | default | parameter | what it does |", "|---|---|---|---|"]
    for argument in ARGUMENTS:
        default = f"`{argument.default}`" if argument.default else ""
        parameter = f"`{argument.parameter}`" if argument.parameter else ""
        lines.append(f"| `{argument.name}` | {default} | {parameter} | {argument.description} |")
    return "\n".join(lines) + "\n"


def _unquoted(text: str) -> str:
    """Remove YAML's quotes: a launch file needs '' to pass an empty string."""
    quoted = len(text) > 1 and text[0] == text[-1] and text[0] in "'\""
    return text[1:-1] if quoted else text


def _given(values: Mapping[str, str], name: str) -> str:
    """The value of an argument, "" when it is absent or its default."""
    value = values.get(name, "")
    return "" if value == _DEFAULTS.get(name) else value


if __name__ == "__main__":
    print(markdown_table(), end="")
