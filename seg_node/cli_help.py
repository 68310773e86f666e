# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""The subcommands' --help texts."""

SEGMENT_HELP = """\
Segments images, a video or a ROS bag with a model, without ROS.

writes into DIR:
  instances.json   COCO results: one entry per instance, best first within an image, images in input order
                   (file_name, image_id, category_id, category_name, bbox, score, segmentation as
                   compressed RLE); frames of a video or bag also have stamp_ns
  panoptic.json, panoptic/*.png
                   COCO panoptic format, if the model has stuff classes
  annotated/*      each image with its objects drawn, under its own name; one video for a video or bag.
                   Instances scored over 0.5 are drawn; with --score-threshold all are

image_id is the number in a file name made of digits (000000000139.jpg: 139), else 1, 2, 3 …
category_id is the class id of the model's checkpoint or of the --labels file, as in the ROS messages; it may
differ from COCO's.
Results of an earlier run in DIR are replaced. Ctrl-C writes the results so far.
Images are turned upright by their EXIF orientation, as in cv2.imread and Detectron2; sizes and coordinates
are those of the upright image.
An image, frame or message that cannot be read is reported and skipped; the exit status is then 1. Files of a
folder that are not pictures are skipped and counted."""

EVALUATE_HELP = """\
Compares a model's results with ground truth in COCO's formats and prints a table. Classes are matched by
name, ignoring case: those known to both sides are scored, the others are listed. With groups in the --labels
file the names are those of the groups; --by-group also joins the ground truth's categories into the groups.

writes into DIR:
  evaluation.json  mask_ap, mask_ap50, box_ap, box_ap50 with --coco (COCO's AP, by pycocotools);
                   pq, sq, rq for all, things and stuff with --panoptic (as panopticapi computes them);
                   all from 0 to 1; per_class, classes, images, images_left_out, median_ms, device, precision,
                   model, by_group, ground_truth, ground_truth_notes, date, versions
  instances.json   the predictions as COCO results in the ground truth's category ids, with --coco
  panoptic.json, panoptic/*.png
                   the predictions in COCO's panoptic format, with --panoptic

The thresholds are those of the model's reference; AP rises as the score threshold falls.
Ground truth segments of classes that the model does not know are neither hits nor misses, but a prediction
on top of them is as wrong as elsewhere. Predicted segments of classes that the ground truth does not know
are dropped: their pixels are void. The ground truth is assumed to be exhaustive for each of its classes.
An object with a box and no mask is ignored where masks are compared. A map with one channel (grey, palette)
is read if its values are the ids of its segments. Accepted deviations from COCO's formats are reported, one
line for each kind; files that cannot be read are refused before the model is loaded.
An image that is missing, cannot be read or differs in size from the ground truth is reported and skipped;
the exit status is then 1. Predictions are written even when the run is stopped."""

EXPORT_HELP = """\
Compiles the part of a model that takes most of the time (backbone, pyramid, dense heads) for one size of
camera image. The node's parameter engine and --engine of other commands then run FILE in its place.

  FILE.pt2   machine code (AOTInductor) for this kind of processor, device and version of PyTorch, in fp32,
             bf16 or fp16: the fastest on a CPU. Loading executes it: load only files you made.
  FILE.onnx  for ONNX Runtime on any machine, with TensorRT or CUDA where available; in fp32, or in fp16
             for GPUs. Needs onnx and onnxscript.

Each file fits one model and one image size (or others that are resized to the same network input); anything
else is refused. The comparison with PyTorch on the device is printed and noted in the file. More in
docs/export.md."""

TRAIN_HELP = """\
Trains a Mask R-CNN on your own objects, or a Panoptic FPN if panoptic maps are given, from data in COCO's
formats. --data starts a data set; --images, --panoptic, --panoptic-dir and --weight after it belong to it.
It may be repeated: the data sets are mixed. The same holds for --val.

An image record may have "exhaustive_categories": [names], the categories whose every object is drawn
(default: all of the file's). Whatever else is in the picture is then not trained as background.

--classes names a YAML file with the classes to learn and the categories that each of them includes ("*": all
others):
  things: {cup: [mug, wine glass], food: [banana, apple], box: []}
  stuff: {table: [dining table, table-merged], other: "*"}
Without it the categories of the data are the classes.

writes into DIR, and resumes from there when it is run again after an interruption:
  model.safetensors     the model, for --weights and the node's model.weights
  losses.csv, validation.csv, training.png
                        the progress of the training (the picture needs matplotlib)
  last.pt               the state to resume from
  validation/           the ground truth of --val in the model's classes, for seg_node evaluate

Training is repeatable with the same seed, steps and data: exactly on the CPU with OMP_NUM_THREADS=1,
elsewhere up to rounding."""

FETCH_HELP = """\
Downloads published weights into $SEG_NODE_CACHE (default ~/.cache/seg_node) and checks their SHA-256.
Nothing else in seg_node downloads; --weights NAME and the node's model.weights read them from there."""
