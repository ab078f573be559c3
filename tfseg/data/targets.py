"""Turns an augmented example into the targets that a loss reads."""

# Entries of an example about the frame before: its image, whether there is one, and the motion between the two.
OF_FRAME_BEFORE = ("previous_image", "has_previous", "motion_offset", "motion_error")


def semantic(example: dict) -> dict:
    """Returns the targets of semantic segmentation.

    Args:
      example: {"image": [h, w, 3], "label": [h, w] int32 class ids, 255 = ignore, "filename": string, ...}.
    Returns:
      Only the three entries that are named above, and what there is of the frame before, see OF_FRAME_BEFORE.
    """
    return {key: example[key] for key in ("image", "label", "filename", *OF_FRAME_BEFORE) if key in example}
