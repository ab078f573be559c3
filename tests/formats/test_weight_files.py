"""Hostile and damaged weights files are refused in one line; nothing in them is run or allocated."""

import contextlib
import io
import json
import os
import re
import tracemalloc
import zipfile

import h5py
import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from tfseg import backbones
from tfseg.backbones import BackboneConfig
from tfseg.backbones.pretrained import load_backbone
from tfseg.errors import InputError
from tfseg.formats import weight_files
from tfseg.formats.weight_files import open_weights

HUGE = (10**6, 10**6)  # 3.6 TiB of float32


@contextlib.contextmanager
def little_memory():
    """Asserts that Python allocates less than 10 MB at once."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < 10e6
    finally:
        tracemalloc.stop()


class Touch:
    """An object that creates a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


def write_npy_header(shape):
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}"
    header = header.ljust(118 - 1) + "\n"
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode()


@pytest.fixture
def marker(tmp_path):
    """A path that code in a file would create; it must not exist after the test."""
    yield tmp_path / "executed"
    assert not (tmp_path / "executed").exists()


def test_pickled_objects_in_an_archive_are_refused_unopened(tmp_path, marker):
    path = tmp_path / "weights.npz"
    np.savez(path, kernel=np.array([Touch(marker)], dtype=object))
    with pytest.raises(InputError, match=r"kernel.npy holds pickled Python objects; only arrays of numbers are read"):
        open_weights(path)


@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
@pytest.mark.parametrize("extension", ["h5", "keras"])
def test_a_model_with_a_lambda_is_refused_unopened(extension, tmp_path, marker):
    code = f"__import__('pathlib').Path({str(marker)!r}).touch()"
    model = keras.Sequential([keras.Input([1]), keras.layers.Lambda(eval(f"lambda x: {code} or x"))])
    marker.unlink()  # building the model here ran it
    path = tmp_path / f"model.{extension}"
    model.save(path)
    with pytest.raises(InputError, match=r"can carry code|holds code \((Lambda|__lambda__)\)"):
        open_weights(path)


def test_a_keras_archive_that_names_a_foreign_module_is_refused_unopened(tmp_path, marker):
    path = tmp_path / "model.keras"
    layer = {"module": "os", "class_name": "mkdir", "config": str(marker), "registered_name": "mkdir"}
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", json.dumps({"class_name": "Functional", "config": {"layers": [layer]}}))
    with pytest.raises(InputError, match="names a foreign module, os;"):
        open_weights(path)


def test_keras_weights_without_names_are_refused_with_what_to_do(tmp_path):
    model = keras.Sequential([keras.Input([1]), keras.layers.Dense(1)])
    model.save_weights(tmp_path / "model.weights.h5")
    with pytest.raises(InputError, match="layers without names .* save as .keras"):
        open_weights(tmp_path / "model.weights.h5")


def test_an_h5_file_that_points_to_another_file_is_refused(tmp_path):
    path = tmp_path / "weights.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("kernel", [4], "f4", external=[(str(tmp_path / "secret.bin"), 0, 16)])
    with pytest.raises(InputError, match="kernel points to another file"):
        open_weights(path)


def write_h5_bomb(path):
    with h5py.File(path, "w") as file:
        file.create_dataset("Conv1/Conv1/kernel:0", HUGE, "f4", chunks=(1000, 1000), compression="gzip")


def write_npz_bomb(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("Conv1/kernel.npy", write_npy_header(HUGE) + bytes(64))


@pytest.mark.parametrize(("extension", "write"), [("h5", write_h5_bomb), ("npz", write_npz_bomb)])
def test_a_shape_of_terabytes_is_refused_in_little_memory(extension, write, tmp_path):
    path = tmp_path / f"weights.{extension}"
    write(path)
    backbone = backbones.build(BackboneConfig("mobilenet_v2", width_multiplier=0.25))
    backbone(tf.zeros([1, 33, 33, 3]))
    message = r"Conv1/kernel \[1000000, 1000000\], not \[3, 3, 3, 8\]|declares shape"
    with little_memory(), pytest.raises(InputError, match=message):
        load_backbone(backbone, path)


def write_many_groups(file):
    for number in range(30_000):
        file.create_group(f"g{number}")


def write_many_arrays(file):
    for number in range(200):
        for other in range(110):
            file[f"{number}/{other}"] = np.float32(0)


def write_deep(file):
    group = file
    for _ in range(3000):
        group = group.create_group("g")


def write_circle(file):
    file["a/b"] = np.float32([1])
    for number in range(3):
        file[f"a/again{number}"] = file["a"]  # a hard link to the group itself


CROWDED = [write_many_groups, write_many_arrays, write_deep, write_circle]


@pytest.mark.parametrize("compression", [None, zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("write", CROWDED)
def test_a_crowded_file_is_refused_soon(tmp_path, write, compression, monkeypatch):
    monkeypatch.setattr(weight_files, "_h5_shape", limited(weight_files._h5_shape, 22_000))
    content = io.BytesIO()
    with h5py.File(content, "w", libver="latest") as file:
        write(file)
    path = tmp_path / ("weights.h5" if compression is None else "weights.keras")
    if compression is None:
        path.write_bytes(content.getvalue())
    else:
        with zipfile.ZipFile(path, "w", compression) as archive:
            archive.writestr("config.json", json.dumps({"config": {"layers": []}}))
            archive.writestr("model.weights.h5", content.getvalue())
    with pytest.raises(InputError, match="more than (20000 entries|32 groups in each other)|would unpack to"):
        open_weights(path)


def limited(function, most):
    """The function, which fails when it is called more than `most` times."""
    counts = iter(range(most))

    def called(*arguments):
        next(counts)
        return function(*arguments)

    return called


def test_an_archive_of_many_arrays_is_refused_unread(tmp_path, monkeypatch):
    monkeypatch.setattr(weight_files, "_npy_shape", None)
    with zipfile.ZipFile(tmp_path / "weights.npz", "w") as archive:
        for number in range(20_001):
            archive.writestr(f"{number}.npy", b"")
    with pytest.raises(InputError, match=r"weights\.npz: more than 20000 entries"):
        open_weights(tmp_path / "weights.npz")


def test_a_header_that_claims_gigabytes_is_not_read(tmp_path):
    header = b"\x93NUMPY\x02\x00" + (2**32 - 1).to_bytes(4, "little")
    with zipfile.ZipFile(tmp_path / "weights.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.npy", header + b" " * 50_000_000)
    with little_memory(), pytest.raises(InputError, match=r"weights\.npz: file is damaged"):
        open_weights(tmp_path / "weights.npz")


@pytest.mark.parametrize(
    "member,most", [("config.json", "larger than 8 MB"), ("model.weights.h5", "would unpack to 0.1")]
)
def test_a_keras_archive_that_unpacks_to_far_more_is_refused_unread(tmp_path, member, most):
    contents = {"config.json": b"{}", "model.weights.h5": b""} | {member: bytes(60_000_000)}
    with zipfile.ZipFile(tmp_path / "weights.keras", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in contents.items():
            archive.writestr(name, content)
    with little_memory(), pytest.raises(InputError, match=f"weights.keras: .*{most}"):
        open_weights(tmp_path / "weights.keras")


def test_a_keras_archive_is_read_whether_it_is_compressed_or_not(tmp_path):
    model = keras.Sequential([keras.Input([3]), keras.layers.Dense(2, name="one"), keras.layers.Dense(4, name="two")])
    model.save(tmp_path / "stored.keras")
    with (
        zipfile.ZipFile(tmp_path / "stored.keras") as stored,
        zipfile.ZipFile(tmp_path / "deflated.keras", "w", zipfile.ZIP_DEFLATED) as deflated,
    ):
        for name in stored.namelist():
            deflated.writestr(name, stored.read(name))
    for name in ("stored.keras", "deflated.keras"):
        file = open_weights(tmp_path / name)
        assert file.shapes == {"one/kernel": (3, 2), "one/bias": (2,), "two/kernel": (2, 4), "two/bias": (4,)}
        np.testing.assert_array_equal(file.read("two/kernel"), model.layers[1].kernel)


@pytest.mark.parametrize("name", ["keras", "tf_keras"])
def test_a_keras_archive_is_read_whichever_package_of_keras_2_wrote_it(tmp_path, name):
    model = keras.Sequential([keras.Input([3]), keras.layers.Dense(2, name="one")])
    model.save(tmp_path / "here.keras")
    with (
        zipfile.ZipFile(tmp_path / "here.keras") as here,
        zipfile.ZipFile(tmp_path / "there.keras", "w") as there,
    ):
        for member in here.namelist():
            content = here.read(member)
            if member == "config.json":
                content = re.sub(rb'"module": "(tf_)?keras', b'"module": "' + name.encode(), content)
                assert f'"module": "{name}.'.encode() in content
            there.writestr(member, content)
    np.testing.assert_array_equal(open_weights(tmp_path / "there.keras").read("one/kernel"), model.layers[0].kernel)


def write_small(path):
    arrays = {"a": np.arange(2000, dtype=np.float32), "b": np.ones([30, 40], np.float32)}
    if path.suffix == ".npz":
        np.savez_compressed(path, **arrays)
    elif path.suffix == ".h5":
        with h5py.File(path, "w") as file:
            for name, array in arrays.items():
                file[name] = array
    else:
        tensors = list(arrays.values())
        tf.raw_ops.SaveV2(prefix=str(path), tensor_names=["a", "b"], shape_and_slices=["", ""], tensors=tensors)


def read_all(path):
    file = open_weights(path)
    return {name: file.read(name) for name in file.shapes}


@pytest.mark.parametrize("name", ["weights.npz", "weights.h5", "model.ckpt"])
def test_a_truncated_file_is_refused_wherever_it_is_cut(name, tmp_path):
    path = tmp_path / name
    write_small(path)
    assert read_all(path)["b"].sum() == 1200
    for stored in sorted(tmp_path.iterdir()):
        content = stored.read_bytes()
        for cut in (0, len(content) // 10, len(content) // 2, len(content) - 20):
            stored.write_bytes(content[:cut])
            with pytest.raises(InputError, match=f"{name}: .*(damaged|other format|no such)"):
                read_all(path)
        stored.write_bytes(content)


@pytest.mark.parametrize("name", ["weights.npz", "weights.h5", "weights.keras", "model.ckpt"])
def test_text_under_a_weights_name_and_a_missing_file_are_refused(name, tmp_path):
    path = tmp_path / name
    with pytest.raises(InputError, match="no such weights file"):
        open_weights(path)
    path.write_text("these are not weights\n" * 40)
    with pytest.raises(InputError, match=f"{name}: file is damaged or of another format"):
        open_weights(path)


def test_a_folder_with_two_checkpoints_and_no_latest_asks_which(tmp_path):
    for name in ("model.ckpt-1", "model.ckpt-2"):
        write_small(tmp_path / name)
    with pytest.raises(InputError, match=r"2 checkpoints \(\*.index\) in this folder; name the one to read"):
        open_weights(tmp_path)
    (tmp_path / "checkpoint").write_text('model_checkpoint_path: "model.ckpt-2"\n')
    assert open_weights(tmp_path).shapes == {"a": (2000,), "b": (30, 40)}


def test_half_precision_arrays_are_read_as_float32(tmp_path):
    np.savez(tmp_path / "half.npz", kernel=np.float16([1.5, -2]))
    array = open_weights(os.fspath(tmp_path / "half.npz")).read("kernel")
    assert array.dtype == np.float32
    np.testing.assert_array_equal(array, [1.5, -2])


@pytest.mark.parametrize("ending", [".index", ".data-00000-of-00001"])
def test_a_pipe_in_the_place_of_a_checkpoints_file_is_not_waited_for(tmp_path, ending):
    tf.train.Checkpoint(weight=tf.Variable(1.0)).write(str(tmp_path / "model.ckpt"))
    (tmp_path / f"model.ckpt{ending}").unlink()
    os.mkfifo(tmp_path / f"model.ckpt{ending}")
    with pytest.raises(InputError, match=rf"model\.ckpt{ending}: a pipe, socket or device"):
        open_weights(tmp_path / "model.ckpt.index")
