# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""What is raised when a rule of CUDA is broken, and where in seg_node it was."""

import sys
import traceback
from pathlib import Path

import seg_node

_PACKAGE = str(Path(seg_node.__file__).parent)


class Broken(BaseException):
    """A rule of CUDA was broken.

    No `Exception`, so that code which falls back from an error of CUDA's does not hide it.
    """

    def __init__(self, rule: str) -> None:
        frames = [frame for frame in traceback.extract_stack() if frame.filename.startswith(_PACKAGE)]
        super().__init__("\n".join([rule, *traceback.format_list(frames[-6:])]))


def current_line() -> str:
    """File and line of seg_node that runs now, such as "models/rcnn/model.py:65"; "?" outside of it."""
    frame = sys._getframe(1)
    while not frame.f_code.co_filename.startswith(_PACKAGE):
        if frame.f_back is None:
            return "?"
        frame = frame.f_back
    return f"{frame.f_code.co_filename[len(_PACKAGE) + 1 :]}:{frame.f_lineno}"
