# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Declare the parameters of parameters.py on the node, and validate their values into `Options`."""

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor, SetParametersResult
from rclpy.node import Node
from rclpy.parameter import Parameter

from seg_node.models.files.config_file import did_you_mean
from seg_node.prompts import check_prompts
from seg_node.ros.node.options import DEFAULTS, Options
from seg_node.ros.node.parameters import PARAMETERS, Declaration
from seg_node.untrusted.printable import printable

_CAMERA = re.compile(r"[A-Za-z_]\w*(/[A-Za-z_]\w*)*", re.ASCII)
LONGEST_CAMERA = 100  # the middleware's topic names end at 255, and ours go on behind it


def declare_parameters(node: Node, check: Callable[[Options], None]) -> Options:
    """Declare all parameters on the node and return their values.

    `check` raises ValueError to refuse a combination; it also guards every later change.
    Raises rclpy's InvalidParameter…Exception when a value given at the start is refused.
    """
    _warn_of_unknown_overrides(node)

    names = {row.name for row in PARAMETERS}

    def validate(changes: list[Parameter]) -> SetParametersResult:
        if not any(change.name in names for change in changes):  # rclpy's own, such as QoS overrides
            return SetParametersResult(successful=True)
        try:
            changed = with_changes(options_of(node), changes)
            _check_region(changed)
            _check_class_map_size(changed)
            check_prompts(changed.given_prompts())
            check(changed)
        except ValueError as error:
            return SetParametersResult(successful=False, reason=str(error))
        return SetParametersResult(successful=True)

    for row in PARAMETERS:
        value = list(row.default) if isinstance(row.default, tuple) else row.default
        node.declare_parameter(row.name, value, _descriptor(row))
    options = options_of(node)
    _check_cameras(options)
    _check_region(options)
    _check_class_map_size(options)
    check_prompts(options.given_prompts())
    check(options)
    node.add_on_set_parameters_callback(validate)
    return options


def options_of(node: Node) -> Options:
    return with_changes(DEFAULTS, [node.get_parameter(row.name) for row in PARAMETERS])


def with_changes(options: Options, changes: list[Parameter]) -> Options:
    """Return the options with the changed parameters; unknown names are ignored.

    Raises ValueError that names the parameter, the value and what it must be.
    """
    rows = {row.name: row for row in PARAMETERS}
    known = [(rows[change.name], change.value) for change in changes if change.name in rows]
    return replace(options, **{row.field: _checked(row, value) for row, value in known})


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


def _check_class_map_size(options: Options) -> None:
    size = options.class_map_size
    valid = len(size) == 2 and all(1 <= side <= 65535 for side in size) and size[0] * size[1] <= 64_000_000
    if size != (0, 0) and not valid:
        raise ValueError(
            f"class_map.size = {list(size)}: must be width, height in pixels, at most 64 megapixels, "
            "both 0 for the image's size"
        )


def _checked(row: Declaration, value: Any) -> Any:
    """Return the value in the type of the default. Raises ValueError for what the row forbids."""
    default: Any = row.default
    if isinstance(default, float) and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)  # YAML's `max_rate: 10` is meant as 10.0
    if isinstance(default, tuple) and value is not None:
        value = tuple(value)
    if type(value) is not type(default):
        expected = type(default).__name__
        raise ValueError(f"{row.name} = {value!r}: must be of type {expected}, such as {default!r}")
    if isinstance(default, tuple) and any(type(item) is not type(default[0]) for item in value):
        raise ValueError(f"{row.name} = {list(value)}: must hold values such as {default[0]!r}")
    if row.limits and not row.limits[0] <= value <= row.limits[1]:
        raise ValueError(f"{row.name} = {value}: must be from {row.limits[0]} to {row.limits[1]}")
    if row.choices and value not in row.choices:
        raise ValueError(f"{row.name} = {value!r}: must be one of {', '.join(row.choices)}")
    return value


def _descriptor(row: Declaration) -> ParameterDescriptor:
    choices = f"One of {', '.join(row.choices)}." if row.choices else ""
    descriptor = ParameterDescriptor(
        description=row.description, additional_constraints=choices, read_only=not row.live
    )
    if isinstance(row.default, float):
        descriptor.dynamic_typing = True  # lets whole numbers through to _checked
    if row.limits and isinstance(row.default, int):
        low, high = row.limits
        descriptor.integer_range = [IntegerRange(from_value=int(low), to_value=int(high), step=1)]
    elif row.limits:
        low, high = row.limits
        descriptor.floating_point_range = [FloatingPointRange(from_value=low, to_value=high)]
    return descriptor


def _warn_of_unknown_overrides(node: Node) -> None:
    """Log names in a parameter file that the node does not have, such as misspelt ones."""
    known = [row.name for row in PARAMETERS]
    for name in getattr(node, "_parameter_overrides", {}):
        if name in known or node.has_parameter(name) or name.startswith("qos_overrides."):
            continue
        hint = did_you_mean(name, known, likeness=0.6)
        node.get_logger().warning(f"parameter {name} is not one of this node's and does nothing{hint}")
