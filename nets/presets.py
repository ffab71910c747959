"""Every figure of two sources on networks as an experiment, its claim quoted, and what we find: `PRESETS[name].run`, `.claim`, `.holds(rows)`."""

from nets import presets_llc, presets_ngd
from nets.verdict import Panel, Preset, Unclear, Verdict, claims, judge

PRESETS: dict[str, Preset] = {preset.name: preset for preset in (*presets_ngd.PRESETS, *presets_llc.PRESETS)}

__all__ = ["PRESETS", "Panel", "Preset", "Unclear", "Verdict", "claims", "judge"]
