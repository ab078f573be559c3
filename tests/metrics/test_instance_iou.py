"""Instance-level IoU and IoU per category: against values worked by hand and the official Cityscapes evaluation."""

import copy
import dataclasses

import numpy as np
import pytest
from cityscapesscripts.evaluation import evalPixelLevelSemanticLabeling as official
from PIL import Image

from tfseg.data import opening, pipeline
from tfseg.data.conversion.raw import ConvertOptions
from tfseg.data.datasets import cityscapes
from tfseg.data.manifest import split_files
from tfseg.labels import DatasetInfo, default_colors
from tfseg.metrics.instance_iou import InstanceCounts, InstanceIoU
from tfseg.metrics.instances import instances_of
from tfseg.metrics.suite import SegmentationSuite

INFO = DatasetInfo(
    "toy",
    ("road", "car", "truck", "person"),
    default_colors(4),
    thing_ids=frozenset({1, 2, 3}),
    categories=("flat", "vehicle", "vehicle", "human"),
)
# Two cars of 4 and 2 pixels: half of the first is found and all of the second. One pixel of road is predicted as car.
LABEL = np.array([[1, 1, 1, 1], [1, 1, 0, 0]])
INSTANCES = np.array([[1, 1, 1, 1], [2, 2, 0, 0]])
PREDICTION = np.array([[1, 1, 0, 0], [1, 1, 1, 0]])


def scored(label, instances, prediction, info=INFO):
    suite = SegmentationSuite(info, 1)
    suite.update(np.asarray(label), [np.asarray(prediction)], np.asarray(instances))
    return suite.result()["iterations"][0]


def test_every_instance_weighs_the_average_size_of_its_class():
    # 3 pixels on average: weights 3/4 and 3/2. iTP = 2 * 3/4 + 2 * 3/2, iFN = 2 * 3/4, FP = 1.
    entry = scored(LABEL, INSTANCES, PREDICTION)
    assert entry["iiou"] == {"car": pytest.approx(4.5 / 7), "truck": None, "person": None}
    assert entry["mean_iiou"] == pytest.approx(4.5 / 7)
    assert entry["iou"]["car"] == pytest.approx(4 / 7)


def test_a_benchmarks_own_average_sizes_take_the_place_of_those_of_the_split():
    # 10 pixels on average: weights 10/4 and 10/2. iTP = 5 + 10, iFN = 5, FP = 1.
    info = dataclasses.replace(INFO, average_instance_sizes={"car": 10.0, "truck": 1.0, "person": 1.0})
    assert scored(LABEL, INSTANCES, PREDICTION, info)["iiou"]["car"] == pytest.approx(15 / 21)


def test_pixels_of_a_thing_in_no_instance_are_neither_found_nor_missed():
    group = [[1, 1, 1, 1]]
    assert scored(group, np.zeros([1, 4], int), [[1, 1, 1, 1]])["iiou"]["car"] is None
    entry = scored([[1, 1, 1, 1, 2]], [[0, 0, 0, 0, 1]], [[2, 2, 0, 1, 2]])
    assert entry["iiou"]["car"] is None  # its last pixel, called car, is of its own class: no false positive
    assert entry["iiou"]["truck"] == pytest.approx(1 / 3)  # 1 pixel found, 2 of the group are false positives


def test_ignored_pixels_and_instances_of_stuff_do_not_count():
    with_rest = np.array([[1, 1, 1, 1, 255], [1, 1, 0, 0, 255]])
    instances = np.array([[1, 1, 1, 1, 1], [2, 2, 7, 7, 9]])
    prediction = np.array([[1, 1, 0, 0, 1], [1, 1, 1, 0, 3]])
    assert scored(with_rest, instances, prediction) == scored(LABEL, INSTANCES, PREDICTION)


def test_instances_of_different_classes_may_share_an_id():
    entry = scored([[1, 1, 3, 3, 3, 3]], [[5] * 6], [[1, 1, 3, 0, 0, 0]])
    assert entry["iiou"] == {"car": 1.0, "truck": None, "person": 0.25}
    assert entry["mean_iiou"] == 0.625


def test_in_a_category_any_of_its_classes_is_right():
    # Vehicle: 4 + 1 of 6 labelled pixels and 1 of road are predicted as car or truck. The truck, with weight 1, is
    # predicted as car.
    entry = scored([[1, 1, 1, 1, 2, 2, 0, 0]], [[1, 1, 1, 1, 1, 1, 0, 0]], [[1, 1, 2, 2, 1, 0, 1, 0]])
    assert entry["category_iou"] == {"flat": pytest.approx(1 / 3), "vehicle": pytest.approx(5 / 7), "human": None}
    assert entry["mean_category_iou"] == pytest.approx((1 / 3 + 5 / 7) / 2)
    assert entry["category_iiou"] == {"vehicle": pytest.approx(5 / 7), "human": None}  # flat has no instances
    assert entry["mean_category_iiou"] == pytest.approx(5 / 7)
    assert entry["iiou"]["truck"] == 0.0


def test_in_a_category_instances_keep_the_weight_of_their_class():
    # A car of 4 and one of 2 (weights 3/4, 3/2) and a truck of 1: only the small car and the truck are found.
    entry = scored([[1, 1, 1, 1, 1, 1, 2]], [[1, 1, 1, 1, 2, 2, 1]], [[0, 0, 0, 0, 2, 1, 1]])
    assert entry["category_iiou"]["vehicle"] == pytest.approx((2 * 3 / 2 + 1) / (6 + 1))


def test_a_category_with_stuff_in_it_has_no_instance_level_iou():
    info = dataclasses.replace(INFO, categories=("any", "any", "vehicle", "human"))
    assert set(scored(LABEL, INSTANCES, PREDICTION, info)["category_iiou"]) == {"vehicle", "human"}
    counts = InstanceCounts(info, 1)
    assert np.isnan(counts.iou_per_category(0, np.eye(4, dtype=np.int64))[0])


def test_perfect_predictions_score_one_and_a_thing_that_is_only_predicted_zero():
    rng = np.random.default_rng(0)
    label, instances = rng.integers(0, 3, [9, 9]), rng.integers(1, 5, [9, 9])
    entry = scored(label, instances, label)
    assert entry["iiou"] == {"car": 1.0, "truck": 1.0, "person": None}
    assert entry["category_iiou"] == {"vehicle": 1.0, "human": None}
    assert scored(label, instances, np.where(label == 0, 3, label))["iiou"]["person"] == 0.0


def test_other_shapes_and_counts_of_other_labels_are_refused():
    with pytest.raises(ValueError, match="instance ids"):
        instances_of(LABEL, INSTANCES[:1], INFO)
    for field, value in (
        ("thing_ids", frozenset({1})),
        ("categories", ()),
        ("class_names", ("road", "car", "truck", "man")),
    ):
        with pytest.raises(ValueError, match="add up"):
            InstanceCounts(INFO, 1).merge(InstanceCounts(dataclasses.replace(INFO, **{field: value}), 1))
    with pytest.raises(ValueError, match="add up"):
        InstanceCounts(INFO, 1).merge(InstanceCounts(INFO, 2))


HEIGHT, WIDTH, NUM_IMAGES = 48, 80, 6
# Void, ego vehicle, out of roi, ground, parking, rail track, guard rail, bridge, polegroup, caravan, trailer.
IGNORED_LABEL_IDS = (0, 1, 3, 6, 9, 10, 14, 15, 18, 29, 30)
WITH_INSTANCES = (24, 25, 26, 27, 28, 29, 30, 31, 32, 33)
# One class for each case: predicted but never labelled; only in groups; neither labelled nor predicted.
ONLY_PREDICTED, ONLY_IN_GROUPS, ABSENT = 31, 27, 32


def drawn_labels(rng):
    """[HEIGHT, WIDTH] Cityscapes instance ids: rectangles with all kinds of labels, some of them groups."""
    ids = np.full([HEIGHT, WIDTH], 7, np.uint16)
    ids[:12], ids[12:20] = 23, 11
    kinds = [*cityscapes.EVALUATED_LABEL_IDS, *IGNORED_LABEL_IDS, *WITH_INSTANCES * 3]
    for number in range(60):
        label_id = int(rng.choice(kinds))
        if label_id in (ONLY_PREDICTED, ABSENT):
            continue
        is_single = label_id in WITH_INSTANCES and label_id != ONLY_IN_GROUPS and rng.random() < 0.8
        top, left = rng.integers(0, [HEIGHT - 1, WIDTH - 1])
        height, width = rng.integers(1, 16, 2)
        ids[top : top + height, left : left + width] = 1000 * label_id + number if is_single else label_id
    return ids


def drawn_prediction(label_ids, rng):
    """[HEIGHT, WIDTH] label ids that are evaluated, mostly right."""
    possible = [label_id for label_id in cityscapes.EVALUATED_LABEL_IDS if label_id != ABSENT]
    anything = rng.choice(possible, [HEIGHT, WIDTH])
    blocks = rng.choice(possible, [HEIGHT // 8, WIDTH // 8]).repeat(8, 0).repeat(8, 1)
    right = np.where(np.isin(label_ids, possible), label_ids, anything)
    kind = rng.choice(3, [HEIGHT, WIDTH], p=[0.6, 0.1, 0.3])
    return np.choose(kind, [right, anything, blocks]).astype(np.uint8)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """Draws a folder in the layout of Cityscapes: (folder, paths of predictions, paths of labels)."""
    root, rng = tmp_path_factory.mktemp("cityscapes"), np.random.default_rng(4)
    images, labels = root / "leftImg8bit" / "val" / "bonn", root / "gtFine" / "val" / "bonn"
    for folder in (images, labels, root / "results"):
        folder.mkdir(parents=True)
    predictions, label_paths = [], []
    for number in range(NUM_IMAGES):
        frame = f"bonn_{number:06d}_000019"
        ids = drawn_labels(rng)
        label_ids = np.where(ids >= 1000, ids // 1000, ids).astype(np.uint8)
        Image.fromarray(np.zeros([HEIGHT, WIDTH, 3], np.uint8)).save(images / f"{frame}_leftImg8bit.png")
        Image.fromarray(ids).save(labels / f"{frame}_gtFine_instanceIds.png")
        label_paths.append(str(labels / f"{frame}_gtFine_labelIds.png"))
        Image.fromarray(label_ids).save(label_paths[-1])
        predictions.append(str(root / "results" / f"{frame}.png"))
        Image.fromarray(drawn_prediction(label_ids, rng)).save(predictions[-1])
    return root, predictions, label_paths


@pytest.fixture(scope="module")
def examples(drawn, tmp_path_factory):
    """(label, instance ids, prediction) of each image; labels have gone through the converter and its records."""
    root, predictions, _ = drawn
    records = tmp_path_factory.mktemp("records") / "cityscapes"
    manifest = opening.prepare("cityscapes", root, records, ConvertOptions(num_workers=1))
    batches = pipeline.eval_examples(split_files(manifest, records, "val"), manifest.info, with_instances=True)
    train_ids = np.array([cityscapes.TRAIN_IDS[label_id] for label_id in range(cityscapes.NUM_LABEL_IDS)])
    return [
        (batch["label"][0], batch["instance"][0], train_ids[np.asarray(Image.open(path))])
        for batch, path in zip(batches.as_numpy_iterator(), predictions, strict=True)
    ]


def official_result(drawn, average_sizes=None):
    """Runs the official script, with its own table of sizes or another."""
    arguments = copy.copy(official.args)
    arguments.quiet, arguments.JSONOutput = True, False
    arguments.avgClassSize = average_sizes or arguments.avgClassSize
    return official.evaluateImgLists(*drawn[1:], arguments)


def suite_of(examples, info=cityscapes.INFO):
    suite = SegmentationSuite(info, 1)
    for label, instances, prediction in examples:
        suite.update(label, [prediction], instances)
    return suite


def assert_official(entry, expected):
    for key, their_key in {
        "iou": "classScores",
        "iiou": "classInstScores",
        "category_iou": "categoryScores",
        "category_iiou": "categoryInstScores",
    }.items():
        theirs = {name: score for name, score in expected[their_key].items() if not np.isnan(score)}
        assert {name: score for name, score in entry[key].items() if score is not None} == pytest.approx(
            theirs, abs=1e-9
        )
    for key, their_key in {
        "miou": "averageScoreClasses",
        "mean_iiou": "averageScoreInstClasses",
        "mean_category_iou": "averageScoreCategories",
        "mean_category_iiou": "averageScoreInstCategories",
    }.items():
        assert entry[key] == pytest.approx(expected[their_key], abs=1e-9)


def test_scores_are_those_of_the_official_cityscapes_evaluation(drawn, examples):
    entry = suite_of(examples).result()["iterations"][0]
    assert_official(entry, official_result(drawn))
    assert entry["iiou"]["train"] == entry["iiou"]["truck"] == 0.0 and entry["iiou"]["motorcycle"] is None
    assert len(entry["iiou"]) == 8 and set(entry["category_iiou"]) == {"human", "vehicle"}
    assert 0.1 < entry["mean_iiou"] < entry["mean_category_iiou"] < 0.9


def test_average_sizes_of_the_split_are_those_the_official_evaluation_would_be_given(drawn, examples):
    sizes = {name: [] for name in official.args.avgClassSize}
    for path in drawn[2]:
        ids = np.asarray(Image.open(path.replace("labelIds", "instanceIds")))
        for instance_id, size in zip(*np.unique(ids[ids >= 1000], return_counts=True), strict=True):
            sizes[official.id2label[int(instance_id) // 1000].name].append(size)
    averages = {name: float(np.mean(values)) if values else 0.0 for name, values in sizes.items()}
    suite = suite_of(examples, dataclasses.replace(cityscapes.INFO, average_instance_sizes={}))
    [metric] = [metric for metric in suite.metrics if isinstance(metric, InstanceIoU)]
    ours = dict(zip(cityscapes.INFO.class_names, metric.counts.average_sizes(), strict=True))
    assert {name: ours[name] for name in cityscapes.INFO.average_instance_sizes} == pytest.approx(
        {name: averages[name] for name in cityscapes.INFO.average_instance_sizes}
    )
    assert_official(suite.result()["iterations"][0], official_result(drawn, averages))


def test_the_published_average_sizes_are_those_of_the_official_evaluation():
    ours, theirs = cityscapes.INFO.average_instance_sizes, official.args.avgClassSize
    assert {name: theirs[name] for name in ours} == ours
    assert set(theirs) - set(ours) == {"caravan", "trailer"}  # which it does not evaluate


def test_classes_and_categories_are_the_official_ones():
    for class_id, name in enumerate(cityscapes.INFO.class_names):
        label = official.name2label[name]
        assert (label.trainId, label.category) == (class_id, cityscapes.INFO.categories[class_id])
        assert label.hasInstances == (class_id in cityscapes.INFO.thing_ids)


@pytest.mark.parametrize("info", [cityscapes.INFO, dataclasses.replace(cityscapes.INFO, average_instance_sizes={})])
def test_scores_do_not_hang_on_the_order_and_parts_add_up(examples, info):
    whole, first, second = (suite_of(part, info) for part in (examples, examples[:2], examples[2:]))
    first.merge(second)
    assert suite_of(examples[::-1], info).result() == whole.result() == first.result()
