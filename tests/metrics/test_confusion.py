"""Metrics of one confusion matrix, on numbers that can be checked by hand."""

import numpy as np
import pytest

from tfseg.errors import InputError
from tfseg.metrics.confusion import (
    accuracy_per_class,
    confusion_matrix,
    frequency_weighted_iou,
    grouped,
    iou_per_class,
    mean_class_accuracy,
    mean_iou,
    pixel_accuracy,
)

# Class 0: 2 of 3 pixels found, one predicted as 1. Class 1: 2 of 2. Class 2: in neither map. One pixel is ignored.
LABEL = np.array([[0, 0, 0], [1, 1, 255]])
PREDICTION = np.array([[0, 0, 1], [1, 1, 0]])
CONFUSION = np.array([[2, 1, 0], [0, 2, 0], [0, 0, 0]])
EMPTY = np.zeros([3, 3], np.int64)


def test_rows_are_labels_and_columns_are_predictions_and_ignored_pixels_are_left_out():
    confusion = confusion_matrix(LABEL, PREDICTION, num_classes=3)
    np.testing.assert_array_equal(confusion, CONFUSION)
    assert confusion.dtype == np.int64


def test_iou_counts_each_error_for_both_classes_and_is_nan_for_a_class_in_neither_map():
    np.testing.assert_allclose(iou_per_class(CONFUSION), [2 / 3, 2 / 3, np.nan])


def test_a_class_that_is_only_predicted_has_iou_zero():
    np.testing.assert_allclose(iou_per_class(confusion_matrix([0, 0], [0, 1], num_classes=2)), [1 / 2, 0])


def test_mean_iou_leaves_absent_classes_out_and_says_how_many():
    assert mean_iou(CONFUSION) == (pytest.approx(2 / 3), 1)


def test_frequency_weighted_iou_weighs_by_labelled_pixels():
    # IoU 3/4 for the class with 3 of 4 pixels, 0 for the other; the plain mean would be 3/8.
    assert frequency_weighted_iou(np.array([[3, 0], [1, 0]])) == pytest.approx(3 / 4 * 3 / 4)


def test_accuracies_are_over_all_pixels_per_class_and_the_mean_of_classes():
    assert pixel_accuracy(CONFUSION) == pytest.approx(4 / 5)
    np.testing.assert_allclose(accuracy_per_class(CONFUSION), [2 / 3, 1, np.nan])
    assert mean_class_accuracy(CONFUSION) == pytest.approx((2 / 3 + 1) / 2)


def test_nothing_counted_gives_nan_everywhere_without_a_warning():
    assert np.isnan(iou_per_class(EMPTY)).all()
    assert np.isnan(mean_iou(EMPTY)[0])
    assert mean_iou(EMPTY)[1] == 3
    for metric in (frequency_weighted_iou, pixel_accuracy, mean_class_accuracy):
        assert np.isnan(metric(EMPTY))


@pytest.mark.parametrize("value", [3, 200, -1])
def test_a_label_that_is_no_class_is_named_with_its_pixel_count(value):
    label = np.array([0, value, value, 255])
    with pytest.raises(InputError, match=rf"label value {value} \(2 pixels\) is neither a class id 0 to 2 nor 255"):
        confusion_matrix(label, np.zeros(4, int), num_classes=3)


def test_a_label_equal_to_the_number_of_classes_is_ignored_only_if_it_is_the_ignore_label():
    np.testing.assert_array_equal(confusion_matrix([0, 2], [0, 0], num_classes=2, ignore_label=2), [[1, 0], [0, 0]])


def test_predictions_of_other_shape_or_range_are_refused():
    with pytest.raises(ValueError, match="shape"):
        confusion_matrix([[0, 1]], [0, 1], num_classes=2)
    with pytest.raises(ValueError, match="predictions from 0 to 2 for 2 classes"):
        confusion_matrix([0, 1], [0, 2], num_classes=2)


def test_classes_of_a_group_are_one_class_and_errors_inside_it_are_none():
    confusion = np.array([[5, 1, 2], [3, 4, 0], [0, 6, 7]])
    np.testing.assert_array_equal(grouped(confusion, (0, 1, 0)), [[5 + 2 + 0 + 7, 1 + 6], [3 + 0, 4]])
    np.testing.assert_array_equal(grouped(confusion, (0, 1, 2)), confusion)


def test_255_classes_fit_beside_the_ignore_label():
    label = np.arange(256).astype(np.uint8)
    prediction = np.minimum(label, 254)
    np.testing.assert_array_equal(confusion_matrix(label, prediction, num_classes=255), np.eye(255))
