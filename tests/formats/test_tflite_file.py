"""Files in the .tflite format: what is in them, and that damage is reported in one clear line."""

import copy
import io
import zipfile

import flatbuffers
import numpy as np
import pytest
import tensorflow as tf

from tests.export.toy_exports import changed, converted, kernel, loop
from tfseg.errors import InputError
from tfseg.formats import flatbuffer, tflite_file, tflite_memory
from tfseg.profiling import tflite_cost


def network(x):
    x = tf.nn.relu(tf.nn.conv2d(x, kernel(3, 3, 4, 8), 2, "SAME") + kernel(8))
    return {"logits": tf.tensordot(x, kernel(8, 3), 1)}


@pytest.fixture(scope="module")
def data():
    return converted(network, [1, 9, 7, 4])


@pytest.fixture(scope="module")
def with_loop():
    return converted(loop, [1, 9, 7, 4], tf.TensorSpec([1], tf.int32, name="iterations"))


def count(model):
    for name, subgraph in tflite_file.signatures(model).items():
        tflite_file.inputs(model, name)
        tflite_cost.operations(model, 3, subgraph)
        tflite_cost.parameters(model, subgraph)
        tflite_memory.peak_activation_bytes(model, subgraph)


def test_a_whole_file_is_read(read_tflite, data):
    model = read_tflite(data)
    [graph] = model.subgraphs
    assert [tflite_file.kind(model, operator) for operator in graph.operators] == ["CONV_2D", "FULLY_CONNECTED"]
    assert tflite_file.signatures(model) == {"serving_default": 0}
    assert {name: tflite_file.shape_of(t) for name, t in tflite_file.inputs(model, "serving_default").items()} == {
        "x": (1, 9, 7, 4)
    }
    constants = [tensor for tensor in graph.tensors if tflite_file.is_constant(model, tensor)]
    assert sorted(tflite_file.num_bytes(tensor) for tensor in constants) == [4 * 8, 4 * 24, 4 * 288]


def test_a_file_cut_short_anywhere_is_refused(read_tflite, data, with_loop):
    for whole in (data, with_loop):
        for length in range(0, len(whole), 7):
            with pytest.raises(InputError, match=r"model\.tflite: damaged, or not a .tflite file \(.+\); export or"):
                read_tflite(whole[:length])


def test_changed_bytes_are_refused_or_counted(read_tflite, data, with_loop):
    generator = np.random.default_rng(0)
    refused = 0
    for trial in range(150):
        damaged = np.frombuffer([data, with_loop][trial % 2], np.uint8).copy()
        places = generator.integers(len(damaged), size=generator.choice([1, 3, 10]))
        damaged[places] = generator.integers(256, size=len(places))
        try:
            count(read_tflite(damaged.tobytes()))
        except InputError as error:
            refused += 1
            assert len(str(error).splitlines()) == 1
    assert 50 < refused < 150


@pytest.mark.parametrize(
    "content,reason",
    [
        (b"", "it is empty"),
        (np.random.default_rng(0).bytes(5000), "it does not have TFL3 in bytes 4 to 8"),
        (b"\x10\0\0\0TFL3", "Model lies beyond the 8 bytes"),
        (b"\xff\xff\xff\x7fTFL3" + bytes(400), "Model lies beyond the 408 bytes"),
        (b"PK\3\4" + bytes(100), "it does not have TFL3"),
    ],
)
def test_what_is_no_such_file_is_refused(read_tflite, content, reason):
    with pytest.raises(InputError, match=reason):
        read_tflite(content)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"nothing\.tflite: cannot be read \(No such file or directory\)"):
        tflite_file.read(tmp_path / "nothing.tflite")


def set_on(path, value):
    """Returns a change to the place that `path` names, e.g. "subgraphs.0.tensors.1.buffer"."""

    def change(model):
        part, names = model, path.split(".")
        for name in names[:-1]:
            part = part[int(name)] if name.isdigit() else getattr(part, name)
        setattr(part, names[-1], value)

    return change


@pytest.mark.parametrize(
    "path,value,reason",
    [
        ("version", 2, "its version is 2, not 3"),
        ("subgraphs", [], "it has no subgraph"),
        ("subgraphs.0.inputs", [99], "subgraph 0: there is no tensor 99"),
        ("subgraphs.0.tensors.0.buffer", 99, "there is no buffer 99"),
        ("subgraphs.0.tensors.0.type", 77, "TensorFlow does not know its type 77"),
        ("subgraphs.0.tensors.0.shape", [1, -9, 7, 4], r"its shape is \(1, -9, 7, 4\)"),
        ("subgraphs.0.tensors.0.shapeSignature", [1, 9], r"its shape is \(1, 9\)"),
        ("subgraphs.0.operators.0.opcodeIndex", 9, "operator 0: its kind is missing"),
        ("subgraphs.0.operators.0.inputs", [0], "operator 0: inputs or outputs are missing"),
        ("subgraphs.0.operators.0.inputs", [0, -1], "operator 0: inputs or outputs are missing"),
        ("subgraphs.0.operators.1.outputs", [99], "operator 1: there is no tensor 99"),
        ("subgraphs.0.inputs", [], "operator 0 uses tensor 0, which nothing before it makes"),
        ("subgraphs.0.operators", [], "nothing makes its output"),
        ("signatureDefs.0.subgraphIndex", 4, "there is no subgraph 4"),
        ("signatureDefs.0.inputs.0.tensorIndex", 99, "signature serving_default: there is no tensor 99"),
        ("metadata.0.buffer", 99, "there is no buffer 99"),
    ],
)
def test_indices_and_shapes_are_checked(read_tflite, data, path, value, reason):
    with pytest.raises(InputError, match=reason):
        read_tflite(changed(data, set_on(path, value)))


def test_a_constant_has_the_bytes_that_its_shape_needs(read_tflite, data):
    def shorten(model):
        largest = max(model.buffers, key=lambda buffer: 0 if buffer.data is None else len(buffer.data))
        largest.data = largest.data[:-4]

    with pytest.raises(InputError, match="has 1148 bytes, its shape needs 1152"):
        read_tflite(changed(data, shorten))


def test_a_constant_that_has_lost_its_values_is_noticed(read_tflite, data):
    def empty(model):
        max(model.buffers, key=lambda buffer: 0 if buffer.data is None else len(buffer.data)).data = None

    with pytest.raises(InputError, match="which nothing before it makes"):
        read_tflite(changed(data, empty))


def test_a_loop_runs_another_subgraph(read_tflite, with_loop):
    body = "subgraphs.0.operators.0.builtinOptions.bodySubgraphIndex"
    with pytest.raises(InputError, match="there is no subgraph 9"):
        read_tflite(changed(with_loop, set_on(body, 9)))
    with pytest.raises(InputError, match="subgraph 0 gives 3 inputs to subgraph 0, not 2"):
        read_tflite(changed(with_loop, set_on(body, 0)))


def test_a_subgraph_that_runs_itself_is_refused(read_tflite, with_loop):
    def repeat(model):
        loop = model.subgraphs[0].operators[0]
        body = model.subgraphs[loop.builtinOptions.bodySubgraphIndex]
        again = copy.copy(loop)
        again.inputs, again.outputs = body.inputs, body.outputs
        body.operators = [again]

    with pytest.raises(InputError, match="its subgraphs run each other"):
        read_tflite(changed(with_loop, repeat))


def test_without_signatures_the_first_subgraph_is_called_main(read_tflite, data):
    model = read_tflite(changed(data, set_on("signatureDefs", None)))
    assert tflite_file.signatures(model) == {"main": 0}
    assert list(tflite_file.inputs(model, "main")) == ["serving_default_x:0"]


def test_files_that_are_appended_as_a_zip_archive_must_be_whole(read_tflite, data):
    stream = io.BytesIO(data)
    with zipfile.ZipFile(stream, "a") as archive:
        archive.writestr("labels.txt", "road\ncar\n")
    count(read_tflite(stream.getvalue()))
    with pytest.raises(InputError, match="its end is missing"):
        read_tflite(stream.getvalue()[:-30])


def nested(levels, width):
    """A table with a vector that holds one table many times; that table has such a vector, too, and so on."""
    builder = flatbuffers.Builder(1024)
    builder.StartObject(1)
    table = builder.EndObject()
    for _ in range(levels):
        builder.StartVector(4, width, 4)
        for _ in range(width):
            builder.PrependUOffsetTRelative(table)
        tables = builder.EndVector()
        builder.StartObject(1)
        builder.PrependUOffsetTRelativeSlot(0, tables, 0)
        table = builder.EndObject()
    builder.Finish(table)
    return bytes(builder.Output())


def test_a_few_bytes_cannot_stand_for_endless_work(monkeypatch):
    monkeypatch.setattr(flatbuffer, "MAX_TABLES", 1000)
    schema = {"Row": (["Row"],)}
    assert flatbuffer.verify(nested(2, 30), schema, "Row") <= len(nested(2, 30))  # 1 + 30 + 900 tables
    with pytest.raises(ValueError, match="more than 1000 tables"):
        flatbuffer.verify(nested(4, 30), schema, "Row")
