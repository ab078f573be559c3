"""How much memory a .tflite file needs: read from its shapes, before an interpreter allocates it."""

import os
from collections import Counter
from pathlib import Path

from tfseg.errors import InputError
from tfseg.formats.tflite_file import is_constant, kind, num_bytes, subgraphs_of

GIB = 2**30
# The largest sum of all activations of a file. One image of 2049x1025 needs 3 to 10 GiB in large networks.
MAX_ACTIVATION_BYTES = 16 * GIB
# Operators whose result shares their input's memory under another shape.
ALIASES = frozenset(("RESHAPE", "SQUEEZE", "EXPAND_DIMS"))
# Operators that a kernel may pass through on its way from the file into a product.
PASSES = frozenset(("DEQUANTIZE", "QUANTIZE", "CAST", "DENSIFY", "RESHAPE", "TRANSPOSE"))


def check(path, model):
    """Refuses a file whose activations would fill this machine's memory.

    Args:
      path: the file's path, for messages.
      model: the result of `tflite_file.read`.
    Raises:
      InputError: all activations together have more than MAX_ACTIVATION_BYTES, or those that are live at one moment
        more than the memory of this machine.
    """
    total, limit = activation_bytes(model), MAX_ACTIVATION_BYTES
    if total > limit:
        raise InputError(
            f"{path}: the activations of one run have {_gib(total)}, more than {_gib(limit)}; export it for a smaller "
            "image"
        )
    peak, limit = max(_peak(model, graph) for graph in model.subgraphs), memory_bytes()
    if peak > limit:
        raise InputError(
            f"{path}: one run needs at least {_gib(peak)}, this machine has {_gib(limit)}; export a smaller one"
        )


def activation_bytes(model) -> int:
    """Returns the sum of the sizes of all tensors whose values are not in the file; an open axis counts as 1."""
    tensors = (tensor for graph in model.subgraphs for tensor in graph.tensors)
    return sum(num_bytes(tensor) for tensor in tensors if not is_constant(model, tensor))


def peak_activation_bytes(model, subgraph=0) -> int:
    """Returns the largest total size of tensors that are live at one moment, without constants.

    It is computed, like `flops.peak_activation_bytes`: operators run in the file's order, and a tensor lives from its
    creation to its last use, inputs from the start and outputs to the end. The peak of an inner subgraph counts if it
    is higher.
    """
    return max(_peak(model, model.subgraphs[index]) for index in subgraphs_of(model, subgraph))


def memory_bytes() -> int:
    """Returns the memory that this process may use: the machine's, or less if it runs in a container."""
    limits = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for file in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            limits.append(int(Path(file).read_text()))
        except (OSError, ValueError):  # no such file, or "max"
            continue
    return min(limits)


def _gib(num_bytes):
    return f"{num_bytes / GIB:.1f} GiB"


def _peak(model, graph):
    weights = {index for index, tensor in enumerate(graph.tensors) if is_constant(model, tensor)}
    owner, last_use = {}, {}
    for moment, operator in enumerate(graph.operators):
        for index in operator.inputs:
            last_use[owner.get(index, index)] = moment
        what = kind(model, operator)
        if what in ALIASES:
            owner[operator.outputs[0]] = owner.get(operator.inputs[0], operator.inputs[0])
        if what in PASSES and operator.inputs[0] in weights:
            weights.add(operator.outputs[0])
    last_use |= {owner.get(index, index): len(graph.operators) for index in graph.outputs}
    sizes = {
        index: num_bytes(tensor)
        for index, tensor in enumerate(graph.tensors)
        if index in last_use and index not in owner and index not in weights
    }
    released = Counter()
    for index, size in sizes.items():
        released[last_use[index]] += size
    live = peak = sum(sizes.get(index, 0) for index in graph.inputs)
    for moment, operator in enumerate(graph.operators):
        live += sum(sizes.get(index, 0) for index in operator.outputs)
        peak = max(peak, live)
        live -= released[moment]
    return peak
