"""What a frozen arch2 makes of the frames of videos, computed once and kept in memory for all candidates."""

import collections
import dataclasses
import itertools
import typing
import zlib

import cv2
import numpy as np
import tensorflow as tf

from tfseg.data.decoding import decode_image
from tfseg.data.opening import Split
from tfseg.data.tfrecord import NO_FRAME, parse_example
from tfseg.errors import InputError
from tfseg.models.arch2 import Arch2
from tfseg.system.progress import say, with_progress

LAYERS = ("layer2", "layer3", "layer4")
DIVISIONS = ("blocks", "random")
VALIDATION_SHARE = 0.1
BLOCK_FRAMES = 12
BEFORE = "video/previous/encoded"
MEAN_COLOUR = (123.675, 116.28, 103.53)  # ImageNet's, of RGB from 0 to 255


@dataclasses.dataclass(frozen=True)
class ClipConfig:
    """Which clips are made of a split, and in what form.

    Attributes:
      frames: frames of a clip, at least 2; all but the first have a loss.
      frame_gap: largest difference of the numbers of two frames of a clip that follow each other. Between them there is
        no other frame of the split. The unlabelled frames before labelled ones, which Cityscapes' records hold, count
        as well, and may be the first of a clip.
      division: how the split becomes one for training and one for validation, 90 to 10: "blocks" of frames that follow
        each other, so that no frame is in both, or "random" clips, as the paper says, which may share frames.
      max_training, max_validation: numbers of clips that are drawn from either part; 0 for all.
      precision: "float16" or "float32", in which maps are kept.
      long_side: training frames whose longer side is more are reduced to this many pixels; 0 reduces none.
      crop: side of the square that is cut from training frames, at a place drawn for each video; 0 cuts none.
      padded_side: training frames whose shorter side is less are framed with ImageNet's mean colour, up to this many
        pixels; 0 frames none.
    """

    frames: int = 3
    frame_gap: int = 31
    division: str = "blocks"
    max_training: int = 0
    max_validation: int = 0
    precision: str = "float16"
    long_side: int = 0
    crop: int = 0
    padded_side: int = 0

    def __post_init__(self):
        if self.frames < 2:
            raise InputError(f"a clip has at least 2 frames, not {self.frames}")
        if self.frame_gap < 1:
            raise InputError(f"--frame_gap={self.frame_gap}: a difference of frame numbers, at least 1")
        if self.division not in DIVISIONS:
            raise InputError(f"the division is one of {', '.join(DIVISIONS)}, not {self.division!r}")
        if self.precision not in ("float16", "float32"):
            raise InputError(f"maps are kept as float16 or float32, not {self.precision!r}")


class Frame(typing.NamedTuple):
    """A frame of a video.

    Attributes:
      video: the video's name.
      number: the frame's number in it.
      is_labelled: whether it has a label; otherwise it can only be the first of a clip.
    """

    video: str
    number: int
    is_labelled: bool = True


@dataclasses.dataclass(frozen=True)
class Clips:
    """Clips of frames whose maps are in memory.

    Attributes:
      maps: {"layer2", "layer3", "layer4", "dec": [num_frames, h, w, channels]}, see `models.arch2`.
      labels: [num_frames, h, w] uint8 in the size of layer2: that of the nearest pixel.
      places: [num_clips, frames] places of their frames in these arrays.
    """

    maps: dict[str, np.ndarray]
    labels: np.ndarray
    places: np.ndarray

    @property
    def megabytes(self) -> float:
        """Memory of the maps."""
        return sum(array.nbytes for array in self.maps.values()) / 1e6

    def batch(self, rows) -> dict:
        """Returns clips for `candidate.unrolled`.

        Args:
          rows: numbers of clips.
        Returns:
          {"dec", "layer4": float32 [batch, h, w, channels] of the first frame; "frames": a list, for every further
          frame, of [layer2, layer3, layer4]; "labels": a list of their int32 [batch, h, w]}.
        """
        first, *further = self.places[rows].T
        return {
            "dec": self._values("dec", first),
            "layer4": self._values("layer4", first),
            "frames": [[self._values(name, places) for name in LAYERS] for places in further],
            "labels": [tf.constant(self.labels[places], tf.int32) for places in further],
        }

    def _values(self, name, places):
        return tf.constant(self.maps[name][places], tf.float32)


def divided(network: Arch2, split: Split, config: ClipConfig, seed: int = 0) -> tuple[Clips, Clips]:
    """Computes the maps of a split's frames, and makes clips to train and to validate candidates on.

    Args:
      network: the trained network; nothing of it is changed.
      split: the split, whose images must be frames of videos of one size.
      config: the ClipConfig.
      seed: seed of what is drawn.
    Returns:
      (clips for training, clips for validation).
    Raises:
      InputError: the split has no videos, too few frames, or frames of several sizes.
    """
    listed = frames_of(split)
    chosen = clips_of(listed, config, seed)
    if not all(map(len, chosen)):
        raise InputError(
            f"{split.data_dir}: too few clips of {config.frames} frames at most {config.frame_gap} apart in the split "
            f"{split.name}: {len(chosen[0])} to train and {len(chosen[1])} to validate candidates on; give another "
            "--split, or a larger --frame_gap"
        )
    stores = [_Store(config.precision) for _ in chosen]
    wanted = [set(clips.flat) for clips in chosen]
    first = [set(clips[:, 0]) for clips in chosen]
    with split.damage_named():
        frames = with_progress(_images(split), len(listed), "features", "frames")
        for number, (image, label, name) in enumerate(frames):
            for store, numbers, starts, is_training in zip(stores, wanted, first, (True, False), strict=True):
                if number not in numbers:
                    continue
                video = seed, listed[number].video
                seen = transformed(image, label, config, split.info, video) if is_training else (image, label)
                store.add(number, maps_of(network, seen[0][np.newaxis]), seen[1], number in starts, name)
    made = tuple(store.clips(clips) for store, clips in zip(stores, chosen, strict=True))
    say(
        f"features: {len(chosen[0])} clips to train and {len(chosen[1])} to validate candidates on, "
        f"{sum(one.megabytes for one in made):.0f} MB"
    )
    return made


def frames_of(split: Split) -> list[Frame]:
    """Returns the frames of a split, in its order; an unlabelled one that a record holds comes before the record's own.

    Raises InputError for images of no video.
    """
    frames = []
    with split.damage_named():
        for record in _records(split):
            frame = Frame(record["video/sequence_id"].decode(errors="replace"), int(record["video/frame_id"]))
            frames += [Frame(frame.video, frame.number - 1, False)] if record[BEFORE] else []
            frames.append(frame)
    if any(not frame.video or frame.number == NO_FRAME for frame in frames if frame.is_labelled):
        raise InputError(
            f"{split.data_dir}: the images of the split {split.name} are no frames of videos, which dynamic cells are "
            "searched on; give --split, e.g. train_clips of the generated scenes"
        )
    return frames


def clips_of(frames, config: ClipConfig, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Chooses clips.

    Args:
      frames: a list of Frames, in any order.
      config: the ClipConfig.
      seed: seed of what is drawn.
    Returns:
      Two arrays [num_clips, config.frames] of places in `frames`: to train and to validate candidates on.
    """
    random = np.random.default_rng(seed)
    order = sorted(range(len(frames)), key=lambda place: frames[place])
    steps = [
        after.video == before.video and 0 < after.number - before.number <= config.frame_gap and after.is_labelled
        for before, after in itertools.pairwise(frames[place] for place in order)
    ]
    starts = [first for first in range(len(order) - config.frames + 1) if all(steps[first : first + config.frames - 1])]
    clips = np.add.outer(starts, np.arange(config.frames)).astype(int).reshape(-1, config.frames)
    if config.division == "random":
        drawn = random.permutation(len(clips))
        count = max(1, round(VALIDATION_SHARE * len(clips)))
        training, validation = clips[drawn[count:]], clips[drawn[:count]]
    else:
        is_held_out = _held_out(len(order), random)[clips]  # [num_clips, frames]
        training, validation = clips[~is_held_out.any(1)], clips[is_held_out.all(1)]
    parts = _drawn(training, config.max_training, random), _drawn(validation, config.max_validation, random)
    return tuple(np.array(order)[part] for part in parts)


def transformed(image, label, config: ClipConfig, info, seed):
    """Reduces, crops and frames a training frame and its label, see ClipConfig.

    Args:
      image: [height, width, 3] uint8.
      label: [height, width] class ids.
      config: the ClipConfig.
      info: the DatasetInfo.
      seed: (number, name of the video), which draw the place of the crop.
    Returns:
      (image, label); sides that are shorter than the crop stay as they are.
    """
    scale = config.long_side / max(label.shape)
    if 0 < scale < 1:
        size = tuple(round(side * scale) for side in label.shape[::-1])  # (width, height)
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        label = cv2.resize(label.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST_EXACT)
    if config.crop:
        random = np.random.default_rng((seed[0], zlib.crc32(seed[1].encode())))
        corner = [int(random.integers(max(side - config.crop, 0) + 1)) for side in label.shape]
        window = tuple(slice(start, start + config.crop) for start in corner)
        image, label = image[window], label[window]
    return padded(image, label, config.padded_side, info)


def padded(image, label, side, info):
    """Frames an image with the mean colour and its label with the ignore label, until its sides have `side` pixels."""
    missing = [max(0, side - length) for length in image.shape[:2]]
    if not any(missing):
        return image.astype(np.float32), label
    frame = [(count // 2, count - count // 2) for count in missing]
    label = np.pad(label, frame, constant_values=info.ignore_label)
    inside = np.pad(np.ones(image.shape[:2], bool), frame)[..., np.newaxis]
    image = np.pad(image.astype(np.float32), [*frame, (0, 0)])
    return np.where(inside, image, np.float32(MEAN_COLOUR)), label


def maps_of(network: Arch2, images) -> dict[str, tf.Tensor]:
    """Returns what cells read of frames [batch, height, width, 3]: "layer2", "layer3", "layer4" and "dec"."""
    _, *layers = network.maps(tf.cast(images, tf.float32))
    _, dec = network.decode([None, *layers])
    return dict(zip(LAYERS, layers, strict=True)) | {"dec": dec}


def _records(split):
    return tf.data.TFRecordDataset(split.files).map(parse_example).as_numpy_iterator()


def _images(split):
    """Yields (image [height, width, 3] uint8, label [height, width], name of its file) of each of `frames_of`."""
    for record, one in zip(_records(split), split.examples().as_numpy_iterator(), strict=True):
        name, label = one["filename"][0].decode(errors="replace"), one["label"][0]
        if record[BEFORE]:
            yield decode_image(record[BEFORE], name).numpy(), np.full_like(label, split.info.ignore_label), name
        yield one["image"][0], label, name


class _Store:
    """Collects frames, and drops the decoded maps of those that begin no clip."""

    def __init__(self, precision):
        self._precision, self._labels, self._places = precision, [], {}
        self._maps = collections.defaultdict(list)

    def add(self, number, maps, label, is_first, name):
        maps = {key: values[0].numpy().astype(self._precision) for key, values in maps.items()}
        height, width = maps["layer2"].shape[:2]
        if self._labels and self._labels[-1].shape != (height, width):
            raise InputError(f"{name}: its size is not that of the frames before; a search needs frames of one size")
        # The pixel nearest to the middle of each position.
        rows, columns = (
            (np.arange(count) * 2 + 1) * side // (2 * count)
            for count, side in zip((height, width), label.shape, strict=True)
        )
        self._labels.append(label[np.ix_(rows, columns)].astype(np.uint8))
        self._places[number] = len(self._places)
        for key, values in maps.items():
            self._maps[key].append(values if key != "dec" or is_first else None)

    def clips(self, numbers):
        places = np.array([[self._places[number] for number in clip] for clip in numbers])
        nothing = np.zeros(next(one for one in self._maps["dec"] if one is not None).shape, self._precision)
        maps = {
            key: np.stack([nothing if one is None else one for one in values]) for key, values in self._maps.items()
        }
        return Clips(maps, np.stack(self._labels), places)


def _held_out(num_frames, random):
    """Returns [num_frames] bool: which blocks of frames are for validation, a tenth of them, evenly spread."""
    num_blocks = max(2, round(num_frames / BLOCK_FRAMES))
    count = max(1, round(VALIDATION_SHARE * num_blocks))
    blocks = (random.integers(num_blocks) + np.arange(count) * num_blocks // count) % num_blocks
    return np.isin(np.arange(num_frames) * num_blocks // num_frames, blocks)


def _drawn(clips, most, random):
    if not most or len(clips) <= most:
        return clips
    return clips[np.sort(random.permutation(len(clips))[:most])]
