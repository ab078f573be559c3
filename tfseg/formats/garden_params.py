"""Reads params.yaml, in which Model Garden notes beside its checkpoints how their network was built."""

import dataclasses
import os

import yaml

from tfseg.errors import InputError, shortened
from tfseg.system.files import failure, open_regular

NAME = "params.yaml"
MAX_BYTES = 1 << 20  # such a file has some 20 kB
PLACE = ("task", "model", "norm_activation")


@dataclasses.dataclass(frozen=True)
class NormActivation:
    """What the weights alone do not tell.

    Attributes:
      epsilon: batch normalisation's epsilon; None if it is not noted.
      activation: name of the activation after it; None if it is not noted.
    """

    epsilon: float | None = None
    activation: str | None = None


def read_beside(checkpoint: str) -> NormActivation:
    """Reads what lies in the folder of a checkpoint; without a file nothing is known.

    Args:
      checkpoint: path of the checkpoint (its prefix or index), or of its folder.
    Raises:
      InputError: the file is damaged, or its epsilon is not between 0 and 1.
    """
    path = os.path.join(checkpoint if os.path.isdir(checkpoint) else os.path.dirname(checkpoint), NAME)
    if not os.path.exists(path):
        return NormActivation()
    found = _read(path)
    for key in PLACE:
        found = found.get(key) if isinstance(found, dict) else None
    if not isinstance(found, dict):
        return NormActivation()
    epsilon, activation = found.get("norm_epsilon"), found.get("activation")
    if epsilon is not None:
        epsilon = _checked(epsilon, path)
    return NormActivation(epsilon, None if activation is None else str(activation))


def _checked(epsilon, path):
    try:
        value = float(epsilon)  # YAML takes 1e-5, without a point, for a word
    except (TypeError, ValueError, OverflowError):
        value = 0.0
    if not 0 < value < 1:
        raise InputError(f"{path}: {'.'.join(PLACE)}.norm_epsilon is {shortened(epsilon, 60)}, not between 0 and 1")
    return value


def _read(path):
    try:
        with open_regular(path) as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({failure(error)})") from None
    if len(content) > MAX_BYTES:
        raise InputError(f"{path}: more than {MAX_BYTES >> 20} MB, too much for {NAME}; move it away")
    try:
        return yaml.safe_load(content)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise InputError(f"{path}: damaged YAML ({shortened(error, 100)}); move it away") from None
