"""Files in the .tflite format: what is in them, and that damage is reported in one clear line."""

import copy
import io
import os
import zipfile

import flatbuffers
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.lite.python import schema_py_generated as schema

from tests.export.toy_exports import changed, converted, kernel, loop
from tfseg.errors import InputError
from tfseg.formats import flatbuffer, tflite_bytes, tflite_file, tflite_memory
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


def with_tables(model, count):
    """Many tensors, of which each is a table."""
    model.subgraphs[0].tensors += [copy.copy(model.subgraphs[0].tensors[0]) for _ in range(count)]


def nest(levels):
    """A change: `levels` subgraphs, each of which runs the next one in both branches."""

    def change(model):
        code = copy.copy(model.operatorCodes[0])
        code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.IF
        model.operatorCodes.append(code)
        image = model.subgraphs[0].tensors[model.subgraphs[0].inputs[0]]
        for level in range(levels):
            graph = schema.SubGraphT()
            graph.tensors, graph.inputs, graph.outputs, graph.operators = [image] * 2, [0], [0], []
            if level + 1 < levels:
                branch = schema.OperatorT()
                branch.opcodeIndex, branch.inputs, branch.outputs = len(model.operatorCodes) - 1, [0, 0], [1]
                branch.builtinOptionsType, branch.builtinOptions = schema.BuiltinOptions.IfOptions, schema.IfOptionsT()
                index = len(model.subgraphs) + 1
                branch.builtinOptions.thenSubgraphIndex = branch.builtinOptions.elseSubgraphIndex = index
                graph.operators, graph.outputs = [branch], [1]
            model.subgraphs.append(graph)
        model.signatureDefs[0].subgraphIndex = 1
        for item, index in ((model.signatureDefs[0].inputs[0], 0), (model.signatureDefs[0].outputs[0], 0)):
            item.tensorIndex = index

    return change


@pytest.mark.parametrize(
    "change,reason",
    [
        (lambda model: with_tables(model, 600), "more than 500 tables"),
        (set_on("subgraphs.0.tensors.0.shape", [2**31 - 1] * 100_000), "it has 100000 axes, more than 16"),
        (set_on("subgraphs.0.tensors.0.shapeSignature", [1] * 100_000), "it has 100000 axes, more than 16"),
        (set_on("subgraphs.0.inputs", [0] * 600), "more than 500 inputs and outputs"),
        (nest(30), "its loops and branches lie 29 deep, more than 16"),
        (nest(17), "run more than 100 operators"),  # 2^16 of them
    ],
)
def test_work_that_would_take_too_long_is_refused(read_tflite, data, monkeypatch, change, reason):
    monkeypatch.setattr(flatbuffer, "MAX_TABLES", 500)
    monkeypatch.setattr(tflite_file, "MAX_OPERATORS", 100)
    monkeypatch.setattr(tflite_file, "MAX_INDICES", 500)
    with pytest.raises(InputError, match=reason) as caught:
        read_tflite(changed(data, change))
    assert len(str(caught.value).splitlines()) == 1


def test_many_tensors_with_the_same_long_name_are_refused():
    """A reader copies a name for each tensor that refers to it."""
    builder = flatbuffers.Builder(1 << 21)
    name = builder.CreateString("x" * (1 << 20))
    builder.StartObject(10)
    builder.PrependUOffsetTRelativeSlot(3, name, 0)
    tensor = builder.EndObject()
    builder.StartVector(4, 1000, 4)
    for _ in range(1000):
        builder.PrependUOffsetTRelative(tensor)
    tensors = builder.EndVector()
    builder.StartObject(5)
    builder.PrependUOffsetTRelativeSlot(0, tensors, 0)
    builder.Finish(builder.EndObject())
    with pytest.raises(ValueError, match="its parts share so much that they are many times its size"):
        flatbuffer.verify(bytes(builder.Output()), tflite_bytes.SCHEMA, "SubGraph")


def test_options_are_followed_by_the_number_that_says_what_they_are():
    """Options with strings are checked, too."""
    schema_of_options = {"Row": (1, {7: "Named"}), "Named": (flatbuffer.STRING,)}

    def row(number):
        builder = flatbuffers.Builder(64)
        builder.StartObject(1)
        builder.PrependUint32Slot(0, 1 << 30, 0)  # read as a string, it lies far outside
        options = builder.EndObject()
        builder.StartObject(2)
        builder.PrependUint8Slot(0, number, 0)
        builder.PrependUOffsetTRelativeSlot(1, options, 0)
        builder.Finish(builder.EndObject())
        return bytes(builder.Output())

    flatbuffer.verify(row(6), schema_of_options, "Row")
    with pytest.raises(ValueError, match="Named field 0 lies beyond"):
        flatbuffer.verify(row(7), schema_of_options, "Row")


def test_what_is_no_regular_file_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe.tflite")
    with pytest.raises(InputError, match=r"pipe\.tflite: a pipe, socket or device, not a regular file"):
        tflite_file.read(tmp_path / "pipe.tflite")


def test_names_with_line_breaks_stay_one_short_line(read_tflite, data):
    def rename(model):
        model.subgraphs[0].tensors[0].name = b"a\nb\x1b[31m" * 1000
        model.subgraphs[0].tensors[0].type = 77

    with pytest.raises(InputError, match=r"tensor a b \[31ma b") as caught:
        read_tflite(changed(data, rename))
    assert str(caught.value).isprintable() and len(str(caught.value)) < 300
