"""Pictures of a search show what they are about: every map that is read, every candidate."""

import itertools

import numpy as np

from tfseg.models.cells.genotype import CELLS, INPUTS, parse, random_genotype
from tfseg.nas import pictures
from tfseg.nas.trial_log import Trial


def series(*rewards):
    return [Trial(number, one, 3, "finished", 9, 1.0, one, "2 2 0 0 0") for number, one in enumerate(rewards, 1)]


def test_rewards_are_drawn_for_one_strategy_and_for_both():
    one = pictures.rewards({"ppo": series(0.1, 0.4, 0.3)})
    both = pictures.rewards({"ppo": series(0.1, 0.4, 0.3), "random": series(0.2)})
    assert one.dtype == np.uint8 and one.shape == both.shape and one.shape[2] == 3
    assert (one != both).any()


def test_another_operation_changes_the_picture_between_its_boxes_alone():
    one, other = (pictures.cell(parse(f"2 3 {operation} 4 0")).astype(int) for operation in (0, 5))
    changed = np.argwhere((one != other).any(-1))
    assert len(changed) and changed[:, 1].max() < one.shape[1] / 2


def test_all_boxes_of_a_cell_have_places_of_their_own():
    cells = [parse(name) for name in CELLS]
    cells += [random_genotype(np.random.default_rng(seed), 1 + seed % 6) for seed in range(30)]
    for genotype in cells:
        places, output = pictures._places(genotype)
        assert set(places) == {*genotype.inputs_read, *range(len(INPUTS), output + 1)}
        apart = [max(abs(a - c), abs(b - d)) for (a, b), (c, d) in itertools.combinations(places.values(), 2)]
        assert min(apart) > 0.5
