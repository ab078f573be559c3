"""Runs a SavedModel through TensorFlow's C API (tensorflow/c/c_api.h), without TensorFlow's Python package.

python c_api.py LIBRARY < calls > answers, pickled: calls is {"folder", "calls": [(feeds, fetches)]} with feeds
{tensor: array, or list of bytes} and fetches a list of tensors, named as in a SignatureDef ("serving_default_image:0").
Answers is a list of (status code, message, values of the fetches in the form of feeds).
"""

import ctypes
import pickle
import sys

import numpy as np

TYPES = {np.dtype(np.float32): 1, np.dtype(np.int32): 3, np.dtype(np.uint8): 4}
STRING, STRING_BYTES = 7, 24
RETURNS = {
    ctypes.c_void_p: "TF_NewStatus TF_NewGraph TF_NewSessionOptions TF_LoadSessionFromSavedModel TF_AllocateTensor "
    "TF_TensorData TF_GraphOperationByName TF_StringGetDataPointer",
    ctypes.c_size_t: "TF_TensorByteSize TF_StringGetSize",
    ctypes.c_int64: "TF_Dim",
    ctypes.c_char_p: "TF_Message",
    None: "TF_SessionRun TF_StringInit TF_StringCopy TF_StringDealloc TF_DeleteTensor",
}


class Output(ctypes.Structure):
    """TF_Output."""

    _fields_ = (("operation", ctypes.c_void_p), ("index", ctypes.c_int))


class Session:
    """A SavedModel that is loaded for serving."""

    def __init__(self, library, folder):
        self._api = ctypes.CDLL(library)
        for result, names in RETURNS.items():
            for name in names.split():
                getattr(self._api, name).restype = result
        self._status = self._pointer(self._api.TF_NewStatus())
        self._graph = self._pointer(self._api.TF_NewGraph())
        options = self._pointer(self._api.TF_NewSessionOptions())
        tags = (ctypes.c_char_p * 1)(b"serve")
        session = self._api.TF_LoadSessionFromSavedModel(
            options, None, folder.encode(), tags, 1, self._graph, None, self._status
        )
        if self._code():
            raise RuntimeError(self._message())
        self._session = self._pointer(session)

    def run(self, feeds, fetches):
        """(status code, message, values)."""
        inputs = (Output * len(feeds))(*map(self._output, feeds))
        tensors = [self._tensor(value) for value in feeds.values()]
        given = (ctypes.c_void_p * len(tensors))(*tensors)
        outputs = (Output * len(fetches))(*map(self._output, fetches))
        results = (ctypes.c_void_p * len(fetches))()
        self._api.TF_SessionRun(
            *(self._session, None, inputs, given, len(feeds), outputs, results, len(fetches)),
            *(None, 0, None, self._status),
        )
        for tensor in tensors:
            self._api.TF_DeleteTensor(self._pointer(tensor))
        return self._code(), self._message(), [self._value(result) for result in results if result]

    def _output(self, name):
        operation, index = name.split(":")
        found = self._api.TF_GraphOperationByName(self._graph, operation.encode())
        assert found, f"no operation {operation}"
        return Output(found, int(index))

    def _tensor(self, value):
        is_string = isinstance(value, list)
        array = np.zeros([len(value), STRING_BYTES], np.uint8) if is_string else np.ascontiguousarray(value)
        shape = [len(value)] if is_string else array.shape
        dims = (ctypes.c_int64 * len(shape))(*shape)
        kind = STRING if is_string else TYPES[array.dtype]
        tensor = self._api.TF_AllocateTensor(kind, dims, len(shape), ctypes.c_size_t(array.nbytes))
        data = self._api.TF_TensorData(self._pointer(tensor))
        if is_string:
            for index, content in enumerate(value):
                place = self._pointer(data + index * STRING_BYTES)
                self._api.TF_StringInit(place)
                self._api.TF_StringCopy(place, content, ctypes.c_size_t(len(content)))
        else:
            ctypes.memmove(data, array.ctypes.data, array.nbytes)
        return tensor

    def _value(self, result):
        """The value of a tensor, which is deleted."""
        tensor = self._pointer(result)
        kind, rank = self._api.TF_TensorType(tensor), self._api.TF_NumDims(tensor)
        shape = [self._api.TF_Dim(tensor, axis) for axis in range(rank)]
        data, size = self._api.TF_TensorData(tensor), self._api.TF_TensorByteSize(tensor)
        if kind == STRING:
            value = [self._text(data + index * STRING_BYTES) for index in range(int(np.prod(shape)))]
        else:
            [dtype] = [dtype for dtype, code in TYPES.items() if code == kind]
            value = np.frombuffer(ctypes.string_at(data, size), dtype).reshape(shape)
        self._api.TF_DeleteTensor(tensor)
        return value

    def _text(self, place):
        """The bytes of a TF_TString."""
        place = self._pointer(place)
        return ctypes.string_at(self._api.TF_StringGetDataPointer(place), self._api.TF_StringGetSize(place))

    def _code(self):
        return self._api.TF_GetCode(self._status)

    def _message(self):
        return self._api.TF_Message(self._status).decode()

    @staticmethod
    def _pointer(address):
        return ctypes.c_void_p(address)


if __name__ == "__main__":
    request = pickle.load(sys.stdin.buffer)
    session = Session(sys.argv[1], request["folder"])
    answers = [session.run(*call) for call in request["calls"]]
    assert "tensorflow" not in sys.modules
    pickle.dump(answers, sys.stdout.buffer)
