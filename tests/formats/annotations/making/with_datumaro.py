"""datumaro: CVAT's XML, COCO (val numbers the classes differently), PASCAL VOC with and without a labelmap."""

import shutil

from datumaro.components.annotation import AnnotationType, LabelCategories, Mask, Polygon
from datumaro.components.dataset import Dataset
from datumaro.components.dataset_base import DatasetItem
from datumaro.components.media import Image as Media
from datumaro.plugins.data_formats.voc.format import VocTask

from tests.formats.annotations.making.scenes import (
    CLASSES,
    EXPORTS,
    RING,
    SCENES,
    coco_mask,
    fresh,
    painted,
    photographs,
    picture,
    ring,
    save_truth,
)


def make():
    for kind in ("cvat", "coco_instances", "voc"):
        export, truth = fresh(f"datumaro_{kind}")
        orders = {"train": CLASSES, "val": CLASSES[::-1]} if kind == "coco_instances" else {None: CLASSES}
        for split, names in orders.items():
            dataset = _dataset(split, names, has_masks=kind != "cvat")
            options = {"task": VocTask.voc_instance_segmentation} if kind == "voc" else {}
            if kind == "voc":
                dataset.transform("merge_instance_segments").transform("polygons_to_masks")
            dataset.export(str(export), kind, save_media=True, **options)
        for split, name, size, _ in photographs():
            masks = _masks(split, name, size, has_masks=kind != "cvat")
            if masks or kind != "voc":  # a photograph without objects gets no mask, and so is not annotated
                save_truth(truth, CLASSES, split, name, *painted(size, masks))
    shutil.rmtree(EXPORTS / "datumaro_voc_without_labelmap", ignore_errors=True)
    shutil.copytree(EXPORTS / "datumaro_voc", EXPORTS / "datumaro_voc_without_labelmap")
    bare = EXPORTS / "datumaro_voc_without_labelmap/export"
    (bare / "labelmap.txt").rename(bare / "labels.txt")
    lines = [line.partition(":")[0] for line in (bare / "labels.txt").read_text().splitlines()]
    (bare / "labels.txt").write_text("".join(f"{line}\n" for line in lines if not line.startswith("#")))


def _dataset(split, names, has_masks):
    items = []
    for index, (own_split, name, size, objects) in enumerate(photographs()):
        if split not in (None, own_split):
            continue
        annotations = [
            Polygon(part, label=names.index(label), group=number, id=number, z_order=number)
            for number, (label, parts) in enumerate(objects, 1)
            for part in parts
        ]
        if name == "street" and has_masks:
            annotations.append(Mask(ring(size, *RING), label=names.index("dog"), group=9, id=9, z_order=9))
        media = Media.from_numpy(data=picture(size, index)[..., ::-1])
        items.append(DatasetItem(name, subset=own_split, media=media, annotations=annotations))
    labels = LabelCategories.from_iterable(names)
    return Dataset.from_iterable(items, categories={AnnotationType.label: labels})


def _masks(split, name, size, has_masks):
    """Masks of the objects: datumaro turns polygons into masks with pycocotools."""
    masks = [(label, coco_mask(parts, size)) for label, parts in SCENES[split][name][1]]
    return masks + ([("dog", ring(size, *RING))] if name == "street" and has_masks else [])


if __name__ == "__main__":
    make()
