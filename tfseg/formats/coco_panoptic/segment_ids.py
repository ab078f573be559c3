"""Stores segment ids as colours of a PNG."""

import warnings

import numpy as np
from PIL import Image, UnidentifiedImageError

from tfseg.errors import InputError
from tfseg.system.files import open_regular

VOID_ID = 0
NUM_IDS = 256**3
MODES = ("RGB", "RGBA")
DEPTH_BYTE = 24  # of a PNG: bits per channel. PIL gives 16 bits as 8, without a word.


def read_ids(path) -> np.ndarray:
    """Reads [height, width] int32 segment ids, 0 to 256**3 - 1, from a PNG of 8 bits per channel, RGB or RGBA.

    Alpha is not part of an id, and is ignored.

    Raises:
      InputError: the file is missing, is no such PNG, or is damaged; the message names it.
    """
    try:
        with open_regular(path) as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # PIL's remarks on odd metadata and on large images
            header = file.read(DEPTH_BYTE + 1)
            file.seek(0)
            with Image.open(file, formats=["PNG"]) as image:
                depth = header[DEPTH_BYTE]
                if image.mode not in MODES or depth != 8:
                    bits = "" if depth == 8 else f" with {depth} bits per channel"
                    raise InputError(
                        f"{path}: PNG file of mode {image.mode}{bits}; a panoptic PNG must be RGB: id = R + 256 G + "
                        "65536 B, each of 8 bits; write it again"
                    )
                if getattr(image, "n_frames", 1) > 1:
                    raise InputError(f"{path}: has {image.n_frames} frames; a panoptic PNG has one; write it again")
                return decode_ids(np.asarray(image)[..., :3])
    except (InputError, MemoryError):
        raise
    except FileNotFoundError:
        raise InputError(f"{path}: no such file, but an annotation names it; put it there") from None
    except Exception as error:  # PIL's decoders raise OSError, SyntaxError, ValueError, struct.error and others
        raise InputError(f"{path}: cannot be read ({_reason(error)}); is it complete? Write it again") from error


def decode_ids(colors) -> np.ndarray:
    """Decodes [height, width, 3] uint8 colours to [height, width] int32 segment ids."""
    bytes_of_ids = np.zeros([*colors.shape[:2], 4], np.uint8)  # [height, width, 4], little endian
    bytes_of_ids[..., :3] = colors
    return bytes_of_ids.view("<i4")[..., 0]


def encode_ids(segment_ids) -> np.ndarray:
    """Encodes [height, width] integers, 0 to 256**3 - 1, as [height, width, 3] uint8 colours; see `decode_ids`."""
    bytes_of_ids = np.ascontiguousarray(segment_ids, "<i4").view(np.uint8)
    return bytes_of_ids.reshape([*np.shape(segment_ids), 4])[..., :3]  # [height, width, 3]


def _reason(error):
    if isinstance(error, UnidentifiedImageError):
        return "not a PNG"
    return getattr(error, "strerror", None) or error  # str(error) of an OSError would repeat the path
