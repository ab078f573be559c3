"""The generated street scenes as data sets: every frame of every split."""

import functools
import hashlib
from pathlib import Path

from tfseg.data.conversion.examples import encode_arrays
from tfseg.data.conversion.raw import ConvertOptions, EncodedExample, Listing
from tfseg.data.scenes import crowds, streets
from tfseg.errors import InputError


def list_scenes(raw_dir: Path | None, options: ConvertOptions) -> Listing:
    """Lists all frames of `tfseg.data.scenes.streets` as (split, index). Raises InputError if raw data are given."""
    return _list_frames(streets, raw_dir)


def list_crowds(raw_dir: Path | None, options: ConvertOptions) -> Listing:
    """Lists all frames of `tfseg.data.scenes.crowds` as (split, index). Raises InputError if raw data are given."""
    return _list_frames(crowds, raw_dir)


def _list_frames(generator, raw_dir):
    if raw_dir is not None:
        name = generator.INFO.name
        raise InputError(f"{raw_dir}: {name} are generated, not read; omit that flag, or give a folder of records")
    # The generator stands for raw data: when its code changes, earlier records are out of date.
    sources = Path(__file__).parent.glob("*.py")
    version = hashlib.sha256(b"".join(path.read_bytes() for path in sorted(sources))).hexdigest()
    splits = {split: [(split, index) for index in range(size)] for split, size in generator.SPLIT_SIZES.items()}
    return Listing(generator.INFO, functools.partial(encode_frame, generator.generate), splits, version=version)


def encode_frame(generate, frame: tuple[str, int]) -> EncodedExample:
    """Returns the record of a generator's frame (split, index)."""
    split, index = frame
    scene = generate(split, index)
    return encode_arrays(
        scene.image,
        scene.class_ids,
        filename=f"{split}/{index:05d}",
        panoptic=(scene.class_ids, scene.instance_ids),
        sequence_id=scene.sequence_id,
        frame_id=scene.frame_id,
    )
