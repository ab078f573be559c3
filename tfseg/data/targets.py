"""From an augmented example to what a loss reads."""


def semantic(example: dict) -> dict:
    """Targets of semantic segmentation.

    Args:
      example: {"image": [h, w, 3], "label": [h, w] int32 class ids, 255 = ignore, "filename": string, ...}.
    Returns:
      The same three, and nothing else.
    """
    return {key: example[key] for key in ("image", "label", "filename")}
