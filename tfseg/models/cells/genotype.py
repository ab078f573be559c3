"""The genotype of a dynamic cell: which maps are combined, and how, as numbers and as text.

See Nekrasov et al. 2020, "Architecture Search of Dynamic Cells for Semantic Video Segmentation" (arXiv:1904.02371, Sec.
4). A cell has layers; each applies an operation to one map and one to another, and aggregates the results. The pool of
maps begins with INPUTS; every layer adds its aggregate. What no layer reads is the cell's output.
"""

import dataclasses
import json
import math

import numpy as np

from tfseg.errors import InputError, shortened

INPUTS = ("previous layer4", "previous dec", "layer2", "layer3", "layer4")
OPERATIONS = ("sep3", "pool", "sep3d3", "sep5d6", "skip", "deformable")
AGGREGATIONS = ("sum", "concat", "predictive", "affine", "conv3d", "attention")
TOKENS = ("place", "place", "operation", "operation", "aggregation")
MAX_LAYERS = 20


@dataclasses.dataclass(frozen=True)
class Genotype:
    """A cell.

    Attributes:
      layers: for every layer (place, place, operation, operation, aggregation): places in the pool of maps, and
        numbers of OPERATIONS and AGGREGATIONS.
    """

    layers: tuple[tuple[int, int, int, int, int], ...]

    def __post_init__(self):
        if not 1 <= len(self.layers) <= MAX_LAYERS:
            raise InputError(f"genotype: {len(self.layers)} layers; 1 to {MAX_LAYERS}")
        for index, layer in enumerate(self.layers):
            if len(layer) != len(TOKENS):
                raise InputError(f"genotype: layer {index + 1} has {len(layer)} numbers; {len(TOKENS)} are wanted")
            for token, value, count in zip(TOKENS, layer, choices(index), strict=True):
                if not 0 <= value < count:
                    value = shortened(value, 20)
                    raise InputError(f"genotype: layer {index + 1} names {token} {value}; 0 to {count - 1} exist there")

    @classmethod
    def of_tokens(cls, tokens) -> "Genotype":
        """Returns the genotype of a flat list of numbers, layer after layer."""
        tokens = tuple(int(token) for token in tokens)
        if len(tokens) % len(TOKENS):
            raise InputError(f"genotype: {len(tokens)} numbers; {len(TOKENS)} for every layer are wanted")
        starts = range(0, len(tokens), len(TOKENS))
        return cls(tuple(tokens[start : start + len(TOKENS)] for start in starts))

    @property
    def tokens(self) -> tuple[int, ...]:
        """All numbers, layer after layer."""
        return tuple(token for layer in self.layers for token in layer)

    @property
    def loose(self) -> tuple[int, ...]:
        """Places of the aggregates that no layer reads: the cell's outputs. The last one is always among them."""
        read = {place for first, second, *_ in self.layers for place in (first, second)}
        return tuple(place for place in range(len(INPUTS), len(INPUTS) + len(self.layers)) if place not in read)

    @property
    def inputs_read(self) -> tuple[int, ...]:
        """Places of the inputs that some layer reads."""
        read = {place for first, second, *_ in self.layers for place in (first, second)}
        return tuple(sorted(place for place in read if place < len(INPUTS)))

    def __str__(self):
        """The flat text form, e.g. "3 4 5 5 1 1 2 4 0 5"."""
        return " ".join(map(str, self.tokens))

    def as_json(self) -> str:
        """The form of one list a layer, e.g. "[[3, 4, 5, 5, 1], [1, 2, 4, 0, 5]]"."""
        return json.dumps([list(layer) for layer in self.layers])

    def described(self) -> list[str]:
        """Returns a line for every layer and one for the output, e.g. "5 = concat(deformable(layer3), skip(6))"."""
        lines = []
        for place, (first, second, one, other, aggregation) in enumerate(self.layers, len(INPUTS)):
            parts = f"{OPERATIONS[one]}({name_of(first)}), {OPERATIONS[other]}({name_of(second)})"
            lines.append(f"{place} = {AGGREGATIONS[aggregation]}({parts})")
        return [*lines, f"dec = concat({', '.join(map(str, self.loose))})"]


# Written by hand so that they have the published numbers of weights and what the paper says of its cells, whose
# genotypes are shown only as a picture that cannot be read: they are not the published cells.
CELLS = {
    "cell0_like": "3 4 5 5 1  1 2 4 0 5  5 3 5 5 1  5 7 5 5 1  8 3 5 5 1",
    "cell1_like": "4 3 5 2 1  5 3 0 0 4  2 1 2 4 1  6 5 2 0 1  3 5 5 5 1",
    "cell2_like": "3 3 5 4 1  2 1 4 4 1  3 5 5 5 1  7 3 5 5 4",
    "cell3_like": "1 2 4 5 3  3 4 5 5 1  6 3 5 5 1  6 3 5 5 1",
}


def parse(text: str) -> Genotype:
    """Parses a genotype.

    Args:
      text: a name of CELLS; numbers with spaces or commas between them; or JSON, a list of numbers or of one list a
        layer.
    Raises:
      InputError: it is none of these, or numbers are out of range.
    """
    text = CELLS.get(text.strip(), text)
    try:
        values = json.loads(text) if text.lstrip().startswith("[") else text.replace(",", " ").split()
        has_lists = bool(values) and all(isinstance(value, list) for value in values)
        layers = [tuple(map(_whole, layer)) for layer in (values if has_lists else [values])]
    except (ValueError, TypeError, RecursionError) as error:
        raise InputError(f"genotype {shortened(text, 60)!r}: neither numbers nor one of {', '.join(CELLS)}") from error
    return Genotype(tuple(layers)) if has_lists else Genotype.of_tokens(layers[0])


def choices(index: int) -> tuple[int, ...]:
    """Returns how many values each of TOKENS has in layer `index`, from 0."""
    places = len(INPUTS) + index
    return places, places, len(OPERATIONS), len(OPERATIONS), len(AGGREGATIONS)


def num_genotypes(num_layers: int) -> int:
    """Returns the number of genotypes of so many layers."""
    return math.prod(math.prod(choices(index)) for index in range(num_layers))


def random_genotype(random: np.random.Generator, num_layers: int) -> Genotype:
    """Draws every number uniformly."""
    return Genotype(
        tuple(tuple(int(random.integers(count)) for count in choices(index)) for index in range(num_layers))
    )


def name_of(place: int) -> str:
    """Returns the name of a map of the pool."""
    return INPUTS[place] if place < len(INPUTS) else str(place)


def _whole(token):
    if isinstance(token, float | bool):
        raise ValueError(f"{token} is no whole number")
    return int(token)
