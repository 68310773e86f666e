# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""seg_node without ROS 2: the models, the masks and the `seg_node` command. colcon uses CMakeLists.txt."""

import re
from pathlib import Path

from setuptools import find_packages, setup

here = Path(__file__).resolve().parent
version = re.search(r'^__version__ = "(.+)"$', (here / "seg_node/__init__.py").read_text(), re.MULTILINE)

setup(
    name="seg_node",
    version=version[1],
    description="Instance and panoptic segmentation of camera images, for ROS 2 and without it",
    license="Apache-2.0",
    python_requires=">=3.10",
    packages=find_packages(include=["seg_node", "seg_node.*"]),
    package_data={"seg_node": ["weights/*"]},
    install_requires=[
        "backports.zstd; python_version < '3.14'",
        "lz4",
        "numpy>=1.26",
        "opencv-python>=4.6",
        "pillow",
        "pyyaml",
        "rosbags>=0.10",
        "safetensors>=0.4",
        "scipy",
        "torch>=2.4",
        "torchvision>=0.19",
        "tqdm",
    ],
    extras_require={
        "evaluate": ["pycocotools"],
        "train": ["matplotlib", "pycocotools"],
        "transformers": ["transformers>=4.48"],
        "benchmark": ["motmetrics>=1.4"],
        "view": ["rerun-sdk>=0.24"],
        "video": ["av>=17"],
        "fleet": ["pyarrow>=17", "ray[data]>=2.49"],
        "onnx": ["onnx>=1.17", "onnxruntime>=1.18", "onnxscript>=0.5"],
        "test": [
            "av",
            "codespell",
            "hypothesis",
            "matplotlib",
            "mypy",
            "onnx",
            "onnxruntime",
            "onnxscript",
            "pyarrow",
            "pycocotools",
            "pytest",
            "pytest-timeout",
            "pytest-xdist",
            "ray[data]",
            "ruff",
            "transformers",
        ],
    },
    entry_points={"console_scripts": ["seg_node = seg_node.cli:main"]},
)
