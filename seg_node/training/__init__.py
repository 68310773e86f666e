"""`seg_node train`: Mask R-CNN and Panoptic FPN from data in COCO's formats. Nothing else imports this."""
