"""The graph of objects in a checkpoint: where a network hangs, and which variables are its layers'."""

import tensorflow as tf

from tfseg.formats.object_graph import read_graph
from tfseg.formats.weight_files import open_weights


def objects(**children):
    return tf.train.Checkpoint(**children)


def graph_of(root, folder):
    return read_graph(open_weights(root.write(str(folder / "ckpt"))))


def test_layers_are_found_in_their_order_wherever_the_model_hangs(tmp_path):
    layers = {f"layer_with_weights-{i}": objects(conv=objects(kernel=tf.Variable([float(i)]))) for i in range(11)}
    graph = graph_of(objects(a=objects(net=objects(**layers), step=tf.Variable(3))), tmp_path)
    place = next(index for index, path in graph.places().items() if path == "a/net")
    found = [graph.arrays_below(layer) for layer in graph.layers_of(place)]
    reader = tf.train.load_checkpoint(str(tmp_path / "ckpt"))
    assert [list(layer) for layer in found] == [["conv/kernel"]] * 11
    assert [reader.get_tensor(layer["conv/kernel"])[0] for layer in found] == list(range(11))
    assert graph.layers_of(0) == []


def test_objects_that_refer_to_each_other_end(tmp_path):
    parent, child = objects(kernel=tf.Variable(1.0)), objects()
    parent.child, child.parent, child.itself = child, parent, child
    graph = graph_of(parent, tmp_path)
    assert sorted(graph.places().values()) == ["", "child", "kernel"]
    assert list(graph.arrays_below(0)) == ["kernel"]
