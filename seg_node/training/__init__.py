"""`seg_node train`: fine-tunes the embedded model's network on COCO data sets.

Data for the embedded model itself is made in embedded_model/ at the project's root.
"""
