"""COCO average precision and panoptic quality against ground truth that was checked first.

Running a model over the images belongs to commands/.
"""
