import tensorflow as tf

from tfseg.data import targets


def test_semantic_targets_are_image_label_and_filename_and_nothing_else():
    example = {"image": tf.zeros([2, 3, 3]), "label": tf.fill([2, 3], 255), "filename": "a.jpg", "index": 7}
    selected = targets.semantic(example)
    assert set(selected) == {"image", "label", "filename"}
    assert selected["label"] is example["label"] and selected["image"] is example["image"]
