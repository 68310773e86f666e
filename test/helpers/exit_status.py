# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Run `seg_node` in this process and get its exit status, however it ends."""

from collections.abc import Sequence

from seg_node.cli import main


def exit_status(arguments: Sequence[str]) -> int:
    """Return main's status, or 2 where argparse refuses the arguments."""
    try:
        return main(arguments)
    except SystemExit as end:
        assert isinstance(end.code, int)
        return end.code
