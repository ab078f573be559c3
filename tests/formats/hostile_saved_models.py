"""SavedModels that leave a file behind when any part of them is run, though they look like models of tfseg."""

import json

import tensorflow as tf

from tests.fake_network import INFO
from tfseg.formats import export_manifest

DESCRIPTION = {
    "format": "tfseg 1",
    "name": "hostile",
    "classes": INFO.to_dict(),
    "is_recurrent": False,
    "iterations": 1,
    "max_iterations": 1,
    "size": None,
    "padding": "same",
    "stride": 4,
    "kind": "savedmodel",
    "precision": "fp32",
}


class Table(tf.saved_model.experimental.TrackableResource):
    """A resource whose functions TensorFlow calls while it loads the model."""

    def __init__(self, folder):
        super().__init__()
        self._folder = folder

    def _create_resource(self):
        with tf.control_dependencies([tf.io.write_file(f"{self._folder}/create", "x")]):
            return tf.raw_ops.VarHandleOp(dtype=tf.float32, shape=[])

    def _initialize(self):
        tf.io.write_file(f"{self._folder}/initialize", "x")


class Hostile(tf.Module):
    """Answers as a SavedModel of tfseg does, and writes files into a folder."""

    def __init__(self, folder):
        super().__init__()
        self._place, self.table = str(folder), Table(str(folder))

    @tf.function(input_signature=[tf.TensorSpec([None, None, None, 3], tf.uint8), tf.TensorSpec([None], tf.int32)])
    def segment(self, images, iterations):
        # The handle makes the resource a part of the graph.
        with tf.control_dependencies([tf.io.write_file(f"{self._place}/call", "x"), self.table.resource_handle]):
            mask = tf.zeros(tf.shape(images)[:3], tf.uint8)
        return {"mask": mask, "confidence": tf.ones(tf.shape(mask)), "iterations": iterations}


def save(path, folder):
    """Writes a SavedModel to `path` that writes into `folder` when it is loaded and when it is called."""
    module = Hostile(folder)
    tf.saved_model.save(module, str(path), {"segment_tensors": module.segment})
    _describe(path)
    for file in folder.iterdir():
        file.unlink()  # written when the model was built
    return path


def save_version_1(path, folder):
    """As `save`, in the form of TensorFlow 1, whose operation for initialising runs when the model is loaded."""
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        images = tf.compat.v1.placeholder(tf.uint8, [None, None, None, 3], "images")
        iterations = tf.compat.v1.placeholder(tf.int32, [None], "iterations")
        mask = tf.zeros(tf.shape(images)[:3], tf.uint8)
        outputs = {"mask": mask, "confidence": tf.ones(tf.shape(mask)), "iterations": tf.identity(iterations)}
        signature = tf.compat.v1.saved_model.predict_signature_def(
            {"images": images, "iterations": iterations}, outputs
        )
        builder = tf.compat.v1.saved_model.Builder(str(path))
        builder.add_meta_graph_and_variables(
            session,
            ["serve"],
            {"segment_tensors": signature},
            main_op=tf.group(tf.io.write_file(f"{folder}/main_op", "x")),
        )
        builder.save()
    _describe(path)
    return path


def forge_manifest(path):
    """Writes a manifest above serving/NAME/VERSION with the right checksum of the SavedModel and of itself."""
    root, place = path.parents[2], path.relative_to(path.parents[2]).as_posix()
    artifacts = {place: {"kind": "savedmodel", "precision": "fp32", "sha256": export_manifest.sha256(path)}}
    values = {"format": "tfseg 1", "name": "hostile", "classes": INFO.to_dict(), "artifacts": artifacts}
    export_manifest.write(root, values)


def _describe(path):
    (path / "assets.extra").mkdir(exist_ok=True)
    (path / "assets.extra" / "tfseg.json").write_text(json.dumps(DESCRIPTION))
