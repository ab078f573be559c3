"""Small videos for tests."""

import struct

import cv2
import numpy as np

WIDTH, HEIGHT, RATE = 96, 64, 25.0


def picture(number, height=HEIGHT, width=WIDTH):
    """[height, width, 3] uint8 RGB: frame `number`, whose grey level tells the number and whose left half is redder."""
    pixels = np.full([height, width, 3], 40 + 3 * number, np.uint8)
    pixels[:, : width // 2, 0] += 60
    return pixels


def number_in(pixels):
    """The number of the frame that a decoded `picture` is."""
    return round((float(pixels[:, -10:].mean()) - 40) / 3)


def write(path, count=40, fourcc="mp4v", rate=RATE):
    """Writes `count` pictures as a video of any container that the name's ending means; returns the path."""
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter_fourcc(*fourcc), rate, (WIDTH, HEIGHT))
    assert writer.isOpened()
    for number in range(count):
        writer.write(picture(number)[..., ::-1])
    writer.release()
    return path


def audio_only() -> bytes:
    """An .avi file with one stream of sound and none of pictures."""

    def chunk(name, content):
        return name + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)

    main = struct.pack("<14I", 125000, 16000, 0, 0x10, 8, 0, 1, 2000, 0, 0, 0, 0, 0, 0)
    stream = b"auds" + struct.pack("<IIHHIIIIIIII", 0, 0, 0, 0, 0, 1, 8000, 0, 8000, 2000, 0, 2) + b"\0" * 8
    sound = struct.pack("<HHIIHH", 1, 1, 8000, 16000, 2, 16)
    header = chunk(
        b"LIST",
        b"hdrl" + chunk(b"avih", main) + chunk(b"LIST", b"strl" + chunk(b"strh", stream) + chunk(b"strf", sound)),
    )
    content = chunk(b"LIST", b"movi" + b"".join(chunk(b"00wb", b"\0" * 2000) for _ in range(8)))
    return chunk(b"RIFF", b"AVI " + header + content)
