"""Genotypes: their forms in text, their ranges, their space, and what is known of the paper's cells."""

import itertools
import json
import math

import numpy as np
import pytest

from tfseg.errors import InputError
from tfseg.models.cells.genotype import (
    AGGREGATIONS,
    CELLS,
    INPUTS,
    OPERATIONS,
    Genotype,
    choices,
    num_genotypes,
    parse,
    random_genotype,
)

PREVIOUS_LAYER4, PREVIOUS_DEC = INPUTS.index("previous layer4"), INPUTS.index("previous dec")
# {cell: what the paper's text says it has beside deformable convolutions and concatenations}
SPECIAL = {"cell0_like": "attention", "cell1_like": "conv3d", "cell2_like": "conv3d", "cell3_like": "affine"}


def genotypes(num_layers, count=10_000):
    random = np.random.default_rng(num_layers)
    return [random_genotype(random, num_layers) for _ in range(count)]


@pytest.mark.parametrize("num_layers", [4, 5])
def test_every_form_returns_to_the_same_genotype(num_layers):
    for genotype in genotypes(num_layers):
        assert parse(str(genotype)) == genotype
        assert parse(genotype.as_json()) == genotype
        assert Genotype.of_tokens(genotype.tokens) == genotype
        assert len(genotype.tokens) == 5 * num_layers


def test_forms_in_text():
    genotype = Genotype(((3, 4, 5, 5, 1), (1, 2, 4, 0, 5)))
    assert str(genotype) == "3 4 5 5 1 1 2 4 0 5"
    assert genotype.as_json() == "[[3, 4, 5, 5, 1], [1, 2, 4, 0, 5]]"
    assert genotype.tokens == (3, 4, 5, 5, 1, 1, 2, 4, 0, 5)
    texts = (" 3 4 5 5 1  1 2 4 0 5\n", "3,4,5,5,1, 1,2,4,0,5", "[3,4,5,5,1,1,2,4,0,5]", json.dumps(genotype.layers))
    assert all(parse(text) == genotype for text in texts)


@pytest.mark.parametrize("num_layers", [4, 5])
def test_random_numbers_take_every_value_of_their_range_and_no_other(num_layers):
    """Layer i, from 0, has 5 + i maps to choose from."""
    columns = np.array([genotype.tokens for genotype in genotypes(num_layers)]).T
    counts = [[5 + index, 5 + index, 6, 6, 6] for index in range(num_layers)]
    assert [list(choices(index)) for index in range(num_layers)] == counts
    for column, count in zip(columns, itertools.chain.from_iterable(counts), strict=True):
        assert set(column) == set(range(count))


def test_the_sizes_of_the_papers_spaces():
    assert math.prod(range(5, 10)) == 15_120 and math.prod(range(5, 9)) == 1_680 and 216 == 6**3
    assert num_genotypes(5) == 15_120**2 * 216**5
    assert num_genotypes(4) == 1_680**2 * 216**4
    assert f"{num_genotypes(5):.2e} {num_genotypes(4):.1e}" == "1.07e+20 6.1e+15"


@pytest.mark.parametrize("num_layers", [4, 5])
def test_the_output_is_every_aggregate_that_no_later_layer_reads(num_layers):
    for genotype in genotypes(num_layers, 2000):
        for index in range(num_layers):
            is_read = any(5 + index in (later[0], later[1]) for later in genotype.layers[index + 1 :])
            assert (5 + index in genotype.loose) == (not is_read)
        assert genotype.loose[-1] == 4 + num_layers and list(genotype.loose) == sorted(set(genotype.loose))
        read = {place for layer in genotype.layers for place in layer[:2]}
        assert genotype.inputs_read == tuple(place for place in range(5) if place in read)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("5 0 0 0 0", "layer 1 names place 5; 0 to 4 exist there"),
        ("0 -1 0 0 0", "layer 1 names place -1; 0 to 4"),
        ("0 0 0 0 0 0 6 0 0 0", "layer 2 names place 6; 0 to 5"),
        ("0 0 6 0 0", "layer 1 names operation 6; 0 to 5"),
        ("0 0 0 0 6", "layer 1 names aggregation 6; 0 to 5"),
        ("0 0 0 0", "4 numbers; 5 for every layer"),
        ("[[0, 0, 0], [0, 0]]", "layer 1 has 3 numbers; 5 are wanted"),
        ("", "0 layers; 1 to 20"),
        ("0 " * 105, "21 layers; 1 to 20"),
        ("cell9", "'cell9': neither numbers nor one of cell0_like"),
        ("1.5 0 0 0 0", "neither numbers"),
        ("[1.0, 0, 0, 0, 0]", "neither numbers"),
        ("[true, 0, 0, 0, 0]", "neither numbers"),
        ("[Infinity, 0, 0, 0, 0]", "neither numbers"),
        ("[[[1, 0, 0, 0, 0]]]", "neither numbers"),
        ("[0, 0, 0, 0, [0]]", "neither numbers"),
        ("[0, 0", "neither numbers"),
        ("[" * 100_000, "neither numbers"),
        ("1" * 4000 + " 0 0 0 0", "0 to 4 exist there"),
    ],
)
def test_what_is_no_genotype_is_refused_in_one_line(text, message):
    with pytest.raises(InputError, match=message) as caught:
        parse(text)
    assert len(str(caught.value)) <= 300 and "\n" not in str(caught.value)


def test_a_cell_in_words():
    assert parse("cell0_like").described() == [
        "5 = concat(deformable(layer3), deformable(layer4))",
        "6 = attention(skip(previous dec), sep3(layer2))",
        "7 = concat(deformable(5), deformable(layer3))",
        "8 = concat(deformable(5), deformable(7))",
        "9 = concat(deformable(8), deformable(layer3))",
        "dec = concat(6, 9)",
    ]


@pytest.mark.parametrize("name", CELLS)
def test_what_the_paper_says_of_its_cells_is_true_of_ours(name):
    genotype = parse(name)
    operations = [OPERATIONS[number] for layer in genotype.layers for number in layer[2:4]]
    aggregations = [AGGREGATIONS[layer[4]] for layer in genotype.layers]
    assert "deformable" in operations
    assert PREVIOUS_DEC in genotype.inputs_read and PREVIOUS_LAYER4 not in genotype.inputs_read
    assert aggregations.count("concat") > len(aggregations) / 2
    assert set(aggregations) == {"concat", SPECIAL[name]}
    # Five layers on CamVid, four on Cityscapes.
    assert len(genotype.layers) == (5 if name in ("cell0_like", "cell1_like") else 4)


def test_the_outputs_of_our_cells():
    assert [parse(name).loose for name in CELLS] == [(6, 9), (7, 8, 9), (6, 8), (5, 7, 8)]
