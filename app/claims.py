"""The texts of presets of networks, for listing: read from nets/presets.toml without importing `nets`, which imports torch."""

import functools
import importlib.util
import pathlib
import tomllib


@functools.cache
def claims() -> dict[str, dict[str, str]]:
    """{name: {group, title, cite, claim, note}}."""
    (folder,) = importlib.util.find_spec("nets").submodule_search_locations
    return tomllib.loads((pathlib.Path(folder) / "presets.toml").read_text(encoding="utf-8"))
