"""The generated street scenes as a data set: every frame of every split."""

import hashlib
from pathlib import Path

from tfseg.data import scenes
from tfseg.data.images import encode_arrays
from tfseg.data.raw import ConvertOptions, EncodedExample, Listing
from tfseg.errors import InputError


def list_examples(raw_dir: Path | None, options: ConvertOptions) -> Listing:
    """All frames, as (split, index). Raises InputError if raw data are given."""
    if raw_dir is not None:
        raise InputError(f"{raw_dir}: scenes are generated, not read; leave that flag out, or give a folder of records")
    # The generator is the raw data: when it changes, records that were made before are out of date.
    sources = sorted(Path(scenes.__file__).parent.glob("scene*.py"))
    version = hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()
    splits = {split: [(split, index) for index in range(size)] for split, size in scenes.SPLIT_SIZES.items()}
    return Listing(scenes.INFO, encode_scene, splits, version=version)


def encode_scene(frame: tuple[str, int]) -> EncodedExample:
    """The record of frame (split, index)."""
    split, index = frame
    scene = scenes.generate(split, index)
    return encode_arrays(
        scene.image,
        scene.class_ids,
        filename=f"{split}/{index:05d}",
        panoptic=(scene.class_ids, scene.instance_ids),
        sequence_id=scene.sequence_id,
        frame_id=scene.frame_id,
    )
