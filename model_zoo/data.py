"""Data sets for recipes: what is read and how it is cropped, scaled and coloured. Each call gives a new config."""

import dataclasses

from tfseg.config import CHOSEN_CROP, CHOSEN_SCALES, DataConfig


def scenes() -> DataConfig:
    """The generated streets of 128x192."""
    return DataConfig(dataset="scenes", crop_size=(96, 128), min_scale=0.75, max_scale=1.5)


def crowds() -> DataConfig:
    """The generated crowded streets of 193x257."""
    return DataConfig(dataset="crowds", crop_size=(145, 193), min_scale=0.8, max_scale=1.4)


def folder() -> DataConfig:
    """Your own images: crops and scales are chosen by their size and number, see `tfseg.training.planning`."""
    min_scale, max_scale = CHOSEN_SCALES
    return DataConfig(
        dataset="folder", crop_size=CHOSEN_CROP, min_scale=min_scale, max_scale=max_scale, color_jitter=0.3
    )


def camvid() -> DataConfig:
    """CamVid at 360x480: 11 classes."""
    return DataConfig(dataset="camvid", crop_size=(320, 416), color_jitter=0.3)


def dynamic_cells_paper(plain: DataConfig, crop_size: tuple[int, int], has_scales: bool) -> DataConfig:
    """A data set as the paper of the dynamic cells crops it; beyond their borders, images show the mean colour.

    arch2 is trained at scales of 0.5 to 2, cells at scale 1 (arXiv:1904.02371, Sec. 6).
    """
    scales = (0.5, 2.0) if has_scales else (1.0, 1.0)
    cropped = dataclasses.replace(plain, crop_size=crop_size, fill="mean", color_jitter=0.0)
    return dataclasses.replace(cropped, min_scale=scales[0], max_scale=scales[1], flip=has_scales)


def voc2012(train_split: str = "train_aug") -> DataConfig:
    """PASCAL VOC 2012, with the augmented masks by default, in crops of 513x513 (arXiv:1706.05587, Sec. 4)."""
    return DataConfig(dataset="voc2012", train_split=train_split, crop_size=(513, 513))


def pascal_context(has_background: bool = False) -> DataConfig:
    """PASCAL-Context: 59 classes, or 60 with the background."""
    return DataConfig(dataset="pascal_context_60" if has_background else "pascal_context")


def coco_voc() -> DataConfig:
    """COCO 2017 with the 21 classes of PASCAL VOC."""
    return DataConfig(dataset="coco_voc")


def cityscapes(train_split: str = "train") -> DataConfig:
    """Cityscapes in whole frames (arXiv:1711.10151): 19 classes. The split of the coarse labels is train_coarse."""
    return DataConfig(dataset="cityscapes", train_split=train_split, crop_size=(1025, 2049))


def shelfnet(data: DataConfig, crop_size: tuple[int, int]) -> DataConfig:
    """A data set as ShelfNet's paper augments it: scales of 0.5 to 2, mirrored, turned by up to 10 degrees.

    Beyond their borders, images show the mean colour and labels are ignored.
    """
    return dataclasses.replace(data, crop_size=crop_size, rotation=10.0, fill="mean")


def light_shelfnet() -> DataConfig:
    """Cityscapes as light-weight ShelfNet's authors augment it: crops of 1024x1024, six scales, colours."""
    scales = (0.75, 1.0, 1.25, 1.5, 1.75, 2.0)
    return dataclasses.replace(cityscapes(), crop_size=(1024, 1024), scales=scales, color_jitter=0.5, fill="mean")


def mapillary() -> DataConfig:
    """Mapillary Vistas v1.2 in crops of 721x721 (arXiv:1902.05093, Sec. 4): 65 classes."""
    return DataConfig(dataset="mapillary", crop_size=(721, 721))


def mapillary_v2() -> DataConfig:
    """Mapillary Vistas v2.0, whose images are those of v1.2."""
    return dataclasses.replace(mapillary(), dataset="mapillary_v2")


def coco_panoptic() -> DataConfig:
    """COCO panoptic 2017, things and stuff: 133 classes."""
    return DataConfig(dataset="coco_panoptic", crop_size=(513, 513))
