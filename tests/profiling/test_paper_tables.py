"""The published cost table, counted on built models."""

import dataclasses

import pytest

from tfseg.backbones import BackboneConfig
from tfseg.inference.views import views_of
from tfseg.models.rnn import RNNConfig
from tfseg.profiling import paper_tables
from tfseg.profiling.paper_tables import NUM_CLASSES, Published, compute, padded_size, published_table, rounds_to

# 10^9 multiply-accumulates of the convolutions alone, worked out from the layers' shapes.
CONVOLUTIONS = {
    ("RNN, stride 16", "single"): (61.055, 67.693, 74.331, 80.969, 87.607, 94.245),
    ("RNN, stride 16", "multi"): (1041, 1154, 1268, 1382, 1496, 1610),
    ("RNN, stride 16", "video"): (15.432,),
    ("DeepLabV3, stride 16", "single"): (85.591,),
    ("DeepLabV3, stride 16", "multi"): (1538,),
    ("DeepLabV3, stride 16", "video"): (25.705,),
    ("DeepLabV3, stride 8", "single"): (275.940,),
    ("DeepLabV3, stride 8", "multi"): (4869,),
    ("PSPNet, stride 16", "single"): (122.456,),
    ("PSPNet, stride 16", "multi"): (1743,),
    ("PSPNet, stride 8", "single"): (259.835,),
    ("PSPNet, stride 8", "multi"): (4087,),
}


@pytest.mark.slow
@pytest.mark.parametrize("published", published_table(), ids=lambda published: published.system)
def test_every_printed_figure_comes_out_of_the_built_model(published):
    for row in compute([published]):
        kind = next(kind for kind in ("single", "multi", "video") if kind in row["input"])
        expected = CONVOLUTIONS[published.system, kind]
        assert row["our_gmacs"] == pytest.approx(
            expected[(row["iterations"] or 1) - 1 if len(expected) > 1 else 0], rel=2e-3
        )
        assert row["rounds_to_it"], row


def small(**fields):
    model = RNNConfig(BackboneConfig("mobilenet_v2", width_multiplier=0.1), widths=(8, 6), hoist=False)
    return Published("small", dataclasses.replace(model, **fields), ("1.0", "2.0"), ("10", "20"), "1.0")


def test_figures_are_counted_and_move_with_the_model(monkeypatch):
    monkeypatch.setattr(paper_tables, "SIZE", (65, 65))
    # A mirror image in place of twelve views: each size is traced anew.
    monkeypatch.setattr(paper_tables, "views_of", lambda multi_scale=False, flip=False: views_of(flip=flip))
    rows, wider = compute([small()]), compute([small(widths=(16, 6))])
    assert [row["iterations"] for row in rows] == [1, 2, 1, 2, 2]
    assert [row["paper_gmacs"] for row in rows] == ["1.0", "2.0", "10", "20", "1.0"]
    assert rows[2]["our_gmacs"] == pytest.approx(2 * rows[0]["our_gmacs"])
    channels = 32  # of the last map at a tenth of the width
    # At 5 x 5 positions an iteration multiplies [features | canvas | h1] into 4 gates per map, and [h1 | h2].
    costs = {width: width * (channels + NUM_CLASSES + width) + 6 * width for width in (8, 16)}
    expected = 25 * 4 * (costs[16] - costs[8]) / 1e9
    assert wider[0]["our_gmacs"] - rows[0]["our_gmacs"] == pytest.approx(expected, rel=0.02)
    assert not any(row["rounds_to_it"] for row in rows)


def test_inputs_are_padded_to_multiples_of_32_plus_1():
    assert padded_size((180, 270)) == (193, 289)
    assert padded_size((513, 33)) == (513, 33)


@pytest.mark.parametrize(
    "value,printed,rounds",
    [
        (61.055, "61.1", True),
        (61.04, "61.1", False),
        (275.94, "276", True),
        (1041.2, "1040", True),
        (1154.2, "1160", False),
        (1155.4, "1160", True),
        (1268.4, "1269", False),
        (1496.0, "1500", True),
        (1494.0, "1500", False),
    ],
)
def test_a_figure_is_compared_at_the_printed_digits(value, printed, rounds):
    assert rounds_to(value, printed) is rounds
