"""Stores segment ids as colours of a PNG."""

import numpy as np
from PIL import Image, UnidentifiedImageError

from tfseg.errors import InputError

VOID_ID = 0
NUM_IDS = 256**3


def read_ids(path) -> np.ndarray:
    """Reads [height, width] int32 segment ids, 0 to 256**3 - 1, from a PNG. Raises InputError that names the file."""
    try:
        with Image.open(path, formats=["PNG"]) as image:
            if image.format != "PNG" or image.mode != "RGB":
                raise InputError(
                    f"{path}: {image.format} file of mode {image.mode}; a panoptic PNG must be RGB: id = R + 256 G + "
                    "65536 B; write it again"
                )
            return decode_ids(np.asarray(image))
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
        return "not an image of a known format"
    return getattr(error, "strerror", None) or error  # str(error) of an OSError would repeat the path
