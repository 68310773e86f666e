# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Names of SOLO tensors in checkpoints ↔ names in the network.

WXinlong/SOLO's `bbox_head` is mmdetection's `mask_head`; AdelaiDet's `mask_head` is SOLOv2's mask features.
"""

import re
from collections.abc import Iterable

# (checkpoint's name, network's name); {} matches the same part on both sides; other names are equal
Dialect = tuple[tuple[str, str], ...]


def _with_offsets(*pairs: tuple[str, str]) -> Dialect:
    """Add the names of deformable convolutions' offsets, in two spellings."""
    convs = [(stored.removesuffix("{}"), module.removesuffix("{}")) for stored, module in pairs]
    convs = [(stored, module) for stored, module in convs if stored.endswith(".conv.")]
    return (
        *((f"{stored}conv_offset.{{}}", f"{module}conv_offset.{{}}") for stored, module in convs),
        *((f"{stored[:-1]}_offset.{{}}", f"{module}conv_offset.{{}}") for stored, module in convs),
        *pairs,
    )


_BACKBONE_AND_PYRAMID: Dialect = (
    ("backbone.{}.{}.{}.conv_offset.{}", "backbone.{}.{}.{}.conv_offset.{}"),
    ("backbone.{}.{}.conv2_offset.{}", "backbone.{}.{}.conv2.conv_offset.{}"),  # older
    ("neck.lateral_convs.{}.conv.{}", "fpn.inner_blocks.{}.0.{}"),
    ("neck.fpn_convs.{}.conv.{}", "fpn.layer_blocks.{}.0.{}"),
)
_WXINLONG: Dialect = _with_offsets(
    *_BACKBONE_AND_PYRAMID,
    ("mask_feat_head.convs_all_levels.{}.conv{}.conv.{}", "head.mask_feat.convs_all_levels.{}.{}.0.{}"),
    ("mask_feat_head.convs_all_levels.{}.conv{}.gn.{}", "head.mask_feat.convs_all_levels.{}.{}.1.{}"),
    ("mask_feat_head.conv_pred.0.conv.{}", "head.mask_feat.conv_pred.0.{}"),
    ("mask_feat_head.conv_pred.0.gn.{}", "head.mask_feat.conv_pred.1.{}"),
    ("bbox_head.{}_convs{}.{}.conv.{}", "head.{}_convs{}.{}.0.{}"),
    ("bbox_head.{}_convs{}.{}.gn.{}", "head.{}_convs{}.{}.1.{}"),
    ("bbox_head.{}.{}.{}", "head.{}.{}.{}"),
    ("bbox_head.{}.{}", "head.{}.{}"),
)
_WXINLONG_DECOUPLED: Dialect = (
    ("bbox_head.dsolo_ins_list_{}.{}.{}", "head.solo_ins_list_{}.{}.{}"),
    ("bbox_head.dsolo_cate.{}", "head.solo_cate.{}"),
    *_WXINLONG,
)
_MMDETECTION: Dialect = _with_offsets(
    *_BACKBONE_AND_PYRAMID,
    (
        "mask_head.mask_feature_head.convs_all_levels.{}.conv{}.conv.{}",
        "head.mask_feat.convs_all_levels.{}.{}.0.{}",
    ),
    (
        "mask_head.mask_feature_head.convs_all_levels.{}.conv{}.gn.{}",
        "head.mask_feat.convs_all_levels.{}.{}.1.{}",
    ),
    ("mask_head.mask_feature_head.conv_pred.conv.{}", "head.mask_feat.conv_pred.0.{}"),
    ("mask_head.mask_feature_head.conv_pred.gn.{}", "head.mask_feat.conv_pred.1.{}"),
    ("mask_head.cls_convs.{}.conv.{}", "head.cate_convs.{}.0.{}"),
    ("mask_head.cls_convs.{}.gn.{}", "head.cate_convs.{}.1.{}"),
    ("mask_head.mask_convs{}.{}.conv.{}", "head.ins_convs{}.{}.0.{}"),
    ("mask_head.mask_convs{}.{}.gn.{}", "head.ins_convs{}.{}.1.{}"),
    ("mask_head.kernel_convs.{}.conv.{}", "head.kernel_convs.{}.0.{}"),
    ("mask_head.kernel_convs.{}.gn.{}", "head.kernel_convs.{}.1.{}"),
    ("mask_head.conv_mask_list{}.{}.{}", "head.solo_ins_list{}.{}.{}"),
    ("mask_head.conv_cls.{}", "head.solo_cate.{}"),
    ("mask_head.conv_kernel.{}", "head.solo_kernel.{}"),
)
_ADELAIDET: Dialect = (
    ("backbone.bottom_up.stem.conv1.norm.{}", "backbone.bn1.{}"),
    ("backbone.bottom_up.stem.conv1.{}", "backbone.conv1.{}"),
    *(
        (f"backbone.bottom_up.res{stage + 1}.{stored}", f"backbone.layer{stage}.{module}")
        for stage in (1, 2, 3, 4)
        for stored, module in (
            ("{}.conv{}.norm.{}", "{}.bn{}.{}"),
            ("{}.conv{}.{}", "{}.conv{}.{}"),
            ("{}.shortcut.norm.{}", "{}.downsample.1.{}"),
            ("{}.shortcut.{}", "{}.downsample.0.{}"),
        )
    ),
    *((f"backbone.fpn_lateral{i + 2}.{{}}", f"fpn.inner_blocks.{i}.0.{{}}") for i in range(4)),
    *((f"backbone.fpn_output{i + 2}.{{}}", f"fpn.layer_blocks.{i}.0.{{}}") for i in range(4)),
    # AdelaiDet numbers convolution, norm and ReLU of a tower consecutively
    *(
        (f"ins_head.{{}}_tower.{3 * i + part}.{{}}", f"head.{{}}_convs.{i}.{part}.{{}}")
        for i in range(8)
        for part in (0, 1)
    ),
    ("ins_head.cate_pred.{}", "head.solo_cate.{}"),
    ("ins_head.kernel_pred.{}", "head.solo_kernel.{}"),
    ("mask_head.convs_all_levels.{}.conv{}.{}.{}", "head.mask_feat.convs_all_levels.{}.{}.{}.{}"),
    ("mask_head.conv_pred.{}.{}", "head.mask_feat.conv_pred.{}.{}"),
)
# tensor that only this dialect has → dialect
_DIALECTS: tuple[tuple[str, Dialect], ...] = (
    ("ins_head.kernel_pred.weight", _ADELAIDET),
    ("bbox_head.dsolo_ins_list_x.0.weight", _WXINLONG_DECOUPLED),
    ("bbox_head.solo_ins_list.0.weight", _WXINLONG),
    ("bbox_head.solo_kernel.weight", _WXINLONG),
    ("mask_head.conv_mask_list.0.weight", _MMDETECTION),
    ("mask_head.conv_mask_list_x.0.weight", _MMDETECTION),
    ("mask_head.conv_kernel.weight", _MMDETECTION),
)


def find_dialect(names: Iterable[str]) -> Dialect | None:
    """Recognise the software that the names are from; None if they are not a SOLO's."""
    known = set(names)
    return next((dialect for name, dialect in _DIALECTS if name in known), None)


def is_adelaidet(dialect: Dialect) -> bool:
    return dialect is _ADELAIDET


def to_network_name(name: str, dialect: Dialect) -> str:
    """Return the network's name of a checkpoint's tensor."""
    return _translate(name, ((stored, module) for stored, module in dialect))


def to_checkpoint_name(name: str, dialect: Dialect) -> str:
    """Return the checkpoint's name of the network's tensor."""
    return _translate(name, ((module, stored) for stored, module in dialect))


def _translate(name: str, pairs: Iterable[tuple[str, str]]) -> str:
    for template, other in pairs:
        match = re.fullmatch(re.escape(template).replace(r"\{\}", "([^.]*)"), name)
        if match:
            return other.format(*match.groups())
    return name
