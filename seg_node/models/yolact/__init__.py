"""YOLACT and YOLACT++, with the checkpoints of dbolya/yolact.

Nothing here is imported by another family.
"""
