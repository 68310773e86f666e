"""SOLO, Decoupled SOLO and SOLOv2, with the checkpoints of WXinlong/SOLO, mmdetection and AdelaiDet.

Nothing here is imported by another family.
"""
