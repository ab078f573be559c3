"""The paths of a shelf of maps, read from the graph of the built network (Zhuang et al. 2018, arXiv:1811.11254)."""

import tensorflow as tf

from tfseg.errors import InputError

SIDE = 64  # of the image that is traced; the graph is the same at any size


def shelf_graph(network) -> dict[str, frozenset[str]]:
    """Returns {node: the nodes whose maps it reads}, from the backbone's finest to the last column's finest.

    A node is a map that the network names. Whatever lies between two nodes counts as one edge, however many ways lead
    through it: residual connections inside of blocks make no further paths.

    Args:
      network: has `node_names` and `encode`.
    Raises:
      InputError: the network is no shelf.
    """
    if not network.node_names:
        raise InputError(f"{network.name} is no shelf of maps: only shelfnet and light_shelfnet have paths")
    spec = tf.TensorSpec([1, SIDE, SIDE, 3], tf.float32)
    graph = tf.function(network.encode).get_concrete_function(spec).graph
    named = {op.name.rpartition("/")[2]: op for op in graph.get_operations() if op.type == "Identity"}
    marks = {named[name].name: name for name in network.node_names}
    # What another layer reads may be the map itself, before the operation that bears the name.
    for name in network.node_names:
        marks.setdefault(named[name].inputs[0].op.name, name)
    return {name: _read_by(named[name], marks) for name in network.node_names}


def _read_by(operation, marks):
    """Returns the nearest other nodes before the operation that bears a node's name."""
    node, found, seen = marks[operation.name], set(), set()
    waiting = list(operation.inputs)
    while waiting:
        before = waiting.pop().op
        if before.name in seen:
            continue
        seen.add(before.name)
        if marks.get(before.name, node) != node:
            found.add(marks[before.name])
        else:
            waiting += before.inputs
    return frozenset(found)


def count_paths(graph) -> int:
    """Returns the number of ways from the first node of a graph to its last one.

    Args:
      graph: the result of `shelf_graph`.
    """
    return ways(graph)[last_node(graph)]


def ways(graph) -> dict[str, int]:
    """Returns {node: number of ways that lead to it from the graph's first node}."""
    found = {next(iter(graph)): 1}

    def to(node):
        if node not in found:
            found[node] = sum(map(to, graph[node]))
        return found[node]

    return {node: to(node) for node in graph}


def last_node(graph) -> str:
    """Returns the finest node of the last column."""
    first = next(iter(graph))
    return max((node for node in graph if node[0] == first[0]), key=lambda node: int(node[1:]))
