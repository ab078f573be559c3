"""One instance per thing: a seed near a found instance belongs to it, and overlapping boxes are one instance."""

import numpy as np
import pytest

from tfseg.postprocess import detection
from tfseg.postprocess.detection import box_iou, detect, pick_seeds, suppress
from tfseg.postprocess.fusion_config import FusionConfig


def square(top, left, side=20):
    """[5, 2] keypoints."""
    y, x = (top, top, top + side, top + side, top + side / 2), (left, left + side, left, left + side, left + side / 2)
    return np.stack([y, x], axis=1)


def test_a_seed_near_the_same_keypoint_of_an_accepted_instance_is_rejected():
    # (9, 9) is 2 sqrt(2) from (11, 11); 2.5 cells are not enough for it, 3 are.
    keypoints = np.stack([square(11, 11), square(9, 9)])
    assert pick_seeds(np.array([0, 0]), keypoints, (50, 50), 2.5).tolist() == [0, 1]
    assert pick_seeds(np.array([0, 0]), keypoints, (50, 50), 3).tolist() == [0]


def test_another_keypoint_of_an_accepted_instance_rejects_nothing():
    # The second instance's top left corner is the first one's bottom right corner.
    keypoints = np.stack([square(5, 5), square(25, 25)])
    assert pick_seeds(np.array([3, 0]), keypoints, (60, 60), 2.5).tolist() == [0, 1]


def test_all_keypoints_of_an_accepted_instance_reject_whichever_was_its_seed():
    keypoints = np.stack([square(5, 5), square(5, 5), square(5, 5)])
    assert pick_seeds(np.array([4, 0, 3]), keypoints, (60, 60), 0).tolist() == [0]


def test_a_rejected_seed_rejects_nothing_itself():
    keypoints = np.stack([square(10, 10), square(12, 10), square(14, 10)])
    assert pick_seeds(np.zeros(3, int), keypoints, (60, 60), 2).tolist() == [0, 2]


def test_keypoints_outside_the_image_reject_nothing_inside():
    outside, border = square(-40, -40, 5), square(0, 0)
    assert pick_seeds(np.array([0, 0]), np.stack([outside, border]), (30, 30), 2.5).tolist() == [0, 1]
    far = square(1e6, 1e6)
    assert pick_seeds(np.array([3, 3]), np.stack([far, square(9, 9)]), (30, 30), 2.5).tolist() == [0, 1]


def test_without_seeds_nothing_is_picked():
    assert pick_seeds(np.zeros(0, int), np.zeros([0, 5, 2]), (10, 10), 2.5).shape == (0,)


def test_intersection_over_union_counts_the_last_pixel():
    # Rows 0..3 and columns 0..3 against rows 0..3 and columns 2..5: 8 of 24 pixels.
    boxes = np.array([[0.0, 0, 3, 3], [0, 2, 3, 5], [9, 9, 9, 9]])
    np.testing.assert_allclose(box_iou(boxes, boxes, 1), [[1, 1 / 3, 0], [1 / 3, 1, 0], [0, 0, 1]])
    # The same boxes in cells of 4 pixels.
    np.testing.assert_allclose(box_iou(boxes / 4, boxes / 4, 1 / 4)[0], [1, 1 / 3, 0])


def test_the_lower_one_of_two_overlapping_boxes_goes():
    boxes = np.array([[0.0, 0, 9, 9], [0, 1, 9, 10], [0, 20, 9, 29]])  # IoU 9 / 11
    assert suppress(boxes, 0.6, 1).tolist() == [0, 2]
    assert suppress(boxes, 0.9, 1).tolist() == [0, 1, 2]


def test_a_box_that_is_gone_suppresses_nothing():
    # A box's IoU is 7 / 13 with the next and 4 / 16 with the one after: the second is dropped, so the third is kept.
    boxes = np.array([[0.0, 0, 9, 9], [0, 3, 9, 12], [0, 6, 9, 15]])
    assert suppress(boxes, 0.5, 1).tolist() == [0, 2]


@pytest.mark.parametrize("pairs", [1, 100, 1000])
def test_suppression_does_not_depend_on_how_many_pairs_are_compared_at_a_time(monkeypatch, pairs):
    generator = np.random.default_rng(0)
    corners = generator.uniform(0, 30, [60, 2])
    boxes = np.concatenate([corners, corners + generator.uniform(5, 15, [60, 2])], axis=1)
    whole = suppress(boxes, 0.3, 1)
    assert 5 < len(whole) < 55
    monkeypatch.setattr(detection, "PAIRS", pairs)
    assert suppress(boxes, 0.3, 1).tolist() == whole.tolist()


def test_no_boxes_stay_of_none():
    assert suppress(np.zeros([0, 4]), 0.6, 1).shape == (0,)


def detected(scores, probabilities, middle, config):
    """Detects instances in a toy image at stride 4, without short-range offsets."""
    fields = middle, np.zeros([*scores.shape[1:], 5, 2], np.float32)
    return detect(scores, probabilities, fields, radius=6.25, config=config)


def test_the_score_of_an_instance_is_the_mean_over_its_keypoints():
    # All keypoints coincide. The seed's keypoint counts with .9, although it lies so far to the right of its best cell
    # that it rounds to the next one; the others have no votes.
    scores, probabilities = np.zeros([2, 5, 20, 20], np.float32)
    scores[4, 10, 10] = 1
    scores[4, 9:12, 11] = 0.99
    probabilities[4, 10, 10], probabilities[4, 10, 11] = 0.9, 0.1
    middle = np.zeros([20, 20, 8, 2], np.float32)
    config = FusionConfig(instance_score_min=0.0)
    found = detected(scores, probabilities, middle, config)
    weights = 1 + 0.99 * (np.exp(-1 / 19.53125) + 2 * np.exp(-2 / 19.53125))  # sigma is 3.125 cells
    assert found.scores == pytest.approx([0.9 * weights / 3.97 / 5])
    assert found.keypoints[0, 0].tolist() == pytest.approx([10, 10 + 2.97 / 3.97])
    limit = FusionConfig(instance_score_min=0.2)
    assert len(detected(scores, probabilities, middle, limit).scores) == 0


def test_boxes_of_cells_overlap_as_those_of_their_pixels():
    # Columns 16..32 and 20..36 of the same rows share 13 of 21 pixels. Counted as 4 cells each, they share 3 of 5.
    scores, probabilities = np.zeros([2, 5, 20, 20], np.float32)
    scores[4, 6, 6], scores[0, 4, 5] = 1, 0.9
    probabilities[4, 6, 6], probabilities[0, 4, 5] = 1, 0.75
    middle = np.zeros([20, 20, 8, 2], np.float32)
    middle[6, 6:8, :4] = [[-2, -2], [-2, 2], [2, -2], [2, 2]]  # from both centres to their corners
    middle[4, 5, 4] = [2, 2]  # from the top left corner of the second one to its centre

    def lefts(nms_iou):
        config = FusionConfig(proximity=0.0, nms_iou=nms_iou)
        return detected(scores, probabilities, middle, config).keypoints[:, 0, 1].tolist()

    assert lefts(0.63) == [4, 5]
    assert lefts(0.61) == [4]
