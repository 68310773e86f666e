"""The semantic branch of Panoptic FPN (Kirillov et al. 2019): what stuff each pixel belongs to.

Source: Detectron2 `modeling/meta_arch/semantic_seg.py: SemSegFPNHead`.
"""

from collections.abc import Mapping, Sequence
from functools import reduce
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seg_node.models.backbones import NormLayer, conv_norm, count_numbered

_LARGE = 1 << 26  # logits that are resized at once: 256 MB


class SemanticHead(nn.Module):
    """Pyramid → class logits (N, classes, H/4, W/4): every map is brought to stride 4, and they are added.

    widths: of each pyramid level, fine to coarse, the convolutions' outputs; behind each one the map is
    enlarged to double size, except on the finest level, which has stride 4 already.
    num_classes counts class 0, "a thing".
    """

    def __init__(
        self, in_channels: int, widths: Sequence[Sequence[int]], num_classes: int, norm: NormLayer | None
    ) -> None:
        super().__init__()
        self.levels = nn.ModuleList(
            _level([in_channels, *outputs], norm, enlarged=level > 0) for level, outputs in enumerate(widths)
        )
        self.predictor = nn.Conv2d(widths[0][-1], num_classes, 1)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        maps = [level(x) for level, x in zip(self.levels, features, strict=False)]
        return self.predictor(reduce(torch.add, maps))


def _level(widths: Sequence[int], norm: NormLayer | None, enlarged: bool) -> nn.Sequential:
    layers: list[nn.Module] = []
    for a, b in pairwise(widths):
        layers.append(conv_norm(a, b, 3, norm))
        if enlarged:
            layers.append(nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False))
    return nn.Sequential(*layers)


def build_semantic_head(tensors: Mapping[str, Tensor], prefix: str, norm: NormLayer | None) -> SemanticHead:
    """The head whose tensors are named `prefix` + levels.0.0.0.weight, …; weights random.

    Raises KeyError with the name of a tensor that should be there.
    """
    levels = [f"{prefix}levels.{level}." for level in range(count_numbered(tensors, f"{prefix}levels."))]
    widths = [
        [tensors[f"{level}{2 * i}.0.weight"].shape[0] for i in range(count_numbered(tensors, level))]
        for level in levels
    ]
    in_channels = tensors[f"{prefix}levels.0.0.0.weight"].shape[1]
    return SemanticHead(in_channels, widths, tensors[f"{prefix}predictor.weight"].shape[0], norm)


def classify_pixels(logits: Tensor, input_size: tuple[int, int], image_size: tuple[int, int]) -> Tensor:
    """The class of each pixel of the camera image, the first of equal ones: int64 or int32 (H, W).

    logits: (classes, h/4, w/4) of the padded input. input_size: (height, width) of the input without padding.
    Source: Detectron2 `modeling/postprocessing.py: sem_seg_postprocess`.
    """
    enlarged = F.interpolate(logits[None], scale_factor=4, mode="bilinear", align_corners=False)
    cropped = enlarged[..., : input_size[0], : input_size[1]]
    if len(logits) * image_size[0] * image_size[1] > _LARGE:
        return _classify_one_by_one(cropped, image_size).to(torch.int32)
    resized = F.interpolate(cropped, size=image_size, mode="bilinear", align_corners=False)[0]
    return resized.max(0).indices  # as argmax, five times faster on the CPU


def _classify_one_by_one(logits: Tensor, image_size: tuple[int, int]) -> Tensor:
    """The same of images whose logits, of all classes together, would take gigabytes."""

    def resized(number: int) -> Tensor:
        one = logits[:, number : number + 1]
        return F.interpolate(one, size=image_size, mode="bilinear", align_corners=False)[0, 0]

    def compare(other: Tensor, number: int) -> None:  # whose logits are gone before the next class's come
        numbers.masked_fill_(other > highest, number)
        torch.maximum(highest, other, out=highest)

    highest = resized(0)
    kind = torch.uint8 if logits.shape[1] <= 256 else torch.int16
    numbers = torch.zeros(image_size, dtype=kind, device=logits.device)
    for number in range(1, logits.shape[1]):
        compare(resized(number), number)
    return numbers
