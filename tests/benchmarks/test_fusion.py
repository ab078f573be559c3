"""The benchmark prints its goals beside what was measured."""

import re

from absl.testing import flagsaver

from tfseg.benchmarks import fusion, synthetic_instances


def test_it_times_every_scene_beside_opencv_and_states_growth_and_memory(monkeypatch, capsys):
    names = list(fusion.scenes())
    small = {name: synthetic_instances.rectangles((65, 65), 1, 2, (16, 16)) for name in names}
    monkeypatch.setattr(fusion, "scenes", lambda: small)
    with flagsaver.as_parsed(rounds="2", seconds="1e9"):
        fusion.main(["benchmark"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("| ms (of 2 rounds)")
    for name in names:
        assert [line for line in lines if re.match(rf"\| {name} +\| +\d+\.\d \| +\d+\.\d \|", line)]
        assert [line for line in lines if re.match(rf"\| {name}: OpenCV +\| +\d+\.\d \| +\d+\.\d \|", line)]
        assert [line for line in lines if re.match(rf"{name}: \d+ MB at most \(goal 200\)", line)]
    assert [line for line in lines if re.fullmatch(r"\| 721x721, 73 instances +\| +\S+ \| +\S+ \| +45 \|", line)]
    assert [line for line in lines if re.fullmatch(r"\| 1441x1441, 73 instances +\| +\S+ \| +\S+ \| +145 \|", line)]
    assert [line for line in lines if re.match(r"480 squares take \d+\.\d\d times .*\(goal 2\.5\)", line)]


def test_the_squares_of_both_scenes_cover_the_same_area():
    scenes = fusion.scenes()
    few, many = ((scenes[name] % synthetic_instances.LABEL_DIVISOR > 0).sum() for name in (fusion.FEW, fusion.MANY))
    assert abs(many / few - 1) < 0.01
