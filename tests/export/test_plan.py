"""What is exported, from the options and the model."""

import dataclasses

import pytest

from tests.fake_network import INFO
from tfseg.errors import InputError


def test_by_default_a_server_and_a_phone_are_served(planned):
    assert planned()[1] == [
        "serving/road/1",
        "road_segment_3_fp16.tflite",
        "road_class_map_3_fp16.tflite",
        "road_stream_fp16.tflite",
    ]


def test_a_network_that_runs_once_has_no_stream(planned):
    assert planned(is_recurrent=False)[1] == [
        "serving/road/1",
        "road_segment_1_fp16.tflite",
        "road_class_map_1_fp16.tflite",
    ]


def test_there_is_a_segment_file_for_each_number_of_iterations(planned):
    formats = ("tflite_int8", "onnx")
    assert planned(formats=formats, kinds=("segment",), iterations=(1, 3), name="a")[1] == [
        "a_segment_1_int8.tflite",
        "a_segment_3_int8.tflite",
        "a_segment_1.onnx",
        "a_segment_3.onnx",
    ]


def test_files_say_what_they_are(planned):
    export, _ = planned(formats=("tflite", "savedmodel"), iterations=(2,), max_iterations=5, version=7)
    segment, class_map, stream, saved = map(export.description, export.planned)
    assert (segment["kind"], segment["iterations"], segment["max_iterations"]) == ("segment", 2, 2)
    assert (class_map["kind"], class_map["iterations"], class_map["max_iterations"]) == ("class_map", 2, 2)
    assert (stream["kind"], stream["iterations"], stream["max_iterations"]) == ("stream", 3, 5)
    assert (saved["size"], saved["max_iterations"]) == (None, 5)
    # Nothing was evaluated: the size of training.
    assert segment["size"] == stream["size"] == [32, 32]
    assert segment["classes"]["class_names"] == INFO.class_names


def test_the_size_is_that_of_most_images_evaluated(planned, tmp_path):
    (tmp_path / "road" / "report").mkdir(parents=True)
    (tmp_path / "road" / "report" / "metrics.json").write_text('{"protocol": {"cost_size": [36, 48]}}')
    assert planned()[0].size == (36, 48)
    assert planned(size=(64, 96))[0].size == (64, 96)


@pytest.mark.parametrize(
    ("is_recurrent", "options", "message"),
    [
        (False, {"iterations": (3,)}, "--iters does not apply: .*road is not recurrent and runs once"),
        (False, {"kinds": ("stream",)}, "--kinds=stream is for models that keep a state; this one keeps none"),
        (True, {"max_iterations": 2}, "--max_iters=2: at least 3, the model's own"),
        (True, {"max_iterations": 4, "iterations": (6,)}, "--iters=6 is more than --max_iters=4"),
        (True, {"kinds": ("dynamic",), "formats": ("tflite_int8",)}, "--kinds=dynamic has no int8 form"),
        (True, {"kinds": ("resizable",), "formats": ("tflite_int8",)}, "--kinds=resizable has no int8 form"),
    ],
)
def test_what_does_not_fit_the_model_is_refused(planned, is_recurrent, options, message):
    with pytest.raises(InputError, match=message):
        planned(is_recurrent, **options)


def test_what_is_there_is_not_replaced_unless_told_to(planned, tmp_path):
    export, [path] = planned(formats=("tflite",), kinds=("stream",))
    export.check_target()
    export.folder.mkdir(parents=True)
    (export.folder / path).write_bytes(b"")
    with pytest.raises(InputError, match=f"{path}: exists already; take another --name or --version, or --overwrite"):
        export.check_target()
    export.options = dataclasses.replace(export.options, overwrite=True)
    export.check_target()


def test_of_a_panoptic_model_the_maps_of_instances_are_exported_unless_asked_otherwise(planned):
    _, paths = planned(is_recurrent=False, is_panoptic=True)
    assert paths == ["serving/road/1", "road_panoptic_fp16.tflite"]
    _, paths = planned(is_recurrent=False, is_panoptic=True, formats=("tflite",), kinds=("segment", "panoptic"))
    assert paths == ["road_segment_1_fp32.tflite", "road_panoptic_fp32.tflite"]


def test_maps_of_instances_need_a_panoptic_model_and_more_than_8_bits(planned):
    with pytest.raises(InputError, match="--kinds=panoptic is for panoptic models; this one tells classes apart only"):
        planned(kinds=("panoptic",))
    with pytest.raises(InputError, match="--kinds=panoptic has no int8 form"):
        planned(is_recurrent=False, is_panoptic=True, formats=("tflite_int8",))


@pytest.mark.parametrize("name", ["a/b", "../b", "..", ".", ""])
def test_a_name_is_that_of_a_folder(planned, name):
    with pytest.raises(InputError, match="the name of a folder in --output_dir, without slashes"):
        planned(name=name)


def test_a_time_cannot_be_fitted_into_what_nothing_here_runs(planned):
    with pytest.raises(InputError, match="--fit_latency does not apply to onnx"):
        planned(formats=("onnx",), fit_latency=40.0)
