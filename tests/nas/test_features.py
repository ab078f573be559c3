"""Maps that are kept are those of the network, and no frame that validates a candidate has trained it."""

import dataclasses
import itertools

import numpy as np
import pytest
import tensorflow as tf

from tests.nas import toy_videos
from tfseg.data.opening import open_split
from tfseg.errors import InputError
from tfseg.nas import features
from tfseg.nas.features import ClipConfig, Frame, clips_of, divided, frames_of, padded, transformed
from tfseg.runs.run_directory import weight_arrays

EXACT = ClipConfig(frames=3, frame_gap=2, precision="float32")
# CamVid's train split: three drives, whose labelled frames lie 30 apart.
DRIVES = [("0001TP", 62), ("0006R0", 101), ("0016E5", 204)]
CAMVID = [Frame(name, 30 * number) for name, count in DRIVES for number in range(count)]


@pytest.fixture(scope="module")
def split(videos):
    return open_split("folder", str(videos), "train")


@pytest.fixture(scope="module")
def exact(network, split):
    return divided(network, split, EXACT)


def places(clips):
    return set(clips.ravel())


@pytest.mark.slow
def test_kept_maps_are_those_of_the_live_network(network, split, exact):
    """Of every clip: what arch2_video would compute of its frames, bit for bit."""
    examples = [one["image"] for one in split.examples().as_numpy_iterator()]
    chosen = clips_of(frames_of(split), EXACT)
    for clips, numbers in zip(exact, chosen, strict=True):
        assert len(clips.places) == len(numbers) > 0
        for row in (0, len(numbers) - 1):
            batch = clips.batch([row])
            live = [network.maps(tf.cast(examples[number], tf.float32)) for number in numbers[row]]
            _, dec = network.decode(live[0])
            np.testing.assert_array_equal(batch["dec"], dec)
            np.testing.assert_array_equal(batch["layer4"], live[0][3])
            for kept, (_, *layers) in zip(batch["frames"], live[1:], strict=True):
                for one, other in zip(kept, layers, strict=True):
                    np.testing.assert_array_equal(one, other)


@pytest.mark.slow
def test_16_bits_are_within_a_thousandth_and_half_the_memory(network, split, exact):
    halves = divided(network, split, dataclasses.replace(EXACT, precision="float16"))
    assert halves[0].megabytes == exact[0].megabytes / 2
    for name, values in exact[0].maps.items():
        np.testing.assert_allclose(halves[0].maps[name], values, rtol=1e-3, atol=1e-6)


@pytest.mark.slow
def test_nothing_of_the_network_changes(network, split):
    before = weight_arrays(network)
    divided(network, split, EXACT)
    assert all(np.array_equal(before[name], values) for name, values in weight_arrays(network).items())


@pytest.mark.slow
def test_labels_are_those_of_the_middle_of_each_position(exact, split):
    """64x96 pixels become 8x12 positions; position (r, c) has the label of pixel (8 r + 4, 8 c + 4)."""
    label = next(split.examples().as_numpy_iterator())["label"][0]
    chosen = clips_of(frames_of(split), EXACT)
    part = next(index for index, numbers in enumerate(chosen) if 0 in numbers)
    row, frame = np.argwhere(chosen[part] == 0)[0]
    kept = exact[part].labels[exact[part].places[row, frame]]
    np.testing.assert_array_equal(kept, label[4::8, 4::8])


@pytest.mark.slow
def test_decoded_maps_are_kept_of_first_frames_alone(exact):
    training = exact[0]
    first = places(training.places[:, 0])
    has_map = {place for place, values in enumerate(training.maps["dec"]) if values.any()}
    assert has_map == first < places(training.places)


@pytest.mark.parametrize(("frames", "in_all"), [(2, 364), (3, 361)])
def test_blocks_share_no_frame_and_hold_out_a_tenth(frames, in_all):
    """A drive of n frames has n - 1 pairs and n - 2 triplets; a block loses those that cross its borders."""
    config = ClipConfig(frames=frames)
    for seed in range(20):
        training, validation = clips_of(CAMVID, config, seed)
        assert not places(training) & places(validation)
        assert 22 <= len(validation) <= 36
        assert in_all - 36 - 6 * frames <= len(training) <= in_all - 22
        for clip in np.concatenate([training, validation]):
            frames_seen = [CAMVID[place] for place in clip]
            assert len({frame.video for frame in frames_seen}) == 1
            assert [b.number - a.number for a, b in itertools.pairwise(frames_seen)] == [30] * (frames - 1)


def test_random_clips_share_frames_but_no_clip():
    training, validation = clips_of(CAMVID, ClipConfig(frames=3, division="random"))
    assert (len(training), len(validation)) == (361 - 36, 36)
    assert places(training) & places(validation)
    assert not set(map(tuple, training)) & set(map(tuple, validation))


def test_a_gap_ends_a_clip_and_the_order_of_the_records_does_not_matter():
    frames = [Frame(*one) for one in (("b", 1), ("b", 2), ("a", 5), ("a", 1), ("a", 2), ("a", 3))]
    parts = clips_of(frames, ClipConfig(frames=2, frame_gap=1, division="random"))
    assert sorted(map(tuple, np.concatenate(parts))) == [(0, 1), (3, 4), (4, 5)]


def test_as_many_clips_are_drawn_as_are_wanted_and_the_seed_says_which():
    config = ClipConfig(frames=2, max_training=128, max_validation=16)
    one, same, other = (clips_of(CAMVID, config, seed) for seed in (0, 0, 1))
    assert [len(part) for part in one] == [128, 16]
    np.testing.assert_array_equal(one[0], same[0])
    assert not np.array_equal(one[0], other[0])


def test_small_frames_are_framed_with_the_mean_colour_and_no_label():
    image, label = np.full([6, 9, 3], 200, np.uint8), np.ones([6, 9], np.int32)
    framed, labels = padded(image, label, 9, toy_videos.INFO)
    assert framed.shape == (9, 9, 3) and labels.shape == (9, 9)
    np.testing.assert_array_equal(framed[1:7], 200)
    np.testing.assert_allclose(framed[0, 0], features.MEAN_COLOUR)
    assert (labels[1:7] == 1).all() and (labels[[0, 7, 8]] == 255).all()
    same, _ = padded(image, label, 6, toy_videos.INFO)
    np.testing.assert_array_equal(same, image)


def test_a_frame_without_a_label_can_only_be_the_first_of_a_clip():
    frames = [Frame("a", 18, False), Frame("a", 19), Frame("b", 4), Frame("b", 5, False), Frame("b", 6)]
    parts = clips_of(frames, ClipConfig(frames=2, frame_gap=1, division="random"))
    assert sorted(map(tuple, np.concatenate(parts))) == [(0, 1), (3, 4)]


@pytest.mark.slow
def test_the_unlabelled_frames_that_records_hold_begin_clips(network, tmp_path):
    """As in Cityscapes: one labelled frame a video, and the raw one before it."""
    records = toy_videos.write_videos(tmp_path / "records", num_videos=4, num_frames=1, gap=1, with_before=True)
    split = open_split("folder", str(records), "train")
    frames = frames_of(split)
    assert frames[:2] == [Frame("video 00", 18, False), Frame("video 00", 19)]
    config = ClipConfig(frames=2, frame_gap=1, precision="float32", division="random")
    training, validation = divided(network, split, config)
    assert (len(training.places), len(validation.places)) == (3, 1)
    before, image = toy_videos.frame(0, 18)[0], toy_videos.frame(0, 19)[0]
    numbers = clips_of(frames, config)
    part = next(index for index, clips in enumerate(numbers) if [0, 1] in clips.tolist())
    batch = (training, validation)[part].batch([numbers[part].tolist().index([0, 1])])
    exact = [network.maps(tf.cast(one[np.newaxis], tf.float32)) for one in (before, image)]
    # The records hold JPEGs.
    np.testing.assert_allclose(batch["layer4"], exact[0][3], atol=0.2 * np.abs(exact[0][3]).max())
    assert np.abs(batch["layer4"] - exact[0][3]).mean() < np.abs(batch["layer4"] - exact[1][3]).mean()
    labels = batch["labels"][0].numpy()
    assert set(np.unique(labels)) <= {0, 1, 255} and (labels == 1).any()


def test_training_frames_are_reduced_and_cropped_at_a_place_of_their_video():
    image = np.arange(40 * 80 * 3).reshape(40, 80, 3).astype(np.uint8)
    label = np.repeat(np.arange(80)[np.newaxis], 40, 0).astype(np.int32) // 2
    half, labels = transformed(image, label, ClipConfig(long_side=40), toy_videos.INFO, (0, "a"))
    assert half.shape == (20, 40, 3)
    np.testing.assert_array_equal(labels, np.repeat(np.arange(40)[np.newaxis], 20, 0))
    config = ClipConfig(long_side=40, crop=20)
    corners = []
    for video in "abcdefgh":
        (cut, cut_labels), (_, again) = (
            transformed(image, label, config, toy_videos.INFO, (0, video)) for _ in range(2)
        )
        assert cut.shape == (20, 20, 3)
        np.testing.assert_array_equal(cut_labels, again)
        np.testing.assert_array_equal(cut, half[:, cut_labels[0, 0] : cut_labels[0, 0] + 20])
        corners.append(cut_labels[0, 0])
    assert len(set(corners)) > 3
    small, _ = transformed(image, label, ClipConfig(crop=100, long_side=100), toy_videos.INFO, (0, "a"))
    np.testing.assert_array_equal(small, image)


@pytest.mark.slow
def test_only_training_frames_are_framed(network, split):
    training, validation = divided(network, split, dataclasses.replace(EXACT, padded_side=80))
    assert training.labels.shape[1:] == (10, 12) and validation.labels.shape[1:] == (8, 12)


def test_images_of_no_video_are_one_error(toy_records):
    with pytest.raises(InputError, match="the images of the split train are no frames of videos"):
        frames_of(open_split("folder", str(toy_records), "train"))


@pytest.mark.slow
def test_too_few_clips_are_one_error(network, split):
    with pytest.raises(InputError, match="too few clips of 2 frames at most 1 apart in the split train: 0 to train"):
        divided(network, split, ClipConfig(frames=2, frame_gap=1))


@pytest.mark.parametrize("wrong", [{"frames": 1}, {"frame_gap": 0}, {"division": "halves"}, {"precision": "int8"}])
def test_values_that_cannot_be_used_are_refused(wrong):
    with pytest.raises(InputError):
        ClipConfig(**wrong)
