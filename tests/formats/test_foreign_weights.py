"""Weights files of other programs are named, with what to do, and nothing in them is run."""

import json
import pickle
import re
import zipfile

import numpy as np
import pytest
import tensorflow as tf

from tests.formats.test_weight_files import Touch, read_all, write_small
from tfseg.errors import InputError
from tfseg.formats.weight_files import open_weights


def write_torch(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(Touch(path.with_name("executed"))))
        archive.writestr("archive/data/0", bytes(64))


def write_safetensors(path):
    header = json.dumps({"kernel": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(4))


def write_pickle(path):
    path.write_bytes(pickle.dumps(Touch(path.with_name("executed")), protocol=2))


@pytest.mark.parametrize(
    "name,write,kind",
    [
        ("model.pth", write_torch, "weights of PyTorch"),
        ("model.pt", write_torch, "weights of PyTorch"),
        ("pytorch_model.bin", write_torch, "weights of PyTorch"),
        ("last.ckpt", write_torch, "weights of PyTorch"),
        ("weights", write_torch, "weights of PyTorch"),
        ("model.pth", write_pickle, "weights of PyTorch"),
        ("model.pth.tar", write_pickle, "weights of PyTorch"),
        ("model.bin", write_safetensors, "a safetensors file without the ending .safetensors"),
        ("model.PTH", lambda path: path.write_bytes(b"unknown"), "weights of PyTorch"),
        ("frozen_inference_graph.pb", lambda path: path.write_bytes(b"\n\x10\n\x05image"), "a frozen TensorFlow graph"),
        ("model.onnx", lambda path: path.write_bytes(b"\x08\x07\x12\x07pytorch"), "an ONNX model"),
        ("model.tflite", lambda path: path.write_bytes(b"\x1c\0\0\0TFL3" + bytes(30)), "a TensorFlow Lite model"),
        ("model", lambda path: path.write_bytes(b"\x1c\0\0\0TFL3" + bytes(30)), "a TensorFlow Lite model"),
        ("kernel.npy", lambda path: np.save(path, np.ones(3)), "a single NumPy array"),
        ("model.ckpt", lambda path: path.write_bytes(b"\x89HDF\r\n\x1a\n"), "an HDF5 file without the ending .h5"),
        ("model.tar.gz", lambda path: path.write_bytes(b"\x1f\x8b\x08"), "an archive"),
        ("weights.zip", lambda path: zipfile.ZipFile(path, "w").close(), "an archive"),
        ("notes.txt", lambda path: path.write_text("no weights"), "file is damaged or of another format"),
        ("empty", lambda path: path.touch(), "file is damaged or of another format"),
    ],
)
def test_a_file_of_another_program_is_named_with_what_to_do(tmp_path, name, write, kind):
    write(tmp_path / name)
    advice = "read are .npz, .safetensors, .h5, .keras and TensorFlow checkpoints: save its arrays as .npz"
    if kind == "weights of PyTorch":
        advice = "turn it into .safetensors where PyTorch is: safetensors.torch.save_file("
    message = re.escape(f"{name}: {kind}; {advice}")
    with pytest.raises(InputError, match=message) as caught:
        open_weights(tmp_path / name)
    assert len(str(caught.value).splitlines()) == 1 and len(str(caught.value).replace(str(tmp_path), "")) < 300
    assert not (tmp_path / "executed").exists()


def test_a_part_of_a_checkpoint_leads_to_its_index(tmp_path):
    write_small(tmp_path / "model.bin")  # the name of a checkpoint may end with anything
    assert read_all(tmp_path / "model.bin")["b"].sum() == 1200
    assert read_all(tmp_path / "model.bin.index")["b"].sum() == 1200
    with pytest.raises(InputError, match=r"00001: part of a checkpoint; give its index: .*model\.bin\.index"):
        open_weights(tmp_path / "model.bin.data-00000-of-00001")


def test_a_saved_model_is_no_file_of_weights(tmp_path):
    tf.saved_model.save(tf.Module(), str(tmp_path / "model"))
    with pytest.raises(InputError, match="model: a SavedModel, whose weights are not read; read are .npz"):
        open_weights(tmp_path / "model")
