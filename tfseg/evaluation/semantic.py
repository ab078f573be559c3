"""Computes the metrics of a network on labelled images, after every iteration."""

import hashlib
import itertools
from collections import Counter

import numpy as np

from tfseg.errors import InputError, listed
from tfseg.inference.runner import inference_of
from tfseg.inference.views import SINGLE_VIEW
from tfseg.metrics.suite import SegmentationSuite
from tfseg.system import timing
from tfseg.system.progress import with_progress

LATENCY_ROUNDS = 15
LATENCY_SECONDS = 30


def evaluate(
    network, examples, info, iterations, *, num_examples, views=SINGLE_VIEW, fusion="logits", metrics=None
) -> dict:
    """Scores a network; every labelled pixel counts once.

    The replicas of the strategy that the network was built under share the images. If there are several workers, each
    evaluates all images. Only the counts and the images at hand are in memory.

    Args:
      network: see `tfseg.inference.runner.Inference`.
      examples: batches of {"image": uint8 [batch, height, width, 3], "label": int32 [batch, height, width],
        "filename": string [batch]}, as `pipeline.eval_examples` gives them. If they also have "instance" and
        "has_instances", instance-level IoU is scored, too.
      info: DatasetInfo of the labels.
      iterations: the network is scored after 1, 2, ..., this many iterations, which may be more than it was trained
        for. A feed-forward network is scored once.
      num_examples: number of examples, for the progress bar.
      views, fusion: the views of each image, and how they become one answer, see `Inference.refine`.
      metrics: the metrics that are counted, see `SegmentationSuite`; None means all.
    Returns:
      The result of `SegmentationSuite.result`, with "sizes" ({"<height>x<width>": number of images}) and
      "filenames_sha256" (the sha256 of the sorted names, one per line), all in plain JSON types.
    Raises:
      InputError: there are no examples, nothing is labelled, the number of classes differs, or a label value is not a
        class.
    """
    if network.num_classes != info.num_classes:
        raise InputError(f"the model has {network.num_classes} classes, {info.name} has {info.num_classes}")
    inference = inference_of(network)
    suite = SegmentationSuite(info, iterations if network.is_recurrent else 1, metrics)
    sizes, filenames = Counter(), []
    singles = with_progress(_single(examples), num_examples, "evaluating")
    while group := list(itertools.islice(singles, inference.num_replicas)):
        answers = inference.refine([image for image, *_ in group], iterations, views, fusion=fusion)
        for answer, (image, label, filename, instance_ids) in zip(answers, group, strict=True):
            try:
                suite.update(label, (answer.class_ids(index) for index in range(len(answer))), instance_ids)
            except InputError as error:
                raise InputError(f"{filename}: {error}") from None
            sizes["{}x{}".format(*image.shape)] += 1
            filenames.append(filename)
    _require_labels(suite)
    digest = hashlib.sha256("".join(f"{name}\n" for name in sorted(filenames)).encode(errors="surrogateescape"))
    return suite.result() | {"sizes": dict(sizes.most_common()), "filenames_sha256": digest.hexdigest()}


def evaluate_matches(
    network, examples, pairs, *, iterations, num_examples, views=SINGLE_VIEW, fusion="logits", ignore_label=255
) -> list[dict]:
    """Scores single classes of a network on a data set whose classes differ from the network's.

    Pixels with the ignore label do not count. All other pixels count: a class that the data set lacks is never a match.

    Args:
      network, examples, num_examples, views, fusion: see `evaluate`.
      pairs: pairs (class id of the network, class id of the data set) that mean the same.
      iterations: number of iterations after which the prediction is taken.
      ignore_label: label value of the pixels that do not count.
    Returns:
      {"iou", "recall", "precision"} of each pair, 0 to 1; a score is None if no pixel defines it.
    Raises:
      InputError: nothing is labelled.
    """
    inference, counts, num_labelled = inference_of(network), np.zeros([len(pairs), 3], np.int64), 0
    for image, label, *_ in with_progress(_single(examples), num_examples, "evaluating"):
        [answer] = inference.refine([image], iterations, views, last_only=True, fusion=fusion)
        predicted, is_labelled = answer.class_ids(), label != ignore_label
        num_labelled += np.count_nonzero(is_labelled)
        for count, (ours, theirs) in zip(counts, pairs, strict=True):
            found, wanted = (predicted == ours) & is_labelled, label == theirs
            count += np.array([(found & wanted).sum(), found.sum(), wanted.sum()])
    if not num_labelled:
        raise InputError(f"none of {num_examples} images has a labelled pixel to evaluate on")
    return [
        {"iou": _share(both, found + wanted - both), "recall": _share(both, wanted), "precision": _share(both, found)}
        for both, found, wanted in counts.tolist()
    ]


def _share(part, whole):
    return part / whole if whole else None


def best_entry(result: dict) -> dict:
    """The entry of the iteration with the highest mIoU; if several are equal, the earliest."""
    return max(result["iterations"], key=lambda entry: entry["miou"])


def remarks(result: dict, train_histogram=None) -> list[str]:
    """Lines of text about what a reader of the scores should know.

    Args:
      result: the result of `evaluate`.
      train_histogram: number of training pixels by class id; None if not known.
    """
    names, labelled, predicted = _occurrence(result)
    lines = []
    if train_histogram is not None:
        unseen = labelled & (np.asarray(train_histogram) == 0)
        lines += _named("warning: labelled here but absent from training, so it cannot be learned", names, unseen)
    lines += never_predicted(result)
    absent = ~labelled & ~predicted
    lines += _named("note: in neither labels nor predictions, so left out of the mean", names, absent)
    known, count = result["num_images_with_instances"], result["num_images"]
    if 0 < known < count:
        lines.append(f"note: only {known} of {count} images have instances, so instance-level IoU is left out")
    return lines


def never_predicted(result: dict) -> list[str]:
    """A warning that names the classes that are labelled but never predicted after the last iteration; [] if none."""
    names, labelled, predicted = _occurrence(result)
    return _named("warning: labelled, but never predicted", names, labelled & ~predicted)


def _occurrence(result):
    """(class names, whether each is labelled, whether each is predicted after the last iteration)."""
    last = result["iterations"][-1]
    confusion = np.array(last["confusion"])
    return list(last["iou"]), confusion.sum(1) > 0, confusion.sum(0) > 0


def _named(text, names, is_case):
    found = [name for name, yes in zip(names, is_case, strict=True) if yes]
    return [f"{text}: {listed(found)}"] if found else []


def class_maps(network, image, iterations) -> list[np.ndarray]:
    """[height, width] uint8 class ids of one [height, width, 3] image after 1, 2, ..., `iterations` iterations."""
    [answer] = inference_of(network).refine([image], iterations)
    return [answer.class_ids(index) for index in range(len(answer))]


def latencies(networks, size, views=SINGLE_VIEW, fusion="logits") -> dict[str, list[float]]:
    """Measures the median milliseconds from an image to its class ids after 1, 2, ... iterations, all in turn.

    Args:
      networks: {name: (network, largest number of iterations)}; a feed-forward network is timed once.
      size: (height, width) of the image.
      views, fusion: the views of the image that are run, and how they are fused.
    Returns:
      {name: milliseconds by number of iterations}.
    """
    image = np.random.default_rng(0).integers(0, 256, [*size, 3], np.uint8)

    def run(network, count):
        inference = inference_of(network)
        return lambda: inference.refine([image], count, views, last_only=True, fusion=fusion)[0].class_ids()

    calls = {
        (name, count): run(network, count)
        for name, (network, iterations) in networks.items()
        for count in range(1, (iterations if network.is_recurrent else 1) + 1)
    }
    taken = timing.interleaved(calls, LATENCY_ROUNDS, LATENCY_SECONDS)
    return {name: [timing.median(times) for (owner, _), times in taken.items() if owner == name] for name in networks}


def _single(examples):
    """Yields (image, label, filename, instance ids or None) one by one, whatever the batch size."""
    for batch in examples:
        names = [name.decode(errors="surrogateescape") for name in np.asarray(batch["filename"])]
        instance_ids = [None] * len(names)
        if "instance" in batch:
            pairs = zip(np.asarray(batch["instance"]), np.asarray(batch["has_instances"]), strict=True)
            instance_ids = [ids if is_known else None for ids, is_known in pairs]
        yield from zip(np.asarray(batch["image"]), np.asarray(batch["label"]), names, instance_ids, strict=True)


def _require_labels(suite):
    if suite.num_images == 0:
        raise InputError(f"{suite.info.name}: no images to evaluate on")
    if not suite.confusions.any():
        raise InputError(f"{suite.info.name}: none of {suite.num_images} images has a labelled pixel to evaluate on")
