"""A command line of ours with ROS arguments in it."""

from collections.abc import Sequence


def split_arguments(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Our own arguments, and those of ROS: from each --ros-args up to -- or the end.

    rclpy can do it too, but not with a file name that is not UTF-8.
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
