"""Pastes the pixels of some classes from one training crop into another, so that rare things are seen more often.

After "Simple Copy-Paste" (Ghiasi et al. 2021, arXiv:2012.07177), with the masks of classes in place of instances: both
crops are augmented first, then everything of these classes goes where it lies, without blending.
"""

import tensorflow as tf

from tfseg.errors import InputError, listed, shortened


def class_ids(names, info) -> tuple[int, ...]:
    """Returns the ids of classes by their names.

    Args:
      names: names of classes.
      info: the DatasetInfo that has them.
    Raises:
      InputError: there is no such class.
    """
    if unknown := [name for name in names if name not in info.class_names]:
        raise InputError(
            f"config: data.paste_classes: {info.name} has no class {shortened(unknown[0], 40)}; "
            f"one of {listed(info.class_names)}"
        )
    return tuple(info.class_names.index(name) for name in names)


def pasted(crop, donor, ids, rate, seed) -> dict:
    """Returns a crop into which a donor's pixels of some classes are pasted, or the crop as it is.

    Args:
      crop: {"image": float32 [height, width, 3], "label": [height, width], ...}.
      donor: another crop of the same size and types.
      ids: the classes that are pasted.
      rate: probability of pasting.
      seed: [2] int64; equal seeds decide alike.
    Returns:
      The crop with other "image" and "label".
    """
    is_pasted = tf.reduce_any(tf.equal(donor["label"][..., tf.newaxis], tf.cast(ids, donor["label"].dtype)), -1)
    is_pasted &= tf.random.stateless_uniform([], seed, alg="philox") < rate
    return crop | {
        "image": tf.where(is_pasted[..., tf.newaxis], donor["image"], crop["image"]),
        "label": tf.where(is_pasted, donor["label"], crop["label"]),
    }
