"""params.yaml beside a checkpoint of Model Garden: what is read from it, and what is wrong with it in one line."""

import pytest

from tfseg.errors import InputError
from tfseg.formats.garden_params import NormActivation, read_beside


def written(folder, text):
    (folder / "params.yaml").write_text(text)
    return str(folder)


@pytest.mark.parametrize("number", ["1.0e-05", "1e-5", "0.00001"])
def test_epsilon_and_activation_are_read_beside_a_prefix_an_index_or_in_a_folder(number, tmp_path):
    text = f"task:\n  model:\n    norm_activation: {{norm_epsilon: {number}, activation: swish}}\n"
    folder = written(tmp_path, text)
    for path in (folder, f"{folder}/ckpt-20", f"{folder}/ckpt-20.index"):
        assert read_beside(path) == NormActivation(1e-5, "swish")


@pytest.mark.parametrize("text", ["", "7", "task: none", "task: {model: {norm_activation: {}}}"])
def test_what_is_not_noted_is_not_known(text, tmp_path):
    assert read_beside(written(tmp_path, text)) == NormActivation(None, None)


def test_without_the_file_nothing_is_known(tmp_path):
    assert read_beside(str(tmp_path / "ckpt-20")) == NormActivation(None, None)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("task: [\n", r"params.yaml: damaged YAML \(.+; move it away"),
        ("a: !!python/object/apply:os.getcwd []", r"params.yaml: damaged YAML \(.+; move it away"),
        ("[" * 2000, r"params.yaml: damaged YAML \(.+; move it away"),
        ("task: {model: {norm_activation: {norm_epsilon: much}}}", "norm_epsilon is much, not between 0 and 1"),
        ("task: {model: {norm_activation: {norm_epsilon: .nan}}}", "norm_epsilon is nan, not between 0 and 1"),
        ("task: {model: {norm_activation: {norm_epsilon: [1]}}}", r"norm_epsilon is \[1\], not between 0 and 1"),
        ("x: " + "y" * (1 << 20), "params.yaml: more than 1 MB"),
    ],
)
def test_a_bad_file_is_one_line(text, message, tmp_path):
    with pytest.raises(InputError, match=message) as caught:
        read_beside(written(tmp_path, text))
    assert len(str(caught.value).splitlines()) == 1
