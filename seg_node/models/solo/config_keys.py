# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""The keys of SOLO configurations of WXinlong/SOLO or mmdetection: checked, read or ignored.

A section is a dictionary in the file; "head" is bbox_head or mask_head, "mask features" is mask_feat_head or
mask_feature_head, and some are steps of the test pipeline.
"""

from collections.abc import Mapping
from typing import Any

_GROUP_NORM = ({"type": "GN", "num_groups": 32}, {"type": "GN", "num_groups": 32, "requires_grad": True})
_BATCH_NORM = tuple(
    {"type": kind, **rest}
    for kind in ("BN", "SyncBN")
    for rest in ({}, {"requires_grad": True}, {"requires_grad": False})
)
_HEADS = (
    *("SOLOHead", "DecoupledSOLOHead", "DecoupledSOLOLightHead"),
    *("SOLOv2Head", "SOLOv2LightHead", "SOLOV2Head"),
)
# keys that change the results, with their supported values, by section
SUPPORTED: Mapping[str, Mapping[str, tuple[Any, ...]]] = {
    "model": {"type": ("SOLO", "SOLOv2", "DecoupledSOLO")},
    "backbone": {
        "type": ("ResNet", "ResNeXt"),
        "num_stages": (4,),
        "out_indices": ([0, 1, 2, 3],),
        "style": ("pytorch", "caffe"),
        "norm_cfg": _BATCH_NORM,
        "conv_cfg": (None,),
        "plugins": (None,),
        "gcb": (None,),
        "gen_attention": (None,),
        "strides": ([1, 2, 2, 2],),
        "dilations": ([1, 1, 1, 1],),
        "deep_stem": (False,),
        "avg_down": (False,),
    },
    "deformable convolutions": {
        "type": ("DCN", "DCNv2"),
        "deformable_groups": (1,),
        "deform_groups": (1,),
    },
    "neck": {
        "type": ("FPN",),
        "start_level": (0,),
        "end_level": (-1,),
        "num_outs": (5,),
        "add_extra_convs": (False,),
        "extra_convs_on_inputs": (False, True),  # no effect without extra convolutions
        "relu_before_extra_convs": (False, True),
        "no_norm_on_lateral": (False, True),
        "norm_cfg": (None,),
        "conv_cfg": (None,),
        "act_cfg": (None,),
        "activation": (None,),
        "upsample_cfg": ({"mode": "nearest"},),
    },
    "head": {
        "type": _HEADS,
        "cate_down_pos": (0,),
        "cls_down_index": (0,),
        "with_deform": (False,),
        "conv_cfg": (None,),
        "norm_cfg": _GROUP_NORM,
        "dynamic_conv_size": (1,),
    },
    "mask features": {
        "type": ("MaskFeatHead",),
        "start_level": (0,),
        "end_level": (3,),
        "norm_cfg": _GROUP_NORM,
    },
    "test_cfg": {"kernel": ("gaussian", "linear")},
    "data_preprocessor": {
        "type": ("DetDataPreprocessor",),
        "rgb_to_bgr": (False,),
        "pad_value": (0,),
        "batch_augments": (None,),
    },
    "MultiScaleFlipAug": {"flip": (False,), "scale_factor": (None,)},
    "Resize": {
        "keep_ratio": (True,),
        "ratio_range": (None,),
        "scale_factor": (None,),
        "backend": ("cv2",),
        "interpolation": ("bilinear",),
    },
    "Normalize": {},
    "Pad": {"size": (None,), "pad_val": (0, {"img": 0}), "pad_to_square": (False,)},
}
# words: keys whose values are read, or that are sections themselves
READ: Mapping[str, str] = {
    "model": "backbone neck bbox_head mask_head mask_feat_head test_cfg data_preprocessor",
    "backbone": "dcn",
    "head": "dcn_cfg num_classes strides num_grids mask_feature_head",
    "mask features": "conv_cfg mask_stride",
    "test_cfg": "nms_pre score_thr mask_thr update_thr filter_thr sigma max_per_img",
    "data_preprocessor": "mean std bgr_to_rgb pad_size_divisor",
    "MultiScaleFlipAug": "img_scale transforms",
    "Resize": "img_scale scale",
    "Normalize": "mean std to_rgb",
    "Pad": "size_divisor",
}
# derived from the tensors, or used in training only
IGNORED_KEYS: Mapping[str, str] = {
    "model": "pretrained init_cfg train_cfg",
    "backbone": """depth groups base_width base_channels in_channels stem_channels frozen_stages norm_eval
        zero_init_residual with_cp init_cfg pretrained stage_with_dcn""",
    "deformable convolutions": "modulated fallback_on_stride",
    "neck": "in_channels out_channels init_cfg",
    "head": """in_channels stacked_convs seg_feat_channels feat_channels ins_out_channels scale_ranges sigma
        pos_scale base_edge_list loss_ins loss_cate loss_mask loss_cls init_cfg use_dcn_in_tower type_dcn
        dcn_apply_to_all_conv train_cfg test_cfg""",
    "mask features": "in_channels out_channels feat_channels mask_feat_channels num_classes init_cfg",
    "data_preprocessor": "pad_mask pad_seg mask_pad_value seg_pad_value boxtype2tensor non_blocking",
    "MultiScaleFlipAug": "flip_direction",
    "Resize": "multiscale_mode override bbox_clip_border clip_object_border",
    "Pad": "masks",
}
HARMLESS_STEPS = """LoadImageFromFile LoadAnnotations RandomFlip ImageToTensor DefaultFormatBundle Collect
    PackDetInputs"""
TOP_LEVEL_READ = "model test_cfg img_norm_cfg data test_pipeline test_dataloader classes metainfo"
TOP_LEVEL_IGNORED = """train_cfg val_cfg dataset_type data_root train_pipeline val_pipeline
    train_dataloader val_dataloader
    val_evaluator test_evaluator optimizer optimizer_config optim_wrapper lr_config param_scheduler
    checkpoint_config log_config evaluation total_epochs max_epochs interval runner device_ids gpu_ids device
    dist_params log_level log_processor work_dir load_from resume_from resume auto_resume workflow
    default_scope default_hooks custom_hooks custom_imports env_cfg vis_backends visualizer auto_scale_lr
    backend_args file_client_args seed fp16 opencv_num_threads mp_start_method cudnn_benchmark
    tta_model tta_pipeline launcher find_unused_parameters"""
