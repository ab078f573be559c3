"""labelme 6: a JSON file beside each photograph, with every shape that covers pixels."""

import numpy as np
from labelme import _label_file, utils

from tests.formats.annotations.making.scenes import CLASSES, RING, fresh, photographs, ring, save_picture, save_truth


def make():
    export, truth = fresh("labelme")
    for index, (split, name, size, objects) in enumerate(photographs()):
        save_picture(export / split / f"{name}.jpg", size, index)
        shapes = [
            _labelme_shape(label, np.reshape(part, [-1, 2]).tolist(), group=number if len(parts) > 1 else None)
            for number, (label, parts) in enumerate(objects)
            for part in parts
        ]
        if name == "park":
            shapes += [
                _labelme_shape("car", [[10, 9], [13, 11]], "circle"),
                _labelme_shape("car", [[20, 2], [28.5, 5.5]], "rectangle"),
                _labelme_shape("tree", [[20, 14], [25, 19], [22, 22], [17, 17]], "oriented_rectangle"),
            ]
        if name == "street":
            left, top, right, bottom = RING[0]
            mask = ring(size, *RING)[top:bottom, left:right]
            corners = [[left, top], [right - 1, bottom - 1]]
            shapes.append(_labelme_shape("dog", corners, "mask", mask=utils.img_arr_to_b64(mask.astype(np.uint8))))
        path = export / split / f"{name}.json"
        _label_file.write_label_file(
            str(path), shapes=shapes, image_path=f"{name}.jpg", image_height=size[0], image_width=size[1]
        )
        loaded = _label_file.read_label_file(str(path)).shapes
        values = {label: number for number, label in enumerate(CLASSES, 1)}
        save_truth(truth, CLASSES, split, name, *utils.shapes_to_label(size, loaded, values))


def _labelme_shape(label, points, kind="polygon", group=None, mask=None):
    return {
        "label": label,
        "points": points,
        "group_id": group,
        "description": "",
        "shape_type": kind,
        "flags": {},
        "mask": mask,
    }


if __name__ == "__main__":
    make()
