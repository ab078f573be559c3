"""Turns an augmented example into the targets that a loss reads."""


def semantic(example: dict) -> dict:
    """Returns the targets of semantic segmentation.

    Args:
      example: {"image": [h, w, 3], "label": [h, w] int32 class ids, 255 = ignore, "filename": string, ...}.
    Returns:
      Only the three entries that are named above.
    """
    return {key: example[key] for key in ("image", "label", "filename")}
