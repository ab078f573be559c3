"""Order, resume and sharding of the training stream; what reading does with images it cannot use."""

import functools
import io
import itertools

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tfseg.config import DataConfig
from tfseg.data import decoding, pipeline, targets
from tfseg.data.tfrecord import to_example
from tfseg.errors import InputError
from tfseg.labels import DatasetInfo, default_colors

INFO = DatasetInfo("toy", ("sky", "road", "car"), default_colors(3))
HEIGHT, WIDTH = 10, 12


Data = functools.partial(DataConfig, crop_size=(8, 8), shuffle_buffer=4)


def encode(pixels, image_format, **options):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, image_format, **options)
    return buffer.getvalue()


def example(index, image=None, label=None):
    """Image and label bytes of a random picture, or those given; file name `<index>.jpg`."""
    rng = np.random.default_rng(index)
    image = encode(rng.integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8), "JPEG") if image is None else image
    label = encode(rng.integers(0, 3, (HEIGHT, WIDTH), np.uint8), "PNG") if label is None else label
    return to_example(image, label, height=HEIGHT, width=WIDTH, filename=f"{index}.jpg")


def write_shards(folder, examples, num_shards=1):
    """Example i goes to shard i % num_shards."""
    files = [str(folder / f"train-{shard:05d}-of-{num_shards:05d}.tfrecord") for shard in range(num_shards)]
    for shard, file in enumerate(files):
        with tf.io.TFRecordWriter(file) as writer:
            for item in examples[shard::num_shards]:
                writer.write(item.SerializeToString())
    return files


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    """7 examples in 3 shards."""
    return write_shards(tmp_path_factory.mktemp("records"), [example(i) for i in range(7)], num_shards=3)


def batches(files, count, num_examples=7, batch_size=3, seed=0, data=None, **options):
    options.setdefault("make_targets", targets.semantic)
    dataset = pipeline.train_batches(
        files, INFO, data or Data(), batch_size=batch_size, seed=seed, num_examples=num_examples, **options
    )
    return list(itertools.islice(dataset.as_numpy_iterator(), count))


def names(some_batches):
    return [name.decode() for batch in some_batches for name in batch["filename"]]


def assert_equal(first, second):
    assert len(first) == len(second)
    for one, other in zip(first, second, strict=True):
        for key in ("image", "label", "filename"):
            np.testing.assert_array_equal(one[key], other[key])


def test_a_batch_has_the_promised_types_and_shapes(shards):
    (batch,) = batches(shards, 1)
    assert batch["image"].dtype == np.float32 and batch["image"].shape == (3, 8, 8, 3)
    assert batch["label"].dtype == np.int32 and batch["label"].shape == (3, 8, 8)
    assert batch["image"].min() >= 0 and batch["image"].max() <= 255
    assert set(np.unique(batch["label"])) <= {0, 1, 2, 255}


def test_static_shapes_are_known(shards):
    dataset = pipeline.train_batches(
        shards, INFO, Data(rotation=5.0), batch_size=3, seed=0, num_examples=7, make_targets=targets.semantic
    )
    assert dataset.element_spec["image"].shape == [3, 8, 8, 3]
    assert dataset.element_spec["label"].shape == [3, 8, 8]


def test_every_example_comes_once_an_epoch_and_batches_cross_epochs(shards):
    stream = names(batches(shards, 7))
    epochs = [stream[:7], stream[7:14], stream[14:]]
    for epoch in epochs:
        assert sorted(epoch) == sorted(f"{i}.jpg" for i in range(7))
    assert epochs[0] != epochs[1] != epochs[2] != epochs[0]


def test_the_same_seed_gives_the_same_stream_and_another_seed_another(shards):
    first = batches(shards, 4)
    assert_equal(first, batches(shards, 4))
    assert names(first) != names(batches(shards, 4, seed=1))


def video_frame(index, sequence, frame):
    """Frame `frame` of a video; its picture is `10 * index` everywhere but in the left half, which is black."""
    pixels = np.full((HEIGHT, WIDTH, 3), 10 * index, np.uint8)
    pixels[:, : WIDTH // 2] = 0
    files = encode(pixels, "PNG"), encode(np.zeros((HEIGHT, WIDTH), np.uint8), "PNG")
    size = {"height": HEIGHT, "width": WIDTH}
    return to_example(*files, **size, filename=f"{index}.jpg", sequence_id=sequence, frame_id=frame)


def test_the_frame_before_comes_with_its_frame_in_the_same_crop(tmp_path):
    places = [("A", 0), ("A", 1), ("A", 3), ("A", 7), ("B", 8), ("B", 8), ("B", 9), ("", -1), ("", -1)]
    files = write_shards(tmp_path, [video_frame(index + 1, *place) for index, place in enumerate(places)])
    data = Data(frame_gap=2, min_scale=1.0, max_scale=1.0, color_jitter=0.3, blur_rate=0.5)
    (batch,) = batches(files, 1, num_examples=9, batch_size=9, data=data, num_previous=1)
    has = {name.decode(): bool(has) for name, [has] in zip(batch["filename"], batch["has_previous"], strict=True)}
    # The 1st frame has none before it; the 4th is 4 after the 3rd; the 5th begins another video; the 6th has the number
    # of the 5th; the last two belong to no video.
    assert has == {f"{n}.jpg": n in (2, 3, 7) for n in range(1, 10)}
    data = Data(frame_gap=2, min_scale=1.0, max_scale=1.0)
    (batch,) = batches(files, 1, num_examples=9, batch_size=9, data=data, num_previous=1)
    for index, image in enumerate(batch["image"]):
        number = int(batch["filename"][index].decode().split(".")[0])
        before = number - 1 if batch["has_previous"][index][0] else number
        expected = np.where(image == 10.0 * number, 10.0 * before, image)  # mirrored and cut alike
        np.testing.assert_allclose(batch["previous_images"][index][0], expected)


def test_several_frames_before_come_with_their_labels(tmp_path):
    """A chain ends where a frame is missing: the last one that there is fills the rest, without a label."""
    places = [("A", 0), ("A", 1), ("A", 2), ("B", 5), ("B", 6)]
    files = write_shards(tmp_path, [video_frame(index + 1, *place) for index, place in enumerate(places)])
    data = Data(frame_gap=1, min_scale=1.0, max_scale=1.0, flip=False)
    (batch,) = batches(files, 1, num_examples=5, batch_size=5, data=data, num_previous=2)
    found = {}
    for index, name in enumerate(batch["filename"]):
        previous = [one.max() / 10 for one in np.asarray(batch["previous_images"][index])]
        labelled = (np.asarray(batch["previous_labels"][index]) != 255).any((1, 2)).tolist()
        found[name.decode()] = previous, list(map(bool, batch["has_previous"][index])), labelled
    assert found == {
        "1.jpg": ([1, 1], [False, False], [False]),
        "2.jpg": ([1, 1], [False, True], [True]),
        "3.jpg": ([1, 2], [True, True], [True]),
        "4.jpg": ([4, 4], [False, False], [False]),
        "5.jpg": ([4, 4], [False, True], [True]),
    }


def test_a_record_may_hold_the_frame_before_it_itself(tmp_path):
    """It comes before a neighbour in the shard, has no label, and has no frame before it."""
    held = encode(np.full((HEIGHT, WIDTH, 3), 250, np.uint8), "PNG")
    files = encode(np.full((HEIGHT, WIDTH, 3), 20, np.uint8), "PNG"), encode(np.zeros((HEIGHT, WIDTH), np.uint8), "PNG")
    of_video = {"height": HEIGHT, "width": WIDTH, "sequence_id": "A", "frame_id": 1}
    records = [video_frame(1, "A", 0), to_example(*files, filename="2.jpg", previous_jpeg=held, **of_video)]
    data = Data(frame_gap=1, min_scale=1.0, max_scale=1.0)
    shards = write_shards(tmp_path, records)
    (batch,) = batches(shards, 1, num_examples=2, batch_size=2, data=data, num_previous=2)
    index = list(batch["filename"]).index(b"2.jpg")
    assert batch["has_previous"][index].tolist() == [False, True]
    np.testing.assert_allclose(batch["previous_images"][index], 250.0)
    assert (batch["previous_labels"][index] == 255).all()


def test_frames_before_do_not_change_the_order_or_a_resumed_run(tmp_path):
    files = write_shards(tmp_path, [video_frame(index, "A", index) for index in range(7)], num_shards=2)
    with_previous, without = Data(frame_gap=1), Data()
    whole = batches(files, 5, data=with_previous, num_previous=1)
    assert_equal(whole, batches(files, 5, data=without))
    later = batches(files, 3, data=with_previous, start_step=2, num_previous=1)
    assert_equal(whole[2:], later)
    for one, other in zip(whole[2:], later, strict=True):
        np.testing.assert_array_equal(one["previous_images"], other["previous_images"])


def test_order_and_augmentation_do_not_hang_on_the_global_seed(shards):
    first = batches(shards, 3)
    tf.random.set_seed(1234)
    expected_draw = tf.random.uniform([])
    tf.random.set_seed(1234)
    assert_equal(first, batches(shards, 3))
    assert tf.random.uniform([]) == expected_draw  # nor does the pipeline touch it


def test_an_example_is_augmented_differently_in_each_epoch(shards):
    crops = {}
    for batch in batches(shards, 5):
        for name, image in zip(batch["filename"], batch["image"], strict=True):
            crops.setdefault(name, []).append(image)
    assert all(len(images) >= 2 and not np.array_equal(images[0], images[1]) for images in crops.values())


def test_a_stream_from_step_k_equals_the_unbroken_one_from_there(shards):
    data = Data(color_jitter=0.5, rotation=10.0)
    unbroken = batches(shards, 9, data=data)
    for start_step in (1, 2, 3, 7):  # 7 batches of 3 are 3 epochs of 7
        assert_equal(unbroken[start_step:], batches(shards, 9 - start_step, data=data, start_step=start_step))


def test_skipping_decodes_nothing(tmp_path):
    """The bad image comes in the first batches only: a stream that starts behind them never sees it."""
    files = write_shards(tmp_path, [example(0, image=b"\xff\xd8\xff no JPEG"), *map(example, range(1, 40))])
    data = Data(shuffle_buffer=1)
    with pytest.raises(tf.errors.InvalidArgumentError):
        batches(files, 1, num_examples=40, batch_size=1, data=data)
    assert names(batches(files, 2, num_examples=40, batch_size=1, data=data, start_step=1)) == ["1.jpg", "2.jpg"]


@pytest.mark.parametrize(
    "num_workers,replicas_each,sizes",
    [(1, 2, (3, 3)), (2, 1, (3, 3)), (3, 1, (2, 2, 2)), (1, 4, (1, 2, 1, 2)), (2, 2, (1, 2, 1, 2)), (1, 6, (1,) * 6)],
)
def test_replicas_together_see_the_batches_of_one_device(shards, num_workers, replicas_each, sizes):
    """6 examples a step, whatever the number of replicas, each of them once."""
    whole, num_replicas = batches(shards, 5, batch_size=6), num_workers * replicas_each
    parts = []
    for worker in range(num_workers):
        context = tf.distribute.InputContext(num_workers, worker, num_replicas)
        parts.append(batches(shards, 5 * replicas_each, batch_size=6, input_context=context))
    for step, expected in enumerate(whole):
        replicas = [batch for part in parts for batch in part[step * replicas_each :][:replicas_each]]
        assert tuple(len(batch["label"]) for batch in replicas) == sizes
        for key in ("image", "label", "filename"):
            np.testing.assert_array_equal(np.concatenate([batch[key] for batch in replicas]), expected[key])


def test_a_worker_resumes_where_the_unbroken_one_would_be(shards):
    context = tf.distribute.InputContext(2, 1, 2)
    unbroken = batches(shards, 6, batch_size=4, input_context=context)
    assert_equal(unbroken[4:], batches(shards, 2, batch_size=4, input_context=context, start_step=4))


def test_a_step_has_an_image_for_every_replica(shards):
    with pytest.raises(InputError, match="--batch_size=2 is less than one image for each of 3 replicas"):
        batches(shards, 1, batch_size=2, input_context=tf.distribute.InputContext(1, 0, 3))


def test_a_data_set_of_one_image_fills_every_batch(tmp_path):
    files = write_shards(tmp_path, [example(0)])
    some = batches(files, 2, num_examples=1, batch_size=4)
    assert names(some) == ["0.jpg"] * 8
    assert not np.array_equal(some[0]["image"][0], some[0]["image"][1])


def test_a_blur_changes_images_alone_and_nothing_else_that_is_drawn(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    files = write_shards(tmp_path, [example(0, encode(noise, "PNG"))])
    jitter = {"color_jitter": 0.5, "rotation": 10.0}
    [sharp], [blurred] = (
        batches(files, 1, num_examples=1, batch_size=4, data=Data(**jitter, **fields))
        for fields in ({}, {"blur_rate": 1.0, "blur_radius": 3.0})
    )
    np.testing.assert_array_equal(sharp["label"], blurred["label"])
    assert np.abs(np.diff(blurred["image"], axis=2)).mean() < 0.8 * np.abs(np.diff(sharp["image"], axis=2)).mean()
    np.testing.assert_allclose(sharp["image"].mean((1, 2)), blurred["image"].mean((1, 2)), atol=12)


def test_a_large_shuffle_buffer_mixes_across_shards(tmp_path):
    files = write_shards(tmp_path, [example(i) for i in range(12)], num_shards=2)
    first = names(batches(files, 1, num_examples=12, batch_size=12, data=Data(shuffle_buffer=100)))
    assert sorted(first) == sorted(f"{i}.jpg" for i in range(12)) and first != sorted(first)


def test_an_empty_split_is_refused():
    with pytest.raises(InputError, match="toy: the training split is empty"):
        batches([], 1, num_examples=0)


def test_a_wrong_count_stops_at_the_end_of_the_epoch(shards):
    with pytest.raises(tf.errors.FailedPreconditionError, match="8 elements"):
        batches(shards, 4, num_examples=8)


def test_grey_jpegs_and_pngs_become_three_equal_channels(tmp_path):
    grey = np.full((HEIGHT, WIDTH), 90, np.uint8)
    colored = np.full((HEIGHT, WIDTH, 3), (10, 20, 30), np.uint8)
    images = [encode(grey, "JPEG"), encode(grey, "PNG"), encode(colored, "PNG")]
    files = write_shards(tmp_path, [example(i, image) for i, image in enumerate(images)])
    data = Data(min_scale=1.0, max_scale=1.0, shuffle_buffer=1)
    trained = batches(files, 3, num_examples=3, batch_size=1, data=data)
    evaluated = list(pipeline.eval_examples(files, INFO).as_numpy_iterator())
    for index, color in enumerate([(90, 90, 90), (90, 90, 90), (10, 20, 30)]):
        np.testing.assert_array_equal(trained[index]["image"][0, 4, 4], color)
        np.testing.assert_array_equal(evaluated[index]["image"][0, 4, 4], color)


def test_a_decoded_window_equals_the_window_of_the_whole_image_and_that_what_others_decode():
    rng = np.random.default_rng(0)
    pixels = np.asarray(Image.fromarray(rng.integers(0, 256, (9, 12, 3), np.uint8)).resize((71, 53)))
    encoded = encode(pixels, "JPEG", subsampling=0)
    whole = decoding.decode_image(tf.constant(encoded), "a.jpg")
    np.testing.assert_array_equal(whole, np.asarray(Image.open(io.BytesIO(encoded))))
    np.testing.assert_array_equal(decoding.decode_window(tf.constant(encoded), [11, 23, 31, 27]), whole[11:42, 23:50])
    np.testing.assert_array_equal(decoding.image_size(tf.constant(encoded), "a.jpg"), [53, 71])


def test_colour_jitter_leaves_labels_and_padding_alone(shards):
    plain = batches(shards, 2, data=Data(crop_size=(16, 16)))
    jittered = batches(shards, 2, data=Data(crop_size=(16, 16), color_jitter=1.0))
    for one, other in zip(plain, jittered, strict=True):
        np.testing.assert_array_equal(one["label"], other["label"])
        np.testing.assert_array_equal(other["image"][other["label"] == 255], 127.5)
        assert not np.array_equal(one["image"], other["image"])
        assert other["image"].min() >= 0 and other["image"].max() <= 255


def test_targets_are_made_from_each_augmented_example(shards):
    make_targets = lambda example: {"image": example["image"], "is_road": tf.equal(example["label"], 1)}  # noqa: E731
    (batch,) = batches(shards, 1, make_targets=make_targets)
    assert set(batch) == {"image", "is_road"} and batch["is_road"].shape == (3, 8, 8)


def test_evaluation_reads_everything_once_in_order_at_native_size(tmp_path):
    small = encode(np.zeros((5, 7, 3), np.uint8), "PNG")
    small_label = encode(np.full((5, 7), 2, np.uint8), "PNG")
    files = write_shards(tmp_path, [example(0), example(1, small, small_label), example(2)])
    seen = list(pipeline.eval_examples(files, INFO).as_numpy_iterator())
    assert [item["filename"][0] for item in seen] == [b"0.jpg", b"1.jpg", b"2.jpg"]
    assert [item["image"].shape for item in seen] == [(1, HEIGHT, WIDTH, 3), (1, 5, 7, 3), (1, HEIGHT, WIDTH, 3)]
    assert seen[0]["image"].dtype == np.uint8 and seen[0]["label"].dtype == np.int32
    np.testing.assert_array_equal(seen[1]["label"], np.full((1, 5, 7), 2))


def test_the_usual_size_is_the_median_of_the_first_images(tmp_path):
    sizes = [(10, 40), (12, 20), (30, 30), (9, 9)]
    examples = [
        to_example(b"no picture", None, height=height, width=width, filename=f"{height}.jpg") for height, width in sizes
    ]
    files = write_shards(tmp_path, examples)
    assert pipeline.usual_size(files, 3) == (12, 30)


def test_an_example_without_a_label_is_ignored_in_evaluation_and_refused_in_training(tmp_path):
    image = encode(np.zeros((HEIGHT, WIDTH, 3), np.uint8), "JPEG")
    files = write_shards(tmp_path, [to_example(image, None, height=HEIGHT, width=WIDTH, filename="bare.jpg")])
    (seen,) = pipeline.eval_examples(files, INFO).as_numpy_iterator()
    np.testing.assert_array_equal(seen["label"], np.full((1, HEIGHT, WIDTH), 255))
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"(?s)no label to train on.*bare\.jpg"):
        batches(files, 1, num_examples=1)
    assert pipeline.locate_unusable(files, needs_labels=False) is None
    assert pipeline.locate_unusable(files, needs_labels=True).endswith("(bare.jpg): there is no label to train on")


def broken_examples():
    """(what is wrong, image, label, words of the message)."""
    image = encode(np.zeros((HEIGHT, WIDTH, 3), np.uint8), "JPEG")
    label = encode(np.zeros((HEIGHT, WIDTH), np.uint8), "PNG")
    wide = encode(np.zeros((HEIGHT, WIDTH + 1), np.uint8), "PNG")
    return [
        ("text", b"not an image", label, "the image is not a JPEG or PNG"),
        ("cut JPEG", image[: len(image) // 2], label, "the image is not a JPEG or PNG"),
        ("cut PNG", label[: len(label) // 2], label, "the image is not a JPEG or PNG"),
        ("cut label", image, label[: len(label) // 2], "the label is not a PNG"),
        ("label of another size", image, wide, "the image is 10x12, its label 10x13"),
    ]


@pytest.mark.parametrize("_, image, label, words", broken_examples())
def test_an_unusable_example_stops_reading_and_is_located(tmp_path, _, image, label, words):
    files = write_shards(tmp_path, [example(0), example(1), example(2, image, label)], num_shards=2)
    with pytest.raises(tf.errors.InvalidArgumentError):
        batches(files, 3, num_examples=3)
    with pytest.raises(tf.errors.InvalidArgumentError):
        list(pipeline.eval_examples(files, INFO))
    found = pipeline.locate_unusable(files, needs_labels=False)
    assert found.startswith(f"{files[0]}: record 1 (2.jpg): ") and words in found and "\n" not in found


def test_nothing_is_located_in_sound_shards(shards):
    assert pipeline.locate_unusable(shards, needs_labels=True) is None
