"""Mask R-CNN and Panoptic FPN, with the checkpoints of torchvision and Detectron2.

Nothing here is imported by another family.
"""
