"""Options of a report that exclude each other, mean nothing or would do nothing are one line."""

import pytest

from tfseg.errors import InputError
from tfseg.evaluation.report_options import ReportOptions
from tfseg.inference.views import View, Window


def test_views_have_all_that_was_asked_for():
    window = Window.of((64, 64))
    options = ReportOptions(scales=(0.5, 1.0), flip=True, long_side=1024, window=window, fusion="exp_logits")
    expected = [View(scale, is_flipped, None, 1024, window) for scale in (0.5, 1.0) for is_flipped in (False, True)]
    assert list(options.views) == expected
    assert ReportOptions(size=(33, 65)).views == (View(base_size=(33, 65)),)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"multi_scale": True, "scales": (1.0,)}, "--scales and --multi_scale"),
        ({"scales": (1.0, 0.0)}, "--scales=1.0, 0.0: different numbers above 0"),
        ({"scales": (1.0, 1.0)}, "--scales=1.0, 1.0: different numbers above 0"),
        ({"scales": (float("inf"),)}, "--scales=inf: different numbers above 0"),
        ({"size": (8, 8), "long_side": 8}, "--size and --long_side both say"),
        ({"long_side": 0}, "--long_side=0: at least 1 pixel"),
        ({"fusion": "median", "flip": True}, "--fuse=median: unknown; one of logits, probabilities, exp_logits"),
        ({"fusion": "probabilities"}, "--fuse=probabilities does nothing without several scales or --flip"),
        ({"fusion": "exp_logits", "flip": True}, "--fuse=exp_logits does nothing without several scales"),
    ],
)
def test_what_cannot_be_is_refused(fields, message):
    with pytest.raises(InputError) as error:
        ReportOptions(**fields)
    assert str(error.value).startswith(message) and "\n" not in str(error.value)


def test_what_does_something_is_accepted():
    ReportOptions(fusion="probabilities", flip=True)
    ReportOptions(fusion="exp_logits", multi_scale=True)
    ReportOptions(fusion="exp_logits", scales=(1.0, 2.0))
