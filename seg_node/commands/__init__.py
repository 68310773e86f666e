# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""The subcommands of `seg_node` that need no ROS: segment and evaluate.

Arguments are parsed in `command_line`.
"""
