"""What the model card says of the protocol beyond the figures, which test_publish compares."""

import pytest

from tfseg.config import DataConfig, ExperimentConfig
from tfseg.data.scenes import streets
from tfseg.evaluation.model_card import model_card
from tfseg.models.rnn import RNNConfig

PROTOCOL = {
    "dataset": "scenes",
    "split": "test",
    "num_images": 100,
    "filenames_sha256": "0",
    "image_sizes": ["128x192"],
    "network_size": "the image's",
    "scales": [1.0],
    "flip": False,
    "prediction": "argmax",
    "ignored_label": 255,
    "mean": "over classes",
    "cost_size": [128, 192],
    "device": "2 CPU cores",
    "weights_sha256": "0",
    "tensorflow": "2.15.1",
    "commit": None,
}
ENTRY = {"iteration": 1, "miou": 0.5, "gmacs": 1.0, "gflops": 2.0, "milliseconds": 3.0}
FACTS = {"steps": 1, "images": 2, "hours": None, "parameters": 3, "weights_sha256": "0"}


def card(panoptic=None, pictures=("curve.png",), **protocol):
    metrics = {"protocol": PROTOCOL | protocol, "iterations": [ENTRY], "trained_iterations": 1, "remarks": []}
    metrics |= {"panoptic": panoptic} if panoptic else {}
    config = ExperimentConfig(RNNConfig(), DataConfig(dataset="scenes"))
    return model_card("toy", config, streets.INFO, metrics, FACTS, "| tables |", pictures)


@pytest.mark.parametrize(
    "sizes,source",
    [("averages over the split", "averages over the split"), ({"car": 12.5}, "averages are those the data set fixes")],
)
def test_the_source_of_average_instance_sizes_is_told(sizes, source):
    expected = f"- iIoU: a pixel of an instance weighs average size of its class / size of the instance ({source})\n"
    assert expected in card(instance_sizes=sizes)


def test_the_protocol_of_an_earlier_version_has_a_single_view():
    assert "- Views: scales 1; scale 1 is the image's own size.\n" in card()
    assert "--split=test --report_dir=report\n" in card()
    resized = card(network_size=[64, 96])
    assert "- Views: scales 1; scale 1 is 64x96.\n" in resized and "--split=test --size=64x96 --report_dir" in resized


def test_windows_and_the_fusion_of_views_are_told():
    text = card(scales=[0.5, 1.0], flip=True, long_side=1024, window=[768, 768], stride=[512, 512], fusion="exp_logits")
    lines = (
        "Views: scales 0.5, 1, each with its mirror image; scale 1 is the image with 1024 pixels on its longer side.",
        "Windows of 768x768 slide over every view by 512x512; where they overlap, logits are averaged.",
        "The views are fused by the sum over the scales of exp(logits of the image and of its mirror image, summed).",
    )
    assert "".join(f"- {line}\n" for line in lines) in text
    flags = "--scales=0.5,1 --long_side=1024 --window=768x768 --stride=512x512 --fuse=exp_logits --flip"
    assert f"--split=test {flags} --report_dir=report\n" in text


def test_without_instances_there_is_no_word_of_them():
    assert "iIoU" not in card()


def test_panoptic_quality_stands_beside_what_the_classes_alone_score():
    scores = {"quality": 0.6, "one_segment": 0.35, "components": 0.502}
    text = card({name: {"all": {"pq": pq}} for name, pq in scores.items()}, ("curve.png", "panoptic.png"))
    assert "**Panoptic quality (PQ) 60.0 %.**" in text
    assert "would score 35.0 with one segment for each class, and 50.2 with one for each connected component." in text
    assert "![Images, predicted instances, labels](panoptic.png)" in text
    assert "Panoptic" not in card()
    assert "![mIoU against cost](curve.png)" in card()


@pytest.mark.parametrize(("dataset", "flag"), [("scenes", ""), ("crowds", ""), ("camvid", " --data_dir=DIR")])
def test_generated_data_need_no_folder(dataset, flag):
    assert f"python evaluate.py --model=model_zoo/toy{flag} --split=test" in card(dataset=dataset)
