"""Memory that runs out while a graph is recorded: an error of its own, and the next frame as before."""

import torch

from gpu_check.frames import noise_frames
from gpu_check.recordings import counted_graphs, heard_warnings
from gpu_check.report import Report
from gpu_check.setting import Setting
from seg_node.engine import Engine, OutOfMemory
from seg_node.models.load import load_model

_SMALL, _LARGE = (480, 640), (2160, 3840)
_ROOM = 32 << 20  # bytes beyond what is held: too few for the large image


def check(report: Report, setting: Setting) -> None:
    setting.need_gpu()
    engine = Engine(load_model(), setting.device, "bf16")
    (small,), (large,) = noise_frames(1, _SMALL), noise_frames(1, _LARGE)
    before = engine.segment(small, engine.default_options)
    torch.cuda.empty_cache()
    everything = torch.cuda.get_device_properties(setting.device).total_memory
    share = (torch.cuda.memory_reserved(setting.device) + _ROOM) / everything
    torch.cuda.set_per_process_memory_fraction(share, setting.device)
    with heard_warnings(setting) as warned:
        try:
            engine.segment(large, engine.default_options)
            answer = "it fitted"
        except OutOfMemory as error:
            answer = f"OutOfMemory: {error}"
    torch.cuda.set_per_process_memory_fraction(1.0, setting.device)
    with counted_graphs() as graphs:
        after = [engine.segment(small, engine.default_options) for _ in range(2)]
    problems = []
    if any(len(one.instances) != len(before.instances) for one in after):
        problems.append("the frame after it gives other objects")
    if graphs.failed or any("CUDA graphs" in text for text in warned):
        problems.append("graphs are given up")
    report.judge("a 3840x2160 image", problems, answer=answer, recorded_again=graphs.recorded)
