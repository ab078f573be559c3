"""Data sets: raw folders, the text files in them, archives, records, COCO's panoptic format."""

import io
import json
import tarfile
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image
from scipy import io as matlab

from tests.fuzz import pictures
from tests.fuzz.kind import Kind, Target
from tfseg.data import opening
from tfseg.data.conversion.palette import parse_value_map
from tfseg.data.conversion.raw import ConvertOptions
from tfseg.formats.archive import safe_extract
from tfseg.formats.coco_panoptic.annotations import read_annotations
from tfseg.formats.coco_panoptic.writer import PanopticWriter
from tfseg.formats.matlab_file import read_map
from tfseg.labels import DatasetInfo
from tfseg.metrics.panoptic_folders import score_folders

NAMES = ("sky", "road", "car")
COLORS = ((70, 130, 180), (128, 64, 128), (0, 0, 142))
STEMS = ("a", "b", "c")
ARCHIVES = ("zip", "tar", "tar.gz", "tar.bz2", "tar.xz")
INFO = DatasetInfo("folder", NAMES, COLORS, frozenset([2]))


def write_images(folder):
    """Writes a JPEG and PNGs of the toy photo."""
    (folder / "images").mkdir(parents=True)
    for index, stem in enumerate(STEMS):
        photo = Image.fromarray(np.roll(pictures.colors(), index, 1))
        photo.save(folder / "images" / f"{stem}.{'jpg' if stem == 'a' else 'png'}")


def _own_folder(folder):
    raw = folder / "raw"
    write_images(raw)
    (raw / "masks").mkdir()
    for stem in STEMS:
        Image.fromarray(pictures.class_ids()).save(raw / "masks" / f"{stem}.png")
    (raw / "classes.txt").write_text("".join(f"{name}\n" for name in NAMES))


def _colored_folder(folder):
    raw = folder / "raw"
    write_images(raw)
    (raw / "masks").mkdir()
    ids = np.where(pictures.class_ids() == 255, 0, pictures.class_ids())
    for stem in STEMS:
        Image.fromarray(np.array(COLORS, np.uint8)[ids]).save(raw / "masks" / f"{stem}.png")
    rows = [(name, *map(str, color)) for name, color in zip(NAMES, COLORS, strict=True)]
    (folder / "colours.txt").write_text("".join(f"{' '.join(row)}\n" for row in rows))
    (folder / "class_dict.csv").write_text("".join(f"{','.join(row)}\n" for row in [("name", "r", "g", "b"), *rows]))


def _converted(palette=None):
    """Converts the raw folder; returns what the records and their manifest say."""
    manifest = opening.prepare("folder", "raw", "records", ConvertOptions(palette=palette, num_workers=1))
    shards = {path.name: path.read_bytes() for path in Path("records").glob("*.tfrecord")}
    return {"manifest": manifest.to_dict() | {"source": None}, "shards": shards}


def _archives(folder):
    files = {"data/classes.txt": b"sky\nroad\n", "data/masks/a.png": bytes(range(256)) * 8, "data/empty.txt": b""}
    with zipfile.ZipFile(folder / "data.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    for ending in ARCHIVES[1:]:
        with tarfile.open(folder / f"data.{ending}", f"w:{ending.removeprefix('tar').removeprefix('.')}") as archive:
            for name, content in files.items():
                member = tarfile.TarInfo(name)
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))


def _unpacked(prepared, path):
    safe_extract(path, "unpacked")
    files = (file for file in Path("unpacked").rglob("*") if file.is_file())
    return {file.relative_to("unpacked").as_posix(): file.read_bytes() for file in files}


def write_records(folder):
    """Writes a raw folder and its records."""
    _own_folder(folder)
    opening.prepare("folder", folder / "raw", folder / "records", ConvertOptions(num_workers=1))


def _examples(prepared, path):
    """Reads the split in which the damaged file is; the training split if it is the manifest."""
    split = opening.open_split("folder", "records", "val" if "val-" in path else "train")
    with split.damage_named():
        examples = [{key: value.numpy() for key, value in example.items()} for example in split.examples()]
    return {"examples": examples, "info": split.info.to_dict(), "num_examples": split.num_examples}


def _panoptic(folder):
    ids = np.where(pictures.class_ids() == 255, 255, pictures.class_ids()).astype(np.int32)
    labels = ids * INFO.label_divisor + (ids == 2)
    predictions = np.roll(labels, 2, 1)
    for name, maps in (("labels", labels), ("predictions", predictions)):
        with PanopticWriter(folder / f"{name}.json", INFO) as writer:
            for image_id in (1, 2):
                writer.add(image_id, f"{name}_{image_id}", maps)
        path = folder / f"{name}.json"
        path.write_text(json.dumps(json.loads(path.read_text()), indent=1))


def _panoptic_scores(prepared, path):
    labels = read_annotations("labels.json")
    return score_folders(labels, read_annotations("predictions.json", labels), num_workers=1)


def _matlab(folder):
    for name, is_packed in (("plain", False), ("packed", True)):
        matlab.savemat(folder / f"{name}.mat", {"LabelMap": pictures.class_ids()}, do_compression=is_packed)


def _flag(prepared, path):
    return parse_value_map(Path(path).read_bytes().decode(errors="replace"))


OWN_FOLDER = Kind(
    "own folder",
    (
        Target("raw/classes.txt", "text"),
        Target("raw/images/a.jpg"),
        Target("raw/images/b.png", has_checksum=True),
        Target("raw/masks/b.png", has_checksum=True),
    ),
    _own_folder,
    lambda prepared, path: _converted(),
    known_as=("raw:", "raw/"),
)
PALETTE = Kind(
    "palette",
    (Target("colours.txt", "text"), Target("class_dict.csv", "text", may_be_refused=True)),
    _colored_folder,
    lambda prepared, path: _converted(path),
    known_as=("raw/masks/",),
)
VALUE_MAP = Kind(
    "--map",
    (Target("map.txt", "flag"),),
    lambda folder: (folder / "map.txt").write_text("255:1,10:0,20:2"),
    _flag,
    known_as=("--map",),
)
ARCHIVE = Kind(
    "archive",
    tuple(Target(f"data.{ending}", has_checksum=ending != "tar") for ending in ARCHIVES),
    _archives,
    _unpacked,
)
RECORDS = Kind(
    "records",
    (
        Target("records/train-00000-of-00001.tfrecord", has_checksum=True),
        Target("records/val-00000-of-00001.tfrecord", has_checksum=True),
        Target("records/manifest.json", "json"),
    ),
    write_records,
    _examples,
    known_as=("records:", "records/"),
)
PANOPTIC = Kind(
    "panoptic",
    (
        *(Target(f"{name}.json", "json") for name in ("labels", "predictions")),
        *(Target(f"{name}/{name}_1.png", has_checksum=True) for name in ("labels", "predictions")),
    ),
    _panoptic,
    _panoptic_scores,
    known_as=("labels/", "predictions/"),  # a PNG that the JSON file names
)
MATLAB = Kind(
    "matlab",
    (Target("plain.mat"), Target("packed.mat")),
    _matlab,
    lambda prepared, path: read_map(path, "LabelMap", 1 << 20),
)
KINDS = (OWN_FOLDER, PALETTE, VALUE_MAP, ARCHIVE, RECORDS, PANOPTIC, MATLAB)
