# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""The parts of the check, the most telling first: what no time is left for is left out at the end."""

from dataclasses import dataclass

FAMILIES = ("torchvision", "detectron2", "panoptic_fpn", "yolact", "solov2", "decoupled", "transformers")


@dataclass(frozen=True)
class Part:
    """module: has a function `check(report, setting)`. seconds: at most."""

    name: str
    module: str
    seconds: float


PARTS = (
    Part("environment", "gpu_check.environment", 40),
    *(Part(f"capture.{family}", "gpu_check.capture", 45) for family in FAMILIES),
    Part("precisions", "gpu_check.precisions", 60),
    Part("triton", "gpu_check.triton_kernel", 45),
    Part("latency", "gpu_check.latency", 110),
    Part("embedded", "gpu_check.embedded", 50),
    Part("memory", "gpu_check.memory", 45),
    Part("out_of_memory", "gpu_check.out_of_memory", 40),
    Part("second_thread", "gpu_check.second_thread", 40),
    Part("lost_context", "gpu_check.lost_context", 40),
    Part("tests", "gpu_check.gpu_tests", 60),
    Part("onnxruntime", "gpu_check.onnx_runtime", 90),
    Part("aotinductor", "gpu_check.aot_inductor", 110),
)


def choose(names: str) -> tuple[Part, ...]:
    """The parts of these names, separated by commas; "capture" stands for all of its families.

    Raises ValueError for a name that is none.
    """
    chosen = []
    for name in filter(None, names.split(",")):
        found = [part for part in PARTS if part.name == name or part.name.startswith(f"{name}.")]
        if not found:
            raise ValueError(f"there is no part {name!r}; use {', '.join(part.name for part in PARTS)}")
        chosen += found
    return tuple(chosen)
