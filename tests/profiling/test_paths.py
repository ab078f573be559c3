"""The paths of a shelf are counted on the network as it is built."""

import itertools

import numpy as np
import pytest
from PIL import Image

from tests.tiny_backbone import tiny
from tfseg import architectures
from tfseg.errors import InputError
from tfseg.models.fcn import FCNConfig
from tfseg.models.light_shelfnet import LightShelfNetConfig
from tfseg.models.shelfnet import ShelfNetConfig
from tfseg.profiling.paths import count_paths, last_node, shelf_graph, ways


def graph_of(config_type, **options):
    return shelf_graph(architectures.build(config_type(tiny(32), width=4, **options), 2))


@pytest.fixture(scope="module")
def graph():
    return graph_of(ShelfNetConfig)


def test_four_levels_have_29_paths_and_every_node_as_many_as_counted_by_hand(graph):
    assert last_node(graph) == "A4"
    assert count_paths(graph) == 29
    counts = {0: (1, 1, 1, 1), 1: (1, 1, 1, 1), 2: (4, 3, 2, 1), 3: (4, 7, 9), 4: (29, 25, 18, 9)}
    by_hand = {
        f"{level}{column}": n for column, found in counts.items() for level, n in zip("ABCD", found, strict=False)
    }
    assert ways(graph) == by_hand


@pytest.mark.parametrize(
    ("config_type", "pairs", "count"),
    [
        (ShelfNetConfig, 1, 4),
        (ShelfNetConfig, 3, 227),
        (LightShelfNetConfig, 1, 3),
        (LightShelfNetConfig, 2, 13),
        (LightShelfNetConfig, 3, 59),
    ],
)
def test_other_depths_have_the_published_numbers_of_paths(config_type, pairs, count):
    assert count_paths(graph_of(config_type, pairs=pairs)) == count


@pytest.mark.parametrize(
    "path",
    [
        "A0-A1-A2-A3-A4",
        "A0-A1-A2-A3-B3-C3-C4-B4-A4",
        "A0-B0-B1-B2-A2-A3-A4",
        "A0-B0-C0-D0-D1-D2-C2-B2-B3-C3-C4-B4-A4",
    ],
)
def test_the_papers_example_paths_are_there(graph, path):
    nodes = path.split("-")
    assert [node for before, node in itertools.pairwise(nodes) if before not in graph[node]] == []


def test_no_edge_skips_the_column_that_goes_down_at_the_coarsest_level(graph):
    assert "D3" not in graph
    assert graph["D4"] == {"C3"}


def test_neither_bridges_nor_the_sharing_of_weights_nor_missing_reductions_change_the_paths(graph):
    assert graph_of(ShelfNetConfig, has_bridge_block=False, is_shared=False) == graph
    # The toy's maps have 8 channels at all strides, so a shelf of one level's width cannot read them unreduced.
    with pytest.raises(InputError, match=r"has maps of \(8, 8, 8\) channels, but width 4 makes levels of \(4, 8, 16\)"):
        graph_of(LightShelfNetConfig, has_reduction=False)


def test_a_network_that_is_no_shelf_has_no_paths():
    with pytest.raises(InputError, match="fcn is no shelf of maps: only shelfnet and light_shelfnet have paths"):
        shelf_graph(architectures.build(FCNConfig(tiny(), widths=(4, 4)), 2))


def test_the_command_counts_the_paths_and_draws_them(command):
    words = ("--model=shelfnet", "--backbone=tiny", "--size=64x64", "--rounds=0", "--paths", "--output_dir=cost")
    done = command("profile_flops.py", *words)
    assert done["code"] == 0, done["err"]
    assert "paths: 29 from A0 to A4\npicture: cost/paths.png\n" in done["out"]
    picture = np.asarray(Image.open(command.folder / "cost" / "paths.png"))
    assert picture.shape[2] == 3 and (picture < 128).any()
