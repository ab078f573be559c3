"""THE table of data sets: one row each."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

from tfseg.data.conversion.raw import ConvertOptions, Listing
from tfseg.data.datasets import (
    camvid,
    cityscapes,
    coco_panoptic,
    coco_voc,
    folder,
    mapillary,
    other_records,
    pascal_context,
    voc2012,
)
from tfseg.data.scenes import crowds, listing, streets
from tfseg.errors import InputError, listed
from tfseg.labels import DatasetInfo


@dataclasses.dataclass(frozen=True)
class Dataset:
    """One data set.

    Attributes:
      info: its facts; None if they come with the data.
      list_examples: (raw folder, ConvertOptions) -> Listing; InputError if it is not there.
      is_generated: needs no raw folder.
      url: download page of data whose info comes with them.
      record_meaning: raw folder of other projects' TFRecords -> RecordMeaning; None: their ids are those of `info`.
    """

    info: DatasetInfo | None
    list_examples: Callable[[Path | None, ConvertOptions], Listing]
    is_generated: bool = False
    url: str = ""
    record_meaning: Callable[[Path], other_records.RecordMeaning] | None = None


DATASETS = {
    "scenes": Dataset(streets.INFO, listing.list_scenes, is_generated=True),
    "crowds": Dataset(crowds.INFO, listing.list_crowds, is_generated=True),
    "camvid": Dataset(camvid.INFO, camvid.list_examples),
    "voc2012": Dataset(voc2012.INFO, voc2012.list_examples),
    "pascal_context": Dataset(pascal_context.INFO, pascal_context.list_examples),
    "pascal_context_60": Dataset(pascal_context.INFO_60, pascal_context.list_60_examples),
    "cityscapes": Dataset(cityscapes.INFO, cityscapes.list_examples),
    "mapillary": Dataset(None, mapillary.list_examples, url=mapillary.URL),
    "mapillary_v2": Dataset(None, mapillary.list_v2_examples, url=mapillary.URL),
    "coco_panoptic": Dataset(
        None, coco_panoptic.list_examples, url=coco_panoptic.URL, record_meaning=coco_panoptic.record_meaning
    ),
    "coco_voc": Dataset(coco_voc.INFO, coco_voc.list_examples),
    "folder": Dataset(None, folder.list_examples),
}


def check_name(name):
    """Raises InputError unless `name` is a key of `DATASETS`."""
    if name not in DATASETS:
        raise InputError(f"--dataset={name}: unknown; there are {listed(DATASETS)}")


def dataset_of(name) -> Dataset:
    """The row of a data set. Raises InputError for an unknown name."""
    check_name(name)
    return DATASETS[name]
