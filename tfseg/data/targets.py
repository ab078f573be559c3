"""Turns an augmented example into the targets that a loss reads."""

# Entries of an example about the frames before: images, labels, whether they exist, and the motion between frames.
OF_FRAMES_BEFORE = ("previous_images", "previous_labels", "has_previous", "motion_offset", "motion_error")


def semantic(example: dict) -> dict:
    """Returns the targets of semantic segmentation.

    Args:
      example: {"image": [h, w, 3], "label": [h, w] int32 class ids, 255 = ignore, "filename": string, ...}.
    Returns:
      Only the three entries that are named above, and what there is of the frames before, see OF_FRAMES_BEFORE.
    """
    return {key: example[key] for key in ("image", "label", "filename", *OF_FRAMES_BEFORE) if key in example}
