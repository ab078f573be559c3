"""Metrics of a network on labelled images, after every iteration."""

import hashlib
import itertools
from collections import Counter

import numpy as np

from tfseg.errors import InputError
from tfseg.inference.runner import inference_of
from tfseg.inference.views import SINGLE_VIEW
from tfseg.metrics.suite import SegmentationSuite
from tfseg.system import timing
from tfseg.system.progress import with_progress

LATENCY_ROUNDS = 15
LATENCY_SECONDS = 30


def evaluate(network, examples, info, iterations, *, num_examples, views=SINGLE_VIEW, metrics=None) -> dict:
    """Scores a network; every labelled pixel counts once.

    Images are shared by the replicas of the strategy the network was built under; of several workers each evaluates
    all of them. Only counts and the image at hand are in memory.

    Args:
      network: see `tfseg.inference.runner.Inference`.
      examples: batches of {"image": uint8 [batch, height, width, 3], "label": int32 [batch, height, width],
        "filename": string [batch]}, as `pipeline.eval_examples` gives them; with "instance" and "has_instances"
        instance-level IoU is scored, too.
      info: DatasetInfo of the labels.
      iterations: scored from 1 to this; may exceed what the network was trained for. A feed-forward network has one.
      num_examples: how many there are, for the progress bar.
      views: whose logits are averaged.
      metrics: what is counted, see `SegmentationSuite`; None is all.
    Returns:
      What `SegmentationSuite.result` describes, "sizes" ({"<height>x<width>": images}) and "filenames_sha256" (of the
      sorted names, a line each), all plain JSON types.
    Raises:
      InputError: no examples, nothing labelled, another number of classes, or a label value that is no class.
    """
    if network.num_classes != info.num_classes:
        raise InputError(f"the model has {network.num_classes} classes, {info.name} has {info.num_classes}")
    inference = inference_of(network)
    suite = SegmentationSuite(info, iterations if network.is_recurrent else 1, metrics)
    sizes, filenames = Counter(), []
    singles = with_progress(_single(examples), num_examples, "evaluating")
    while group := list(itertools.islice(singles, inference.num_replicas)):
        answers = inference.refine([image for image, *_ in group], iterations, views)
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
    network, examples, pairs, *, iterations, num_examples, views=SINGLE_VIEW, ignore_label=255
) -> list[dict]:
    """Scores single classes of a network on a data set of other classes.

    Pixels of the ignore label are left out. Everything else counts: what the data set has no class for is no match.

    Args:
      network, examples, num_examples, views: as `evaluate`.
      pairs: (class id of the network, class id of the data set) of the classes that mean the same.
      iterations: after which the prediction is taken.
    Returns:
      {"iou", "recall", "precision"} of each pair, 0 to 1; None where neither has a pixel of it.
    Raises:
      InputError: nothing is labelled.
    """
    inference, counts, num_labelled = inference_of(network), np.zeros([len(pairs), 3], np.int64), 0
    for image, label, *_ in with_progress(_single(examples), num_examples, "evaluating"):
        [answer] = inference.refine([image], iterations, views, last_only=True)
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
    """The entry of the iteration with the highest mIoU; the earliest of equals."""
    return max(result["iterations"], key=lambda entry: entry["miou"])


def remarks(result: dict, train_histogram=None) -> list[str]:
    """What a reader of the scores should know, a line each.

    Args:
      result: from `evaluate`.
      train_histogram: training pixels by class id, where known.
    """
    last = result["iterations"][-1]
    confusion, names = np.array(last["confusion"]), list(last["iou"])
    labelled, predicted = confusion.sum(1) > 0, confusion.sum(0) > 0
    cases = [
        ("warning: labelled, but never predicted", labelled & ~predicted),
        ("note: in neither labels nor predictions, so left out of the mean", ~labelled & ~predicted),
    ]
    if train_histogram is not None:
        unseen = np.asarray(train_histogram) == 0
        cases.insert(0, ("warning: labelled here but absent from training, so it cannot be learned", labelled & unseen))
    lines = [
        f"{text}: {', '.join(name for name, is_case in zip(names, is_cases, strict=True) if is_case)}"
        for text, is_cases in cases
        if is_cases.any()
    ]
    known, count = result["num_images_with_instances"], result["num_images"]
    if 0 < known < count:
        lines.append(f"note: only {known} of {count} images have instances, so instance-level IoU is left out")
    return lines


def class_maps(network, image, iterations) -> list[np.ndarray]:
    """[height, width] uint8 class ids of one [height, width, 3] image after iteration 1, 2, ..., `iterations`."""
    [answer] = inference_of(network).refine([image], iterations)
    return [answer.class_ids(index) for index in range(len(answer))]


def latencies(networks, size, views=SINGLE_VIEW) -> dict[str, list[float]]:
    """Median milliseconds from image to class ids, after 1, 2, ... iterations, all measured in turn.

    Args:
      networks: name -> (network, iterations); a feed-forward network has one.
      size: (height, width) of the image.
    """
    image = np.random.default_rng(0).integers(0, 256, [*size, 3], np.uint8)

    def run(network, count):
        inference = inference_of(network)
        return lambda: inference.refine([image], count, views, last_only=True)[0].class_ids()

    calls = {
        (name, count): run(network, count)
        for name, (network, iterations) in networks.items()
        for count in range(1, (iterations if network.is_recurrent else 1) + 1)
    }
    taken = timing.interleaved(calls, LATENCY_ROUNDS, LATENCY_SECONDS)
    return {name: [timing.median(times) for (owner, _), times in taken.items() if owner == name] for name in networks}


def _single(examples):
    """(image, label, filename, instance ids or None) one by one, whatever the batches."""
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
