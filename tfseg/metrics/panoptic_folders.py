"""Scores two folders in COCO's panoptic format, with worker processes."""

import dataclasses
import functools

from tfseg.errors import InputError
from tfseg.formats.coco_panoptic.annotations import (
    AnnotatedImage,
    Annotations,
    check_areas,
    read_image_ids,
    segment_meanings,
)
from tfseg.formats.coco_panoptic.json_file import shown
from tfseg.labels import DatasetInfo
from tfseg.metrics.panoptic_quality import PanopticQuality
from tfseg.metrics.parsing_covering import ParsingCovering
from tfseg.metrics.segments import Overlaps, Segments, count_pairs
from tfseg.system.parallel import parallel_map


@dataclasses.dataclass(frozen=True)
class ImagePair:
    """The label and the prediction of one image."""

    label: AnnotatedImage
    prediction: AnnotatedImage


def score_folders(labels: Annotations, predictions: Annotations, num_workers=None, panopticapi_compat=False) -> dict:
    """Computes panoptic quality and parsing covering over all labelled images.

    Args:
      labels: the labelled images.
      predictions: the predicted images; they use the class ids of the labels.
      num_workers: number of processes; None starts one per core.
      panopticapi_compat: see `PanopticQuality`.
    Returns:
      {"num_images", "panoptic_quality", "parsing_covering"}: the results of these two classes.
    Raises:
      InputError: a label has no prediction, or a PNG is missing, is damaged, has another size or does not fit its JSON
        file; of labels also the areas must fit. Areas and crowds in the predictions' file are not used.
    """
    check_images(labels, predictions)
    pairs = [ImagePair(label, predictions.images[image_id]) for image_id, label in labels.images.items()]
    quality, covering = PanopticQuality(labels.info, panopticapi_compat), ParsingCovering(labels.info)
    score = functools.partial(score_pair, info=labels.info, panopticapi_compat=panopticapi_compat)
    for image_quality, image_covering in parallel_map(score, pairs, num_workers, "score"):
        quality.merge(image_quality)
        covering.merge(image_covering)
    return {
        "num_images": quality.num_images,
        "panoptic_quality": quality.result(),
        "parsing_covering": covering.result(),
    }


def check_images(labels: Annotations, predictions: Annotations):
    """Raises InputError unless every labelled image has a prediction."""
    without = [image_id for image_id in labels.images if image_id not in predictions.images]
    if not without:
        return
    image_id, action = without[0], "predict these images too, or score with the labels of your images"
    by_text = {str(each): each for each in predictions.images}
    alike = [each for each in without if str(each) in by_text]
    if alike:
        image_id, theirs = alike[0], by_text[str(alike[0])]
        action = (
            f"it has {shown(theirs)}: write image ids as {_kind(image_id)}, as in the labels, not as {_kind(theirs)}"
        )
    raise InputError(
        f"{predictions.path}: no annotation of image {shown(image_id)}, which {labels.path} has "
        f"({len(without)} of {len(labels.images)} images); {action}"
    )


def score_pair(pair: ImagePair, info: DatasetInfo, panopticapi_compat: bool) -> tuple[PanopticQuality, ParsingCovering]:
    """Returns the counts of one image. Raises InputError that names the wrong file."""
    overlaps = pair_overlaps(pair)
    quality, covering = PanopticQuality(info, panopticapi_compat), ParsingCovering(info)
    quality.add(overlaps)
    covering.add(overlaps)
    return quality, covering


def pair_overlaps(pair: ImagePair) -> Overlaps:
    """Reads the two PNGs and counts overlaps. Raises InputError that names the wrong file."""
    label, prediction = read_image_ids(pair.label), read_image_ids(pair.prediction)
    if label.shape != prediction.shape:
        raise InputError(
            f"{pair.prediction.path}: {prediction.shape[1]}x{prediction.shape[0]} pixels, but {pair.label.path} has "
            f"{label.shape[1]}x{label.shape[0]} (width x height); write predictions in the size of the labels"
        )
    pairs = count_pairs(label, prediction)
    overlaps = Overlaps(
        pairs,
        Segments(*segment_meanings(pair.label, pairs.label_ids)),
        Segments(*segment_meanings(pair.prediction, pairs.prediction_ids)),
    )
    check_areas(pair.label, dict(zip(pairs.label_ids.tolist(), overlaps.label_areas().tolist(), strict=True)))
    return overlaps


def _kind(image_id):
    return "text" if isinstance(image_id, str) else "numbers"
