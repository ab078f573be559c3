"""Checks a data set and shows what is in it.

python check_data.py records/camvid
    Checks records: compares checksums, reads every label and panoptic map, prints how often every class occurs in each
    split, and draws four labels over their images into records/camvid/check.
python check_data.py CamVid --dataset=camvid
    Checks raw data (a folder or archive): first converts them into the cache, and the converter refuses bad labels. The
    flags are those of prepare_data.py.
"""

import os

from absl import flags

import tfseg
from tfseg.commands import conversion_flags, help_texts

FLAGS = flags.FLAGS
prepare = None


def define_flags():
    """Defines the flags of the command."""
    flags.DEFINE_string("dataset", None, f"What raw data are: {help_texts.DATASET_HELP}")
    flags.DEFINE_string("output_dir", None, "Folder for the pictures; default check/ beside the records.")
    flags.DEFINE_string("split", None, "Split of the pictures; default train, or the first if there is none.")
    flags.adopt_module_key_flags(conversion_flags)


def main(argv):
    from tfseg.data import check, manifest, opening
    from tfseg.data.datasets.table import DATASETS

    dataset = DATASETS.get(FLAGS.dataset)
    if len(argv) != 2 and not (len(argv) == 1 and dataset and dataset.is_generated):
        raise tfseg.errors.InputError("give one folder: python check_data.py DIR")
    from tfseg.visualize import overlay

    data_dir = argv[1] if len(argv) == 2 else None
    if FLAGS.dataset:
        data_dir, records = opening.open_dataset(FLAGS.dataset, data_dir, conversion_flags.conversion_options())
    elif not os.path.exists(os.path.join(data_dir, manifest.FILE_NAME)):
        raise tfseg.errors.InputError(f"{data_dir}: no {manifest.FILE_NAME}; if these are raw data add --dataset=...")
    else:
        records = manifest.read_manifest(data_dir)
    split = check.split_of_pictures(records, data_dir, FLAGS.split)
    check.check_records(records, data_dir)
    for name in records.splits:
        print(check.class_table(records, name), end="\n\n")
    output_dir = FLAGS.output_dir or os.path.join(data_dir, "check")
    for path in check.write_overlays(records, data_dir, split, output_dir, overlay):
        print(path)
