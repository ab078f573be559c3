"""Decides which images of a data set are scored, and says how many of how many they are."""

import dataclasses
import os

from tfseg.data import opening
from tfseg.data.opening import Split, open_split
from tfseg.labels import DatasetInfo

WHOLE = "all"  # name of the split of all images, where they had no splits
REMARK = (
    "note: these are not the run's own data and have no splits, so all images are scored; --split=val takes the share "
    "that would be drawn for it"
)


def open_scored_split(
    dataset: str,
    data_dir: str | None,
    own_dir: str | None,
    split: str | None,
    default: str,
    info: DatasetInfo | None,
    fold: str = "",
) -> Split:
    """Opens the split that is scored.

    Args:
      dataset: key of `data.datasets.table.DATASETS`.
      data_dir: the folder that the user names; None for the run's own.
      own_dir: the folder the run was trained on; None if it is not known, or if the data are generated.
      split: the split that the user names; None takes `default`, but of a folder that is not the run's own and has no
        splits the whole, because no image of it was trained on.
      default: the run's validation split.
      info: the labels that the model was made for; None accepts any.
      fold: that of the run, see `ConvertOptions.fold`; it applies to the run's own folder.
    Raises:
      InputError: in the cases of `open_split`.
    """
    if data_dir and (own_dir is None or os.path.realpath(own_dir) != os.path.realpath(data_dir)):
        fold = ""
    first = open_split(dataset, data_dir or own_dir, split or default, expected_info=info, fold=fold)
    manifest = first.manifest
    if split or not data_dir or not manifest.has_drawn_val or _is_own(dataset, own_dir, data_dir, manifest.source):
        return first
    first.other("train"), first.other("val")  # checks their shards
    whole = manifest.splits["train"] + manifest.splits["val"]
    return dataclasses.replace(
        first, name=WHOLE, manifest=dataclasses.replace(manifest, splits=manifest.splits | {WHOLE: whole})
    )


def scored(metrics: dict) -> str:
    """Says how many of how many images were scored, e.g. "2 of 10 images"; `metrics` is that of metrics.json."""
    return f"{metrics['num_images']} of {metrics['num_images_in_all']} images"


def _is_own(dataset, own_dir, data_dir, source):
    """Whether two folders hold the same data, be it raw or as records."""
    if own_dir is None:
        return False
    return os.path.realpath(own_dir) == os.path.realpath(data_dir) or opening.source_of(dataset, own_dir) == source
