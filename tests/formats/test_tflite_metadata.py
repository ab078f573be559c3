"""Metadata of .tflite files: ours, those of other programs, and damaged ones."""

import io
import json
import struct
import zipfile

import flatbuffers
import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert import interpreter as litert
from tensorflow.lite.python.schema_py_generated import Model

from tests.export.toy_exports import changed, converted, from_saved_model, kernel, loop
from tests.formats.toy_metadata import DESCRIPTION, FOREIGN, INFO, normalization, packed, segmenter, with_data
from tfseg.errors import InputError
from tfseg.formats import tflite_metadata, tflite_metadata_tables
from tfseg.formats.tflite_metadata import Metadata

FOREIGN_METADATA = Metadata(None, ("cat", "dog"), (127.5,), (127.5,), "SIGMOID")


def network(image):
    image = tf.nn.relu(tf.nn.conv2d(image / 255.0 - 0.5, kernel(3, 3, 3, 5), 2, "SAME"))
    return {"logits": tf.image.resize(tf.nn.conv2d(image, kernel(1, 1, 5, 3), 1, "SAME"), [9, 14])}


@pytest.fixture(scope="module")
def plain():
    return converted(network, [1, 9, 14, 3])


@pytest.fixture(scope="module")
def content(plain):
    return tflite_metadata.with_metadata(plain, DESCRIPTION)


@pytest.fixture
def described(read_tflite):
    """Reads the metadata in a file's bytes."""
    return lambda content: tflite_metadata.read_metadata(content, read_tflite(content))


def outputs(module, content):
    interpreter = module.Interpreter(model_content=content)
    interpreter.allocate_tensors()
    image = np.random.default_rng(1).uniform(0, 255, [1, 9, 14, 3]).astype(np.float32)
    return interpreter.get_signature_runner("serving_default")(image=image)["logits"]


def test_what_was_written_is_read(described, content):
    expected = Metadata(DESCRIPTION, INFO.class_names, (0.0,), (1.0,), "SOFTMAX")
    assert described(content) == expected


def test_files_are_attached_uncompressed_for_any_zip_reader(content):
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.testzip() is None
        assert [(info.filename, info.compress_type) for info in archive.infolist()] == [
            ("labels.txt", zipfile.ZIP_STORED),
            ("tfseg.json", zipfile.ZIP_STORED),
        ]
        assert archive.read("labels.txt").decode() == "road\nBäume\na car\n"
        assert json.loads(archive.read("tfseg.json")) == DESCRIPTION


def test_both_interpreters_give_the_same_bits_with_and_without_metadata(plain, content):
    for module in (tf.lite, litert):
        np.testing.assert_array_equal(outputs(module, content), outputs(module, plain))


def test_the_same_input_gives_the_same_bytes_also_a_second_time(plain, content):
    assert tflite_metadata.with_metadata(plain, dict(reversed(DESCRIPTION.items()))) == content
    assert tflite_metadata.with_metadata(content, DESCRIPTION) == content


def test_metadata_is_replaced(described, content):
    other = {**DESCRIPTION, "classes": {"class_names": ["sky", "sea"]}}
    assert described(tflite_metadata.with_metadata(content, other)).labels == ("sky", "sea")


def test_constants_stay_aligned(content):
    model = Model.GetRootAs(content)
    places = []
    for index in range(model.BuffersLength()):
        buffer = model.Buffers(index)
        if buffer.DataLength():
            places.append(buffer._tab.Vector(buffer._tab.Offset(4)))
    assert len(places) > 5
    assert [place % 16 for place in places] == [0] * len(places)


class Steps(tf.Module):
    """Two functions; each becomes a subgraph of its own."""

    @tf.function(input_signature=[tf.TensorSpec([1, 4, 4, 3])])
    def encode(self, image):
        return {"features": image[..., :2] * 2.0}

    @tf.function(input_signature=[tf.TensorSpec([1, 4, 4, 2])])
    def decode(self, canvas):
        return {"logits": tf.nn.relu(canvas)}


def test_every_subgraph_that_can_be_called_is_described(tmp_path, read_tflite):
    steps = Steps()
    tf.saved_model.save(steps, str(tmp_path / "steps"), {"encode": steps.encode, "decode": steps.decode})
    any_size = {**DESCRIPTION, "size": None}
    content = tflite_metadata.with_metadata(from_saved_model(tmp_path / "steps", ["encode", "decode"]), any_size)
    model = read_tflite(content)
    [data] = [model.buffers[entry.buffer].data for entry in model.metadata if entry.name == b"TFLITE_METADATA"]
    graphs = list(tflite_metadata_tables.read(bytes(data), "ModelMetadata").parts("subgraph_metadata"))
    names = [
        [[tensor.text("name") for tensor in graph.parts(f"{side}_tensor_metadata")] for side in ("input", "output")]
        for graph in graphs
    ]
    assert sorted(names) == [[["canvas"], ["logits"]], [["image"], ["features"]]]
    assert tflite_metadata.read_metadata(content, model) == Metadata(
        any_size, INFO.class_names, (0.0,), (1.0,), "SOFTMAX"
    )


def test_a_loops_condition_and_body_are_not_described(described):
    content = converted(loop, [1, 9, 7, 4], tf.TensorSpec([1], tf.int32, name="iterations"))
    found = described(tflite_metadata.with_metadata(content, DESCRIPTION))
    assert found == Metadata(DESCRIPTION, None, (0.0,), (1.0,), None)  # its output has no name of its own


def test_class_names_of_several_lines_are_refused(plain):
    wrong = {**DESCRIPTION, "classes": {"class_names": ["road", "a\ncar"]}}
    with pytest.raises(InputError, match=r"class name 'a\\ncar': files of labels have one line per class"):
        tflite_metadata.with_metadata(plain, wrong)


def test_a_file_whose_constants_lie_behind_the_model_is_refused(plain):
    def place_outside(model):
        model.buffers[-1].offset, model.buffers[-1].size = len(plain) - 8, 8

    with pytest.raises(InputError, match="a .tflite file of more than 2 GB cannot be given metadata"):
        tflite_metadata.with_metadata(changed(plain, place_outside), DESCRIPTION)


def test_a_file_without_metadata_says_nothing(described, plain):
    assert described(plain) == Metadata(None, None, None, None, None)


@pytest.mark.parametrize("labels", ["cat\ndog\n", "cat\r\ndog\r\n", "cat\ndog"])
@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_files_of_others_are_read(described, plain, labels, compression):
    files = {"readme.txt": "nothing", "labelmap.txt": labels}
    assert described(with_data(plain, FOREIGN, files, compression)) == FOREIGN_METADATA


def test_an_archive_whose_places_count_from_its_own_start_is_read(described, plain):
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("labelmap.txt", "cat\ndog\n")
    assert described(with_data(plain, FOREIGN) + archive.getvalue()) == FOREIGN_METADATA


def test_normalisation_can_differ_between_channels(described, plain):
    found = described(with_data(plain, normalization([1.0, 2.0, 3.0], [4.0, 5.0, 6.0])))
    assert (found.mean, found.std) == ((1.0, 2.0, 3.0), (4.0, 5.0, 6.0))


@pytest.mark.parametrize(
    "data,reason",
    [
        (b"", "ModelMetadata does not have M001 in bytes 4 to 8"),
        (b"\x08\0\0\0M001", "ModelMetadata lies beyond the 8 bytes"),
        (FOREIGN[:-8], "lies beyond the"),
        (normalization([1.0], [1.0, 2.0]), "its normalisation has 1 means and 2 deviations, not 1 or 3"),
        (normalization([], []), "its normalisation has 0 means"),
        (normalization([1.0], [0.0]), r"its normalisation is \(1.0,\), \(0.0,\)"),
        (normalization([float("nan")], [1.0]), r"its normalisation is \(nan,\), \(1.0,\)"),
        (FOREIGN, "'labelmap.txt' is not attached to it"),
        (packed(input_tensor_metadata=[{"process_units": [{"options_type": 1}]}]), "NormalizationOptions is missing"),
        (packed(custom_metadata=[segmenter({"activation": 7})]), "its activation has the number 7"),
        (packed(custom_metadata=[{"name": "SEGMENTER_METADATA"}]), "ImageSegmenterOptions does not have V001"),
    ],
)
def test_damaged_metadata_is_refused(described, plain, data, reason):
    with pytest.raises(ValueError, match=reason):
        described(with_data(plain, data))


@pytest.mark.parametrize(
    "files,compression,reason",
    [
        ({"tfseg.json": "{"}, zipfile.ZIP_STORED, "tfseg.json is not JSON"),
        ({"tfseg.json": "[" * 100_000}, zipfile.ZIP_DEFLATED, "tfseg.json is not JSON"),
        ({"tfseg.json": "[1]"}, zipfile.ZIP_STORED, "tfseg.json is not a JSON object"),
        ({"tfseg.json": b"\xff\xfe{"}, zipfile.ZIP_STORED, "tfseg.json is not JSON"),
        ({"tfseg.json": " " * 30_000_000}, zipfile.ZIP_DEFLATED, "'tfseg.json' has more than 1048576 bytes"),
        ({"tfseg.json": "{}"}, zipfile.ZIP_LZMA, "'tfseg.json' is compressed in a way other than deflate"),
        ({"large": bytes(5_000_000)}, zipfile.ZIP_STORED, "bytes of files are attached to it; at most 4194304"),
    ],
)
def test_files_that_cannot_be_used_are_refused(described, plain, files, compression, reason):
    with pytest.raises(ValueError, match=reason) as caught:
        described(with_data(plain, FOREIGN, files, compression))
    assert len(str(caught.value).splitlines()) == 1


def test_a_size_that_lies_is_not_believed(described, plain):
    content = bytearray(with_data(plain, FOREIGN, {"tfseg.json": " " * 30_000_000}))
    for signature, offset in ((b"PK\3\4", 22), (b"PK\1\2", 24)):
        struct.pack_into("<I", content, content.rindex(signature) + offset, 100)
    with pytest.raises(ValueError, match="the files attached to it are damaged"):
        described(bytes(content))


def test_an_encrypted_file_is_refused(described, content):
    content = bytearray(content)
    content[content.rindex(b"PK\1\2") + 8] |= 1
    with pytest.raises(ValueError, match="the files attached to it are damaged"):
        described(bytes(content))


def test_changed_bytes_are_refused_in_a_line_or_read(read_tflite, plain, content):
    """Changes only bytes of the metadata and of the archive; the tests of `tflite_file` change those of the model."""
    foreign = with_data(plain, FOREIGN, {"labelmap.txt": "cat\ndog\n" * 50, "tfseg.json": "{}"})
    generator = np.random.default_rng(0)
    refused = 0
    for trial in range(400):
        whole = [content, foreign][trial % 2]
        model = read_tflite(whole)
        damaged = np.frombuffer(whole, np.uint8).copy()
        data = bytes(model.buffers[model.metadata[-1].buffer].data)
        start = whole.index(data)
        ranges = [*range(start, start + len(data)), *range(whole.index(b"PK\3\4"), len(whole))]
        places = generator.choice(ranges, size=generator.choice([1, 3, 10]))
        damaged[places] = generator.integers(256, size=len(places))
        try:
            tflite_metadata.read_metadata(damaged.tobytes(), read_tflite(damaged.tobytes()))
        except ValueError as error:
            refused += 1
            assert len(str(error).splitlines()) == 1
    assert 50 < refused < 400


def test_metadata_cut_short_anywhere_is_refused(described, plain):
    for length in range(0, len(FOREIGN), 9):
        with pytest.raises(ValueError):
            described(with_data(plain, FOREIGN[:length], {"labelmap.txt": "cat\ndog\n"}))


def test_many_references_to_a_few_bytes_do_not_take_memory(described, plain):
    """The custom metadata are 20 000 references to the same table, whose name has 1 MB."""
    builder = flatbuffers.Builder(1 << 21)
    name = builder.CreateString("x" * (1 << 20))
    builder.StartObject(2)
    builder.PrependUOffsetTRelativeSlot(0, name, 0)
    custom = builder.EndObject()
    builder.StartVector(4, 20_000, 4)
    for _ in range(20_000):
        builder.PrependUOffsetTRelative(custom)
    customs = builder.EndVector()
    builder.StartObject(10)
    builder.PrependUOffsetTRelativeSlot(9, customs, 0)
    graph = builder.EndObject()
    builder.StartVector(4, 1, 4)
    builder.PrependUOffsetTRelative(graph)
    graphs = builder.EndVector()
    builder.StartObject(8)
    builder.PrependUOffsetTRelativeSlot(3, graphs, 0)
    builder.Finish(builder.EndObject(), b"M001")
    with pytest.raises(ValueError, match="share so much"):
        described(with_data(plain, bytes(builder.Output())))
