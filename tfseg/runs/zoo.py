"""The trained models that come with tfseg, by name: zoo:NAME."""

from pathlib import Path

from tfseg.errors import InputError, listed, shortened

ZOO = Path(__file__).resolve().parents[2] / "model_zoo"
PREFIX = "zoo:"


def resolved(path) -> Path:
    """Returns the folder that zoo:NAME means, and any other path as it is.

    Raises:
      InputError: the zoo has no model of this name; the message lists those that it has.
    """
    text = str(path)
    if not text.startswith(PREFIX):
        return Path(path)
    name = text.removeprefix(PREFIX)
    if name not in (names := trained_models()):
        raise InputError(f"{shortened(text, 80)}: the zoo has no such model; it has {listed(names)}")
    return ZOO / name


def trained_models() -> list[str]:
    """Names of the trained models."""
    return sorted(config.parent.name for config in ZOO.glob("*/config.json"))
