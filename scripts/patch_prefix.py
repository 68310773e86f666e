#!/usr/bin/env python3
# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Make the ROS 2 prefix inside a virtual environment usable for builds; run it with that Python.

The wheels contain paths of the machine that built them. A second run changes nothing.
"""

import os
import re
import sys
import sysconfig
from pathlib import Path

import numpy as np


def rewrite(path: Path, text: str) -> None:
    """Replace the file with a new one: it may be a hard link into the installer's cache."""
    path.unlink()
    path.write_text(text)


def link(path: Path, target: str) -> None:
    path.unlink(missing_ok=True)
    path.symlink_to(target)


def main() -> None:
    prefix = Path(sys.prefix)
    lib = prefix / "lib"

    # Link the wheels' private copies of libspdlog, libtinyxml2 …, so that one LD_LIBRARY_PATH entry suffices.
    for library in lib.glob("python3*/site-packages/ros_*.libs/*.so*"):
        link(lib / library.name, os.path.relpath(library, lib))

    substitutions = [
        (r"/opt/python/cp3\d+-cp3\d+/include/python3\.\d+", sysconfig.get_path("include")),
        (r"/opt/python/cp3\d+-cp3\d+/lib/python3\.\d+/site-packages/numpy/_?core/include", np.get_include()),
    ]
    # Needed only by C++ that links rcl.
    for library in lib.glob("libtinyxml2-*.so.*"):
        substitutions.append((r"/usr/lib64/libtinyxml2\.so", str(library)))
    for library in lib.glob("liblttng-ust-????????.so*"):
        link(lib / "liblttng-ust.so", library.name)
        substitutions.append((r'(?<=INTERFACE_LINK_LIBRARIES ")lttng-ust(?=;)', str(lib / "liblttng-ust.so")))
    for path in prefix.glob("share/*/cmake/*.cmake"):
        text = patched = path.read_text()
        for pattern, replacement in substitutions:
            patched = re.sub(pattern, replacement, patched)
        if "/opt/python/cp3" in patched:
            sys.exit(f"{path} names a folder of the machine that built the wheels, and no rule replaces it")
        if patched != text:
            rewrite(path, patched)
    for path in prefix.glob("share/ament_index/resource_index/parent_prefix_path/*"):
        rewrite(path, f"{prefix}\n")


main()
