# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""The arguments of the `seg_node` command, one file per subcommand, and their help texts.

Each has `add`, which adds its parser, and a function that runs it. Nothing here imports torch, OpenCV or ROS
before a command runs: help and wrong usage answer at once.
"""
