"""Checkpoints as Model Garden writes them, without Model Garden."""

import tensorflow as tf

from tfseg.backbones.model_garden import naming


def arrays_of(backbone):
    """{path from the backbone, as in a checkpoint of Model Garden: array} of one of our backbones."""
    arrays = {}
    for scope, layer in backbone.convolutions().items():
        kernel, _, statistics = naming(scope)
        name = kernel.replace("/kernel", "/depthwise_kernel") if layer.conv.weights[0].shape[3] == 1 else kernel
        arrays[name] = layer.conv.weights[0].numpy()
        arrays |= {path: getattr(layer.bn, statistic).numpy() for statistic, path in statistics.items()}
    return arrays


def write_objects(prefix, arrays):
    """Writes {path: array} as objects with these attributes; returns the checkpoint's prefix."""
    tree = {}
    for path, array in arrays.items():
        *places, name = path.split("/")
        branch = tree
        for place in places:
            branch = branch.setdefault(place, {})
        branch[name] = tf.Variable(array)
    return _object(tree).write(str(prefix))


def _object(tree):
    children = {name: _object(value) if isinstance(value, dict) else value for name, value in tree.items()}
    return tf.train.Checkpoint(**children)
