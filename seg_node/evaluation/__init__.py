"""COCO average precision and panoptic quality against ground truth, which is checked first.

Running a model over the images belongs to commands/.
"""
