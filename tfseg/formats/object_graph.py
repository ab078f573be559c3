"""Reads which variable belongs to which object in a checkpoint that `tf.train.Checkpoint` wrote.

Such a checkpoint names an array by one of the ways from its root to the variable, whichever is shortest. The graph of
objects that lies beside the arrays has all of them, so that a network is found wherever it hangs.
"""

import collections
import dataclasses

from google.protobuf.message import DecodeError
from tensorflow.core.protobuf.trackable_object_graph_pb2 import TrackableObjectGraph

from tfseg.errors import InputError, listed
from tfseg.formats.weight_files import WeightFile

GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"
VALUE = "VARIABLE_VALUE"
MAX_OBJECTS = 200_000  # networks with an optimizer's state have a few thousand
MAX_STEPS = 4  # from a layer to its variables


@dataclasses.dataclass(frozen=True)
class Object:
    """An object of a checkpoint.

    Attributes:
      children: {attribute: index of the object in the graph}.
      array: name of the object's array in the checkpoint, if it is a variable.
    """

    children: dict[str, int]
    array: str | None


@dataclasses.dataclass(frozen=True)
class ObjectGraph:
    """The objects of a checkpoint; the first is the root. Objects may refer to each other in circles."""

    objects: list[Object]

    def places(self) -> dict[int, str]:
        """{index: the shortest path from the root, like model/backbone} of every object that can be reached."""
        places, queue = {0: ""}, collections.deque([0])
        while queue:
            index = queue.popleft()
            for name, child in self.objects[index].children.items():
                if child not in places:
                    places[child] = f"{places[index]}/{name}" if places[index] else name
                    queue.append(child)
        return places

    def arrays_below(self, index: int) -> dict[str, str]:
        """{path from an object, like _conv1/kernel: name of the array} of all variables a few steps below it."""
        arrays, seen, level = {}, {index}, {"": index}
        for _ in range(MAX_STEPS):
            following = {}
            for path, parent in level.items():
                for name, child in self.objects[parent].children.items():
                    if child not in seen:
                        seen.add(child)
                        following[f"{path}/{name}" if path else name] = child
            arrays |= {path: array for path, child in following.items() if (array := self.objects[child].array)}
            level = following
        return arrays

    def layers_of(self, index: int) -> list[int]:
        """Indices of the layers with weights of an object, in their order; none if it is no Keras model."""
        children, layers = self.objects[index].children, []
        while f"layer_with_weights-{len(layers)}" in children:
            layers.append(children[f"layer_with_weights-{len(layers)}"])
        return layers


def read_graph(file: WeightFile) -> ObjectGraph:
    """Reads the graph of a checkpoint whose arrays include `GRAPH`.

    Raises:
      InputError: the graph is damaged, or its variables are not in the file.
    """
    content = file.read_bytes(GRAPH)
    try:
        nodes = TrackableObjectGraph.FromString(content).nodes
    except DecodeError as error:
        raise InputError(f"{file.path}: the graph of its objects is damaged ({error})") from None
    if not 0 < len(nodes) <= MAX_OBJECTS:
        raise InputError(f"{file.path}: a graph of {len(nodes)} objects; a checkpoint has 1 to {MAX_OBJECTS}")
    objects = [_object(node) for node in nodes]
    strangers = {child for one in objects for child in one.children.values() if not 0 <= child < len(objects)}
    missing = [one.array for one in objects if one.array and one.array not in file.shapes]
    if strangers or missing:
        what = f"object {min(strangers)}" if strangers else f"arrays {listed(missing)}"
        raise InputError(f"{file.path}: the graph of its objects is damaged: it names {what}, which it does not hold")
    return ObjectGraph(objects)


def _object(node):
    arrays = [attribute.checkpoint_key for attribute in node.attributes if attribute.name == VALUE]
    return Object({child.local_name: child.node_id for child in node.children}, arrays[0] if arrays else None)
