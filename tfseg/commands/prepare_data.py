"""Converts a data set into TFRecords.

python prepare_data.py --dataset=camvid --raw_dir=CamVid --data_dir=records/camvid
    Reads the data as downloaded (a folder or archive), and writes shards and manifest.json into a new folder. The other
    commands take that folder as --data_dir. (They also take raw data, which they convert into the cache themselves.)
python prepare_data.py --dataset=folder --raw_dir=photos --data_dir=records/photos
    Your own data: files of the same name in photos/images and photos/masks. A mask is a PNG of class ids, 255 =
    ignored; photos/classes.txt may name the classes, one per line. Without train and val folders in these two, 20 % of
    the images become val.
python prepare_data.py --dataset=folder --raw_dir=photos --data_dir=records/photos --map=255:1
    Black and white masks. For colour-coded masks give --palette=colours.txt, with one class per line: name red green
    blue. For masks of photos with an EXIF orientation say --mask_orientation=upright or stored, if you are asked.
python prepare_data.py --dataset=folder --raw_dir=export --data_dir=records/export
    What an annotation tool exports (COCO instances, labelme, YOLO, CVAT, Label Studio, Roboflow), with its photographs:
    see docs/annotations.md. If the annotations lie elsewhere, give them as --annotations=FILE or DIR.
python prepare_data.py --dataset=folder --raw_dir=photos --data_dir=records/photos --runner=DirectRunner
    The same records, made by a runner of Apache Beam, on this machine or on many: see docs/beam.md.

If some files cannot be used, all of them are listed together and nothing is written.
"""

import functools

from absl import flags

import tfseg
from tfseg.commands import beam_flags, conversion_flags, help_texts
from tfseg.commands.program import as_typed

FLAGS = flags.FLAGS
prepare = None


def define_flags():
    """Defines the flags of the command."""
    flags.DEFINE_string("dataset", None, help_texts.DATASET_HELP)
    flags.DEFINE_string("raw_dir", None, "The data as downloaded: a folder, .zip or .tar.gz; not for generated data.")
    flags.DEFINE_string("data_dir", None, "New folder for the records.")
    flags.mark_flags_as_required(["dataset", "data_dir"])
    flags.adopt_module_key_flags(conversion_flags)
    flags.adopt_module_key_flags(beam_flags)


def main(argv):
    if len(argv) > 1:
        raise tfseg.errors.InputError(f"unexpected arguments: {' '.join(argv[1:])}")
    from tfseg.beam import record_shards
    from tfseg.data import opening, tfrecord

    options = conversion_flags.conversion_options()
    runner = beam_flags.checked_runner(f"{FLAGS.data_dir}.beam.log")
    write = functools.partial(record_shards.write_splits, runner=runner) if runner else tfrecord.write_splits
    manifest = opening.prepare(FLAGS.dataset, FLAGS.raw_dir, FLAGS.data_dir, options, write)
    for split, records in manifest.splits.items():
        print(f"{split}: {records.num_examples} images in {len(records.shards)} shards")
    print(as_typed(f"look at it: python check_data.py {FLAGS.data_dir}"))
