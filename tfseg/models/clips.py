"""The frames of clips that end with labelled images, and states that move from frame to frame.

Frames that the data do not hold are made from the one after them: it is seen zoomed and shifted a little, as a moving
camera would see it. So their motion is known exactly.
"""

import tensorflow as tf


def draw_motion(batch, seed, config):
    """Draws how each image moves from frame to frame.

    Returns:
      [batch, 3] float32: zoom (the frame before is seen this much larger), and the shift down and across as shares of
      the height and width.
    """
    draws = tf.random.stateless_uniform([batch, 3], seed, -1.0, 1.0)
    return tf.stack([1 + config.zoom * draws[:, 0], config.shift * draws[:, 1], config.shift * draws[:, 2]], 1)


def frame_before(batch, motion, steps):
    """Returns the frame so many steps before the labelled one: the real one, or one that continues the made motion.

    Args:
      batch: "image" [batch, height, width, 3] float32, the labelled frames, and perhaps the entries
        `data.targets.OF_FRAMES_BEFORE`.
      motion: what `draw_motion` returned.
      steps: at least 1.
    Returns:
      [batch, height, width, 3] float32.
    """
    frame = earlier_frame(batch["image"], motion, steps)
    if "has_previous" not in batch:
        return frame
    for count in range(1, batch["has_previous"].shape[1] + 1):
        real = batch["previous_images"][:, -min(count, steps)]
        real = real if count >= steps else earlier_frame(real, motion, steps - count)
        frame = tf.where(batch["has_previous"][:, -count, tf.newaxis, tf.newaxis, tf.newaxis], real, frame)
    return frame


def carried(state, batch, motion, steps, carry):
    """Returns what the next frame starts from, as `inference.stream` makes it in use.

    Args:
      state: the state of the frame `steps` before the labelled one: {name: [batch, h, w, channels]}.
      batch, motion: see `frame_before`.
      steps: at least 1.
      carry: the CarryConfig.
    Returns:
      What `Segmenter.gated` takes.
    """
    error = {}
    if carry.has_gate:
        size = tf.shape(state["canvas"])[1:3]
        error = {"error": _error(batch, motion, steps, size)}
    if carry.with_motion:
        state = {name: _moved(maps, batch, motion, steps, carry) for name, maps in state.items()}
    return error | {
        name: carry.scale * (maps if name == "canvas" or carry.with_memory else tf.zeros_like(maps))
        for name, maps in state.items()
    }


def _error(batch, motion, steps, size):
    """Returns [batch, *size, 1] grey levels by which the moved picture of a frame differs from the one after it."""
    after = batch["image"] if steps == 1 else frame_before(batch, motion, steps - 1)
    moved = moved_state(frame_before(batch, motion, steps), motion)
    grey = [tf.reduce_sum(one * tf.constant([0.299, 0.587, 0.114]), -1, keepdims=True) for one in (moved, after)]
    error = tf.image.resize(tf.abs(grey[0] - grey[1]), size, "area")
    if _is_estimated(batch, steps):
        estimated = tf.image.resize(batch["motion_error"][:, -steps, :, :, tf.newaxis], size, "area")
        error = tf.where(batch["has_previous"][:, -steps, tf.newaxis, tf.newaxis, tf.newaxis], estimated, error)
    return tf.stop_gradient(error)


def _is_estimated(batch, steps):
    """Whether some images have a real frame so many steps before, and its motion."""
    return "has_previous" in batch and steps <= batch["has_previous"].shape[1]


def _moved(maps, batch, motion, steps, carry):
    """Moves maps to the next frame: by the estimated motion if both frames are real, else by the made one."""
    made = moved_state(maps, motion)
    if not _is_estimated(batch, steps):
        return made
    estimated = moved_by_flow(
        maps, batch["motion_offset"][:, -steps], batch["motion_error"][:, -steps], carry.trust_scale
    )
    return tf.where(batch["has_previous"][:, -steps, tf.newaxis, tf.newaxis, tf.newaxis], estimated, made)


def earlier_frame(images, motion, steps):
    """Returns the images as they were `steps` frames before; beyond the border they are mirrored."""
    return _transformed(images, _affine(images, motion, steps, backwards=True), "REFLECT")


def moved_state(maps, motion):
    """Moves maps of the frame before along with the picture; positions that come into view are 0."""
    return _transformed(maps, _affine(maps, motion, 1, backwards=False), "CONSTANT")


def moved_by_flow(maps, offset, error, trust_scale):
    """Moves maps by an estimated motion, as `inference.motion` does in use.

    Args:
      maps: [batch, h, w, channels] float32 of the frame before.
      offset: [batch, H, W, 2] and
      error: [batch, H, W] float32, see `inference.motion.Motion`.
      trust_scale: see `inference.motion.movement`.
    Returns:
      [batch, h, w, channels].
    """
    height, width = tf.shape(maps)[1], tf.shape(maps)[2]
    size = tf.stack([width, height])
    # Nothing is learned from the motion, and resizing by areas has no gradient, which tf.cond asks for.
    offset = tf.stop_gradient(tf.image.resize(offset, [height, width], "area"))
    shift = offset * tf.cast(size, tf.float32)  # (across, down)
    places = tf.stack(tf.meshgrid(tf.range(width), tf.range(height)), -1)  # [h, w, 2]
    places = tf.clip_by_value(tf.cast(places, tf.float32) + shift, 0.0, tf.cast(size - 1, tf.float32))
    first = tf.cast(places, tf.int32)
    last, share = tf.minimum(first + 1, size - 1), places - tf.floor(places)
    across, down = share[..., :1], share[..., 1:]
    (left, top), (right, bottom) = tf.unstack(first, axis=-1), tf.unstack(last, axis=-1)

    def at(rows, columns):
        return tf.gather_nd(maps, tf.stack([rows, columns], -1), batch_dims=1)

    upper = at(top, left) * (1 - across) + at(top, right) * across
    lower = at(bottom, left) * (1 - across) + at(bottom, right) * across
    result = upper * (1 - down) + lower * down
    if trust_scale:
        difference = tf.stop_gradient(tf.image.resize(error[..., tf.newaxis], [height, width], "area"))
        result *= tf.exp(-tf.square(difference / trust_scale))
    return tf.ensure_shape(result, maps.shape)


def _affine(maps, motion, steps, backwards):
    """Returns [batch, 8] transforms for `_transformed`: from positions of the result to positions of `maps`.

    A position p of a frame, relative to the picture's centre, was at zoom * p + shift in the frame before.
    """
    size = tf.cast(tf.shape(maps)[1:3], tf.float32)
    centre = (size - 1) / 2
    zoom, shift = motion[:, 0], motion[:, 1:] * size
    for _ in range(steps - 1):
        zoom, shift = motion[:, 0] * zoom, motion[:, :1] * shift + motion[:, 1:] * size
    if backwards:
        zoom, shift = 1 / zoom, -shift / zoom[:, tf.newaxis]
    offset = centre + shift - zoom[:, tf.newaxis] * centre  # [batch, 2]: down, across
    zero = tf.zeros_like(zoom)
    return tf.stack([zoom, zero, offset[:, 1], zero, zoom, offset[:, 0], zero, zero], 1)


def _transformed(maps, transforms, fill):
    result = tf.raw_ops.ImageProjectiveTransformV3(
        images=maps,
        transforms=transforms,
        output_shape=tf.shape(maps)[1:3],
        interpolation="BILINEAR",
        fill_mode=fill,
        fill_value=0.0,
    )
    return tf.ensure_shape(result, maps.shape)
