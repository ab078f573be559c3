"""Segments photos with a trained model.

python segment.py --model=runs/scenes_rnn photo.jpg
    Writes segmented/photo_classes.png (class ids) and segmented/photo_overlay.jpg (with a legend).
python segment.py --model=model_zoo/camvid_rnn --iters=3 --output_dir=out holiday/ photo.png
    Photos of a folder and a single one, at half the usual iterations. Run again, it goes on where it was stopped.
python segment.py --model=deeplabv3_mnv2_pascal/model.ckpt-30000.index photo.jpg
    A weights file of DeepLab on MobileNetV2 (checkpoint or .npz under its names): the 21 classes of PASCAL VOC.
"""

from absl import flags

from tfseg import commands
from tfseg.errors import InputError

MODEL = flags.DEFINE_string("model", None, "Run directory, folder of the model zoo, or DeepLab weights file.")
WEIGHTS = flags.DEFINE_enum("weights", "last", ["last", "best"], "Which weights of a run.")
OUTPUT_DIR = flags.DEFINE_string("output_dir", "segmented", "Folder of the results.")
ITERS = flags.DEFINE_integer("iters", None, "Iterations of a recurrent model; default is the number trained.")
STRIP = flags.DEFINE_boolean("strip", False, "Also write <name>_strip.png: the class map after every iteration.")
OVERWRITE = flags.DEFINE_boolean("overwrite", False, "Segment again what is in --output_dir already.")
MAX_PIXELS = flags.DEFINE_integer("max_pixels", 100_000_000, "Larger images are refused.")


def main(argv):
    if MODEL.value is None:
        raise InputError("--model is missing: the run directory that train.py wrote, or a folder of the model zoo")
    if len(argv) == 1:
        raise InputError("which photos? Give image files or folders: python segment.py --model=DIR photo.jpg folder/")
    from tfseg import photos
    from tfseg.predictor import Predictor

    predictor = Predictor.load(MODEL.value, WEIGHTS.value)
    options = photos.PhotoOptions(OUTPUT_DIR.value, ITERS.value, OVERWRITE.value, STRIP.value, MAX_PIXELS.value)
    photos.report_outcome(photos.segment_files(predictor, argv[1:], options), OUTPUT_DIR.value)


if __name__ == "__main__":
    commands.run(main)
