# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Split ROS arguments from a command line, and check the ROS names in its options."""

from collections.abc import Sequence

from seg_node.untrusted.printable import printable


def split_arguments(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Separate our own arguments from those of ROS: from each --ros-args up to -- or the end.

    rclpy's own function fails on file names that are not UTF-8.
    """
    own: list[str] = []
    ros: list[str] = []
    chosen = own
    for argument in arguments:
        if argument == "--ros-args":
            chosen = ros
        chosen.append(argument)
        if argument == "--" and chosen is ros:
            chosen = own
    return own, ros


def check_name(option: str, name: str, kind: str = "topic") -> None:
    """Raise ValueError, naming the option, for an invalid topic name; node names follow the same rules.

    kind: the named thing, for the message.
    """
    # here, so that a command line is parsed without loading ROS
    from rclpy.exceptions import NameValidationException
    from rclpy.expand_topic_name import expand_topic_name
    from rclpy.validate_full_topic_name import validate_full_topic_name

    try:
        validate_full_topic_name(expand_topic_name(name, "seg_node", "/"))
    except (TypeError, ValueError, NameValidationException) as error:  # TypeError: for text that is not UTF-8
        raise ValueError(
            f"{option} '{printable(name)}' cannot be the name of a {kind}: give letters, digits and _, parts "
            "joined by / and beginning with a letter, at most 247 characters"
        ) from error
