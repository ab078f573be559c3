"""Memory is what the process holds, and its peak."""

import numpy as np

from tfseg.system import resident_memory


def test_memory_is_what_the_process_holds():
    before = resident_memory.held_bytes()
    kept = np.ones([200, 1000, 1000], np.uint8)
    assert 150e6 < resident_memory.held_bytes() - before < 250e6
    del kept


def test_growth_is_the_peak_during_a_call():
    assert 250e6 < resident_memory.growth_in(lambda: np.ones([300, 1000, 1000], np.uint8).sum()) < 350e6
    assert resident_memory.growth_in(lambda: None) < 50e6
