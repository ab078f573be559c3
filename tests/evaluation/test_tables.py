"""Tables of scores: a column for what is known, and only for that."""

from tfseg.evaluation.tables import percent, summary, table


def metrics_of(**scores):
    """Metrics of two iterations, the second of which is the best; `scores` are those of both."""
    names = ("miou", "fwiou", "pixel_accuracy", "mean_class_accuracy")
    entry = dict.fromkeys(names, 0.5) | {"iou": {"sky": 0.5, "car": None}, "gflops": 1.5, "milliseconds": 20.0} | scores
    entries = [entry | {"iteration": 1}, entry | {"iteration": 2}]
    return {"iterations": entries, "best_iteration": 2, "trained_iterations": 2}


def test_without_instances_and_categories_there_are_two_tables():
    scores, classes = summary(metrics_of()).strip().split("\n\n")
    assert scores.splitlines()[0] == "| iteration |  mIoU | fwIoU | pixel accuracy | class accuracy | GFLOPs |   ms |"
    assert scores.splitlines()[2] == "| 1         | 50.00 | 50.00 |          50.00 |          50.00 |   1.50 | 20.0 |"
    assert [line.split()[1] for line in classes.splitlines()[2:]] == ["sky", "car", "mean"]
    assert classes.splitlines()[3] == "| car    |           - |                  - |"


def test_what_is_known_gets_a_column_and_a_table():
    known = {
        "iiou": {"car": 0.25, "bus": None},
        "mean_iiou": 0.25,
        "category_iou": {"nature": 0.75, "vehicle": 0.125},
        "mean_category_iou": 0.4375,
        "category_iiou": {"vehicle": 0.375},
        "mean_category_iiou": 0.375,
    }
    scores, _, categories, instances, instance_categories = summary(metrics_of(**known)).strip().split("\n\n")
    assert scores.splitlines()[0].startswith("| iteration |  mIoU | IoU cat |  iIoU | iIoU cat | fwIoU |")
    assert scores.splitlines()[2].startswith("| 1         | 50.00 |   43.75 | 25.00 |    37.50 | 50.00 |")
    assert [line.split()[1:4:2] for line in instances.splitlines()[2:]] == [
        ["car", "25.00"],
        ["bus", "-"],
        ["mean", "25.00"],
    ]
    assert [line.split()[1:4:2] for line in categories.splitlines()[2:]] == [
        ["nature", "75.00"],
        ["vehicle", "12.50"],
        ["mean", "43.75"],
    ]
    assert instance_categories.splitlines()[-1].endswith("37.50 |")


def test_what_is_undefined_everywhere_is_left_out():
    text = summary(metrics_of(iiou={"car": None}, mean_iiou=None, category_iiou={}, mean_category_iiou=None))
    assert "iIoU" not in text


def test_tables_line_up_and_undefined_shares_are_a_dash():
    assert table(["a", "long"], [["first", "1"], ["b", "22"]]) == (
        "| a     | long |\n|-------|-----:|\n| first |    1 |\n| b     |   22 |"
    )
    assert (percent(0.12345), percent(1), percent(None)) == ("12.35", "100.00", "-")
