"""Photos, masks and videos."""

import numpy as np
from PIL import Image

from tests.formats import video_files
from tests.fuzz.kind import Kind, Target
from tfseg.formats.images import read_image
from tfseg.formats.label_file import LabelRule, read_label
from tfseg.formats.video import VideoFile
from tfseg.system.progress import say

SIZE = (24, 32)
NUM_CLASSES = 3
VIDEO_FILES = {"clip.mp4": "mp4v", "clip.mkv": "mp4v", "clip.avi": "MJPG"}


def colors() -> np.ndarray:
    """[24, 32, 3] uint8 of soft colours."""
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]]
    return np.stack([8 * rows, 7 * columns, 100 + 2 * rows + columns], -1).astype(np.uint8)


def class_ids() -> np.ndarray:
    """[24, 32] uint8 with all classes and some ignored pixels."""
    ids = np.zeros(SIZE, np.uint8)
    ids[8:], ids[16:, 10:], ids[:2] = 1, 2, 255
    return ids


def _photos(folder):
    photo = Image.fromarray(colors())
    grey = photo.convert("L")
    deep = Image.fromarray(np.asarray(grey).astype(np.uint16) * 256)
    photo.save(folder / "rgb.png")
    grey.save(folder / "grey.png")
    photo.quantize(16).save(folder / "palette.png")
    photo.convert("RGBA").save(folder / "rgba.png")
    deep.save(folder / "deep.png")
    photo.save(folder / "rgb.jpg", quality=90)
    photo.convert("CMYK").save(folder / "cmyk.jpg")
    photo.save(folder / "progressive.jpg", progressive=True)
    photo.save(folder / "rgb.bmp")
    photo.quantize(16).save(folder / "palette.bmp")
    photo.save(folder / "palette.gif")
    photo.save(folder / "lossy.webp")
    photo.save(folder / "lossless.webp", lossless=True)
    photo.save(folder / "rgb.tiff")
    photo.save(folder / "deflate.tiff", compression="tiff_adobe_deflate")
    photo.save(folder / "lzw.tiff", compression="tiff_lzw")
    deep.save(folder / "deep.tiff")
    photo.save(folder / "rgb.ppm")


def _masks(folder):
    ids = class_ids()
    Image.fromarray(ids).save(folder / "grey.png")
    palette = Image.fromarray(ids, "P")
    palette.putpalette([*range(256)] * 3)
    palette.save(folder / "palette.png")
    Image.fromarray(ids == 1).save(folder / "bits.png")
    Image.fromarray(ids.astype(np.uint16)).save(folder / "deep.png")
    Image.fromarray(ids).save(folder / "grey.tiff")
    Image.fromarray(ids).save(folder / "grey.bmp")


def _videos(folder):
    for name, fourcc in VIDEO_FILES.items():
        video_files.write(folder / name, 8, fourcc)


def _read_video(prepared, path):
    """Reads all frames; a note names a file that ends early, as `segment.py` does."""
    video = VideoFile(path)
    frames = [(frame.number, frame.num_lost, frame.pixels) for frame in video]
    if video.problem:
        say(f"{video.name} {video.problem}")
    return frames


PHOTOS = Kind(
    "photo",
    (
        *(Target(f"{name}.png", has_checksum=True) for name in ("rgb", "grey", "palette", "rgba")),
        *(Target(f"deep.{ending}", has_checksum=ending == "png", may_be_refused=True) for ending in ("png", "tiff")),
        *(Target(f"{name}.jpg") for name in ("rgb", "cmyk", "progressive")),
        *(Target(f"{name}.bmp") for name in ("rgb", "palette")),
        *(Target(f"{name}.webp") for name in ("lossy", "lossless")),
        *(Target(f"{name}.tiff") for name in ("rgb", "deflate", "lzw")),
        Target("palette.gif"),
        Target("rgb.ppm"),
    ),
    _photos,
    lambda prepared, path: read_image(path),
)
MASKS = Kind(
    "mask",
    (
        *(Target(f"{name}.png", has_checksum=True) for name in ("grey", "palette", "deep")),
        Target("bits.png", has_checksum=True, may_be_refused=True),
        *(Target(f"grey.{ending}") for ending in ("tiff", "bmp")),
    ),
    _masks,
    lambda prepared, path: read_label(path, LabelRule(NUM_CLASSES)),
)
VIDEOS = Kind("video", tuple(map(Target, VIDEO_FILES)), _videos, _read_video)
KINDS = (PHOTOS, MASKS, VIDEOS)
