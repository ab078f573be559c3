"""Scores a panoptic network on images with labelled instances, and compares it with what its class map alone scores."""

from pathlib import Path, PurePosixPath

import cv2
import numpy as np

from tfseg.errors import InputError
from tfseg.formats.coco_panoptic.writer import PanopticWriter
from tfseg.inference.panoptic import PanopticInference
from tfseg.inference.views import View
from tfseg.labels import DatasetInfo
from tfseg.metrics.panoptic_quality import PanopticQuality
from tfseg.metrics.parsing_covering import ParsingCovering
from tfseg.metrics.segments import panoptic_overlaps
from tfseg.postprocess.fusion import fuse
from tfseg.system import timing
from tfseg.system.progress import with_progress

ROUNDS = 10  # timing rounds


LABELS, PREDICTIONS = "labels.json", "predictions.json"


def evaluate_panoptic(network, examples, info: DatasetInfo, *, num_examples, size=None, output_dir=None) -> dict:
    """Scores a panoptic network.

    Args:
      network: a panoptic network, see `tfseg.inference.panoptic`.
      examples: batches of one, as `pipeline.eval_examples` gives them with instances.
      info: what the labels mean.
      num_examples: number of examples, for the progress bar.
      size: (height, width) in which the network sees images; None means their own size.
      output_dir: folder that gets LABELS and PREDICTIONS in COCO's panoptic format, with their PNGs. The names of the
        images are those of their files. None writes nothing.
    Returns:
      JSON types. "quality" and "covering": see `PanopticQuality.result` and `ParsingCovering.result`. "one_segment" and
      "components": the quality of the same class maps if all pixels of a thing class are one instance, and if each
      connected component is one. "milliseconds_fusion": median time of the fusion for one image, the last.
    Raises:
      InputError: the instances of an image are not known.
    """
    inference = PanopticInference(network, info, View(base_size=size))
    quality, one_segment, components = (PanopticQuality(info) for _ in range(3))
    covering = ParsingCovering(info)
    writers = []
    if output_dir is not None:
        writers = [
            PanopticWriter(Path(output_dir) / LABELS, info, has_crowds=True),
            PanopticWriter(Path(output_dir) / PREDICTIONS, info),
        ]
    for example in with_progress(iter(examples), num_examples, "finding instances"):
        image, filename = example["image"][0].numpy(), example["filename"][0].numpy().decode("utf-8", "replace")
        if not bool(example["has_instances"][0]):
            raise InputError(f"{filename}: its record has no panoptic map; convert the data set with its instances")
        label = panoptic_label(example["label"][0].numpy(), example["instance"][0].numpy(), info)
        panoptic_ids = inference.predict(image).panoptic_ids
        class_ids = panoptic_ids // info.label_divisor
        overlaps = panoptic_overlaps(label, panoptic_ids, info)
        quality.add(overlaps)
        covering.add(overlaps)
        one_segment.update(label, with_one_segment(class_ids, info))
        components.update(label, with_components(class_ids, info))
        for writer, ids in zip(writers, (label, panoptic_ids), strict=False):
            writer.add(filename, str(PurePosixPath(filename).with_suffix("")), ids)
    for writer in writers:
        writer.close()
    return {
        "quality": quality.result(),
        "covering": covering.result(),
        "one_segment": one_segment.result(),
        "components": components.result(),
        "milliseconds_fusion": _fusion_time(inference, image),
    }


def panoptic_label(label, instance_ids, info) -> np.ndarray:
    """[height, width] panoptic ids made from class ids and instance ids; crowds get instance 0, like stuff."""
    is_thing = np.isin(label, list(info.thing_ids))
    return label.astype(np.int64) * info.label_divisor + np.where(is_thing, instance_ids, 0)


def with_one_segment(class_ids, info) -> np.ndarray:
    """Panoptic ids made from a class map: all pixels of a thing class are one instance."""
    return class_ids.astype(np.int64) * info.label_divisor + np.isin(class_ids, list(info.thing_ids))


def with_components(class_ids, info) -> np.ndarray:
    """Panoptic ids made from a class map: every 8-connected component of a thing class is an instance."""
    panoptic_ids = class_ids.astype(np.int64) * info.label_divisor
    for class_id in sorted(info.thing_ids):
        is_class = (class_ids == class_id).astype(np.uint8)
        _, numbers = cv2.connectedComponents(is_class, connectivity=8)
        panoptic_ids += np.minimum(numbers, info.label_divisor - 1)
    return panoptic_ids


def _fusion_time(inference, image):
    semantic, maps = inference.maps(image)
    size, info = inference.network_size(image), inference.info

    def call():
        fuse(semantic, maps, info.thing_ids, info.label_divisor, size, inference.fusion)

    return timing.median(timing.interleaved({"fusion": call}, ROUNDS)["fusion"])
