"""The flags of the commands that read raw data; see `raw.ConvertOptions`."""

from absl import flags

from tfseg.data.conversion.palette import parse_value_map
from tfseg.data.conversion.raw import ConvertOptions
from tfseg.formats.image_file import MAX_PIXELS

PALETTE = flags.DEFINE_string(
    "palette",
    None,
    "Table that explains colour-coded masks of --dataset=folder: lines 'name red green blue', or class_dict.csv, "
    "labelmap.txt.",
)
MAP = flags.DEFINE_string(
    "map",
    None,
    "Mask value:class id of --dataset=folder, e.g. 255:1 for black and white masks, 10:0,20:1, or a range, 1..254:1.",
)
INSTANCE_DIVISOR = flags.DEFINE_integer(
    "instance_divisor",
    None,
    "Of instances/ of --dataset=folder: N if a number is class * N + object, e.g. 1000; else all are of one class.",
    lower_bound=2,
)
SKIP_BAD = flags.DEFINE_boolean(
    "skip_bad", False, "Leave bad files out and list them in skipped.txt; fails if they are more than 1 %."
)
MAX_PIXELS_FLAG = flags.DEFINE_integer("max_pixels", MAX_PIXELS, "Larger images are refused.", lower_bound=1)
NUM_WORKERS = flags.DEFINE_integer("num_workers", None, "Processes; default one per core.", lower_bound=1)
VAL_SHARE = flags.DEFINE_float("val_share", 0.2, "Share of images for val where --dataset=folder has no val split.")
SEED = flags.DEFINE_integer("seed", 0, "Of that split; more images do not reshuffle the old ones.")
FOLD = flags.DEFINE_string(
    "fold", "", "K/N, e.g. 2/5: of --dataset=folder, val is part K of N of all labelled images, train the others."
)
LONGEST_SIDE = flags.DEFINE_integer(
    "longest_side", None, "Shrink larger images and their labels to this many pixels, e.g. 1441.", lower_bound=1
)
CROWD_AS_IGNORE = flags.DEFINE_boolean(
    "crowd_as_ignore", False, "Ignore pixels of things that belong to no single instance; else they keep their class."
)
MASK_ORIENTATION = flags.DEFINE_enum(
    "mask_orientation",
    None,
    ["upright", "stored"],
    "How masks lie whose photo has an EXIF orientation: upright, as viewers show the photo, or as its pixels are "
    "stored. Default: as the sizes of the set's masks show, which those of square photos and half turns do not.",
)
ANNOTATIONS = flags.DEFINE_string(
    "annotations",
    None,
    "File of an annotation tool, or folder of them, that --dataset=folder reads in place of masks: COCO instances, "
    "labelme, YOLO, CVAT, Label Studio, Roboflow. Default: those found where there are no masks.",
)
UNCOVERED = flags.DEFINE_enum(
    "uncovered",
    "background",
    ["background", "ignored"],
    "Pixels that no annotated object covers: class 0, background, or ignored; then photographs without objects are "
    "left out.",
)


def conversion_options() -> ConvertOptions:
    """The ConvertOptions that the flags describe. Raises InputError for a bad value."""
    return ConvertOptions(
        palette=PALETTE.value,
        value_map=parse_value_map(MAP.value or ""),
        instance_divisor=INSTANCE_DIVISOR.value,
        skip_bad=SKIP_BAD.value,
        max_pixels=MAX_PIXELS_FLAG.value,
        num_workers=NUM_WORKERS.value,
        val_share=VAL_SHARE.value,
        seed=SEED.value,
        fold=FOLD.value,
        longest_side=LONGEST_SIDE.value,
        crowd_as_ignore=CROWD_AS_IGNORE.value,
        mask_orientation=MASK_ORIENTATION.value,
        annotations=ANNOTATIONS.value,
        uncovered=UNCOVERED.value,
    )
