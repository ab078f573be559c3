"""The class map of a photo, its overlay, and its instances, as files."""

import json

from tfseg import visualize
from tfseg.formats.images import encode_jpeg, encode_panoptic
from tfseg.labels import from_panoptic

CLASSES, OVERLAY, STRIP = "_classes.png", "_overlay.jpg", "_strip.png"
PANOPTIC, INSTANCES = "_panoptic.png", "_instances.json"


def suffixes(is_panoptic: bool) -> list[str]:
    """Returns the ends of the names of what `pictures` makes."""
    return [CLASSES, OVERLAY, *([PANOPTIC, INSTANCES] if is_panoptic else [])]


def pictures(image, prediction, info, max_side) -> dict[str, bytes]:
    """Makes what a user looks at.

    Args:
      image: [height, width, 3] uint8 RGB.
      prediction: its `tfseg.inference.predictor.Prediction`.
      info: what the class ids mean.
      max_side: an overlay with a longer side has no legend.
    Returns:
      {end of the file's name: its content}, in the order of `suffixes`.
    """
    overlay = _overlay(image, prediction, info)
    if max(overlay.shape) > max_side:  # with the legend it is larger than its image
        overlay = _overlay(image, prediction, info, legend=False)
    found = {CLASSES: visualize.palette_png(prediction.class_ids, info), OVERLAY: encode_jpeg(overlay)}
    if prediction.panoptic_ids is not None:
        found[PANOPTIC] = encode_panoptic(*from_panoptic(prediction.panoptic_ids, info.label_divisor))
        found[INSTANCES] = _instances(prediction, info)
    return found


def _overlay(image, prediction, info, legend=True):
    if prediction.panoptic_ids is None:
        return visualize.overlay(image, prediction.class_ids, info, legend=legend)
    return visualize.instance_overlay(image, prediction, info, legend)


def _instances(prediction, info):
    """The instances as JSON, best first."""
    listed = []
    for one in prediction.instances:
        corners = None if one.keypoints is None else [[round(float(side), 1) for side in yx] for yx in one.keypoints]
        listed.append(
            {
                "class": info.class_names[one.class_id],
                "class_id": int(one.class_id),
                "instance": int(one.panoptic_id % info.label_divisor),
                "score": round(float(one.score), 4),
                "area": int(one.area),
                "keypoints": corners,
            }
        )
    return (json.dumps(listed, indent=1) + "\n").encode()
