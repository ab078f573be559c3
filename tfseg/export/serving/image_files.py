"""Decodes image files inside a served graph to the same pixels as `tfseg.formats.images`, or refuses them.

Training and `segment.py` read files with Pillow. TensorFlow's `decode_image` reads some otherwise: a JPEG with a faster
and less exact transform, a palette BMP as grey, 16 bits per channel as 8, of an animation the first frame. Here the
header says what a file holds before it is decoded.

Formats: PNG, https://www.w3.org/TR/png-3/; BMP, https://learn.microsoft.com/windows/win32/gdi/bitmap-storage.
"""

import tensorflow as tf

JPEG, PNG, BMP = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"BM"
PNG_HEADER, BMP_HEADER = 33, 54  # bytes up to the end of the header that is read
KINDS = "a JPEG, a PNG of 8 bits, or an uncompressed BMP of 24 bits"


def decoded(content, check_size):
    """Decodes an image file.

    A JPEG may be grey or have three colours, and a PNG any colour type with up to 8 bits per channel, of which
    transparency is dropped. A BMP has 24 bits per pixel without compression. EXIF orientations are not applied.

    Args:
      content: scalar string, the file's bytes.
      check_size: (int32 [2] height and width) -> list of assertions, which are made before anything is decoded.
    Returns:
      [height, width, 3] uint8 RGB.
    Raises:
      tf.errors.InvalidArgumentError: when the graph runs: the file is of another kind, or is damaged.
    """

    def refuse():
        message = tf.strings.format("{} bytes that are not " + KINDS, tf.strings.length(content))
        with tf.control_dependencies([tf.debugging.Assert(False, [message])]):
            return tf.zeros([1, 1, 3], tf.uint8)

    def starts_with(magic):
        return tf.equal(tf.strings.substr(content, 0, len(magic)), magic)

    readers = [(JPEG, _jpeg), (PNG, _png), (BMP, _bmp)]
    cases = [(starts_with(magic), lambda read=read: read(content, check_size)) for magic, read in readers]
    pixels = tf.case(cases, default=refuse, exclusive=True)
    return tf.ensure_shape(pixels, [None, None, 3])


def _jpeg(content, check_size):
    shape = tf.io.extract_jpeg_shape(content)
    checks = _check((shape[2] == 1) | (shape[2] == 3), "a JPEG of {} channels (CMYK); send it as RGB", shape[2])
    with tf.control_dependencies(checks + check_size(shape[:2])):
        content = tf.identity(content)
    return tf.io.decode_jpeg(content, channels=3, fancy_upscaling=True, dct_method="INTEGER_ACCURATE")


def _png(content, check_size):
    header = _bytes(content, PNG_HEADER, "PNG")
    size = tf.stack([_big_endian(header[20:24]), _big_endian(header[16:20])])
    checks = check_size(size)
    checks += _check(header[24] <= 8, "a PNG of {} bits per channel; send it with 8, suitably scaled", header[24])
    # What is cut short is refused before its parts are looked for: an error there would quote the file's bytes.
    with tf.control_dependencies([header]):
        whole = tf.identity(content)
    checks += _check(~_is_animated(whole), "a PNG with several frames; send one of them")
    with tf.control_dependencies(checks):
        content = tf.identity(content)
    return tf.io.decode_png(content, channels=3)


def _is_animated(content):
    """Whether a PNG has a chunk acTL, which comes before the pixels."""
    length = tf.strings.length(content)

    def chunk(start):
        return tf.strings.substr(content, start + 4, 4)

    def is_before_pixels(start):
        return (start >= 8) & (start + 12 <= length) & (chunk(tf.clip_by_value(start, 8, length - 12)) != b"IDAT")

    def step(start, found):
        size = _big_endian(tf.ensure_shape(tf.io.decode_raw(tf.strings.substr(content, start, 4), tf.uint8), [4]))
        # A length beyond the file is damage, which the decoder reports.
        is_inside = (size >= 0) & (size <= length - start)
        return tf.where(is_inside, start + 12 + size, length), found | (chunk(start) == b"acTL")

    return tf.while_loop(lambda start, _: is_before_pixels(start), step, (tf.constant(8), tf.constant(False)))[1]


def _bmp(content, check_size):
    header = _bytes(content, BMP_HEADER, "BMP")
    width, height = _little_endian(header[18:22]), _little_endian(header[22:26])
    bits, compression = header[28], _little_endian(header[30:34])
    # A header of 12 bytes has other fields at these places.
    is_plain = (_little_endian(header[14:18]) >= 40) & (bits == 24) & (header[29] == 0) & (compression == 0)
    checks = _check(is_plain, "a BMP of {} bits per pixel or with compression; send a PNG", bits)
    with tf.control_dependencies(checks):
        size = tf.stack([tf.abs(height), width])  # rows go down where the height is negative
    with tf.control_dependencies(check_size(size)):
        content = tf.identity(content)
    return tf.io.decode_bmp(content, channels=3)


def _bytes(content, count, kind):
    """Returns the first bytes of a file as [count] uint8."""
    with tf.control_dependencies(_check(tf.strings.length(content) >= count, f"a {kind} that is cut short")):
        start = tf.strings.substr(content, 0, count)
    return tf.ensure_shape(tf.io.decode_raw(start, tf.uint8), [count])


def _big_endian(four):
    """[4] uint8 -> int32; what does not fit becomes negative."""
    return _little_endian(four[::-1])


def _little_endian(four):
    return tf.bitcast(four, tf.int32)


def _check(condition, message, *values):
    return [tf.debugging.Assert(condition, [tf.strings.format(message, values) if values else message])]
