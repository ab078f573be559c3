"""Tells what a weights file of another program is, so that its user learns more than that it is no checkpoint."""

import os
import re
import zipfile

from tfseg.errors import InputError

MAX_ENTRIES = 20_000  # in an archive or an HDF5 file
# {ending: what such a file is}: files of other programs that hold weights or models.
FOREIGN = {
    ".pth": "weights of PyTorch",
    ".pt": "weights of PyTorch",
    ".bin": "weights of PyTorch",
    ".gguf": "weights in GGUF",
    ".msgpack": "weights of Flax",
    ".pdparams": "weights of Paddle",
    ".caffemodel": "a model of Caffe",
    ".mat": "a file of MATLAB",
    ".pb": "a frozen TensorFlow graph",
    ".pbtxt": "a TensorFlow graph",
    ".tflite": "a TensorFlow Lite model",
    ".onnx": "an ONNX model",
    ".mlmodel": "a Core ML model",
    ".pkl": "pickled Python objects",
    ".pickle": "pickled Python objects",
    ".npy": "a single NumPy array",
    ".zip": "an archive",
    ".tar": "an archive",
    ".gz": "an archive",
    ".tgz": "an archive",
}
# {first bytes: what such a file is}, whatever its name.
MAGIC = {
    b"\x80\x02": "weights of PyTorch",
    b"\x80\x04": "pickled Python objects",
    b"\x80\x05": "pickled Python objects",
    b"GGUF": "weights in GGUF",
    b"\x93NUMPY": "a single NumPy array",
    b"\x89HDF\r\n\x1a\n": "an HDF5 file without the ending .h5",
    b"\x1f\x8b": "an archive",
}
SSTABLE_END = bytes.fromhex("57fb808b247547db")  # of a checkpoint in one file
ADVICE = "read are .npz, .safetensors, .h5, .keras and TensorFlow checkpoints: save its arrays as .npz"
# Files of PyTorch are pickled: reading one can run anything, so that is left to whoever has PyTorch.
PYTORCH_ADVICE = (
    "turn it into .safetensors where PyTorch is: "
    "safetensors.torch.save_file(torch.load(FILE, weights_only=True), 'weights.safetensors')"
)


def refuse(path):
    """Raises InputError that says what a file is and what to do, unless it is a TensorFlow checkpoint."""
    if part := re.fullmatch(r"(.+)\.data-\d+-of-\d+", path):
        raise InputError(f"{path}: part of a checkpoint; give its index: {part[1]}.index")
    if path.endswith(".index") or os.path.isfile(f"{path}.index"):
        return
    with open(path, "rb") as file:
        start = file.read(16)
        file.seek(max(os.path.getsize(path) - len(SSTABLE_END), 0))
        end = file.read()
    if end == SSTABLE_END:
        return
    found = FOREIGN.get(os.path.splitext(path)[1].lower())
    found = next((kind for magic, kind in MAGIC.items() if start.startswith(magic)), found)
    if zipfile.is_zipfile(path):
        found = _kind_of_zip(path)
    elif start[8:9] == b"{" and int.from_bytes(start[:8], "little") < os.path.getsize(path):
        found = "a safetensors file without the ending .safetensors"
    elif start[4:8] == b"TFL3":
        found = FOREIGN[".tflite"]
    advice = PYTORCH_ADVICE if found == FOREIGN[".pth"] else ADVICE
    raise InputError(f"{path}: {found or 'file is damaged or of another format'}; {advice}")


def _kind_of_zip(path):
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()[:MAX_ENTRIES]
    if any(name.endswith("data.pkl") for name in names):
        return FOREIGN[".pth"]
    if "model.weights.h5" in names:
        return "a Keras file without the ending .keras"
    is_npz = names and all(name.endswith(".npy") for name in names)
    return "an archive of arrays without the ending .npz" if is_npz else "an archive"
