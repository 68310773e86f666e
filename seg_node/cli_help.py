"""What the subcommands say about themselves with --help."""

SEGMENT_HELP = """\
Segments images, a video or a ROS bag with a model, without ROS.

writes into DIR:
  instances.json   COCO results: one entry an instance, best first within an image, images in input order
                   (file_name, image_id, category_id, category_name, bbox, score, segmentation as
                   compressed RLE); frames of a video or bag also have stamp_ns
  panoptic.json, panoptic/*.png
                   COCO panoptic format, where the model knows stuff classes
  annotated/*      every image with its objects drawn, under its own name; for a video or bag one video.
                   Drawn are instances scored over 0.5, or all with --score-threshold

image_id is the number in a file name made of digits (000000000139.jpg: 139), else 1, 2, 3 …
category_id is the class id of the model's checkpoint, as in the ROS messages, and not always COCO's.
Results of an earlier run in DIR are replaced. After Ctrl-C the results so far are written.
Images are turned upright as their EXIF orientation says, as cv2.imread and Detectron2 do; sizes and
coordinates are those of the upright image.
An image, frame or message that cannot be read is named and left out; the exit status is then 1. Files of a
folder that are no pictures are passed over and counted."""

EVALUATE_HELP = """\
Compares a model's answers with ground truth in COCO's formats and prints a table. Classes are matched by
name, upper and lower case alike: those known to both sides are scored, the others are listed.

writes into DIR:
  evaluation.json  mask_ap, mask_ap50, box_ap, box_ap50 with --coco (COCO's AP, by pycocotools);
                   pq, sq, rq of all, things and stuff with --panoptic (as panopticapi computes them);
                   all from 0 to 1; per_class, classes, images, images_left_out, median_ms, device, precision,
                   model, ground_truth, ground_truth_notes, date, versions
  instances.json   what was predicted, as COCO results in the ground truth's category ids, with --coco
  panoptic.json, panoptic/*.png
                   what was predicted, in COCO's panoptic format, with --panoptic

The model's own thresholds, those of its reference, are used: AP is higher the lower the score threshold.
Ground truth segments of classes that the model does not know are neither hit nor missed, but a prediction on
top of them is as wrong as elsewhere. Predicted segments of classes that the ground truth does not know are
left out: their pixels are void. The ground truth is taken to be complete for each of its classes.
An object with a box and no mask is ignored where masks are compared. A map with one channel (grey, palette)
is read when its values are the ids of its segments. What the file has in another form than COCO's and was
read all the same is said in one line a kind; what cannot be read is refused before the model is loaded.
An image that is missing, cannot be read or has another size than the ground truth says is named and left
out; the exit status is then 1. What was predicted is written even when the run is stopped."""

EXPORT_HELP = """\
Compiles the part of a model that takes most of the time (backbone, pyramid, dense heads) for one size of
camera image into FILE, which the node's parameter engine and --engine of other commands take in its place.

  FILE.pt2   machine code (AOTInductor) for this kind of processor, device and version of PyTorch, in fp32,
             bf16 or fp16: the fastest on a CPU. It is executed when it is loaded: load only files you made.
  FILE.onnx  for ONNX Runtime on any machine, with TensorRT or CUDA where it has them; in fp32, or in fp16
             for GPUs. Needs the packages of seg_node[onnx].

Both are for one model and one image size (any that is resized to the same network input), which is
checked. What is printed compares the file with PyTorch on the device, and is noted in the file. More in
docs/export.md."""

TRAIN_HELP = """\
Trains a Mask R-CNN on your own objects, or a Panoptic FPN where panoptic maps are given, from data in COCO's
formats. --data begins a data set; --images, --panoptic, --panoptic-dir and --weight after it are its own. It
may be given several times: the data sets are mixed. The same holds for --val.

An image record may have "exhaustive_categories": [names], the categories of which every object is drawn
(without it: all of the file's). Whatever else is in the picture is then not taken for background.

--classes names a YAML file with the classes to learn and the categories that mean each of them ("*": all
others):
  things: {cup: [mug, wine glass], food: [banana, apple], box: []}
  stuff: {table: [dining table, table-merged], other: "*"}
Without it the categories of the data are the classes.

writes into DIR, and goes on from there when it is run again after an interruption:
  model.safetensors     the model, for --weights and the node's model.weights
  losses.csv, validation.csv, training.png
                        the course of the training (the picture needs matplotlib)
  last.pt               its state
  validation/           the ground truth of --val in the model's classes, for seg_node evaluate

With the same seed, steps and data a training can be repeated: on the CPU with OMP_NUM_THREADS=1 to the last
bit, else but for rounding."""

FETCH_HELP = """\
Downloads published weights into $SEG_NODE_CACHE (default ~/.cache/seg_node) and checks their SHA-256.
Nothing else in seg_node downloads: --weights NAME and the node's model.weights take them from there."""
