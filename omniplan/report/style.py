"""The palette as CSS: a custom property a role, on light, on dark, and on paper."""

from __future__ import annotations

from omniplan.text.palette import palette


def palette_css() -> str:
    """``--hue-NAME`` for every role: light by default and in print, dark where the reader's system asks for it."""
    light = "\n".join(f"  --hue-{name}: {row.light};" for name, row in palette().items())
    dark = "\n".join(f"    --hue-{name}: {row.dark};" for name, row in palette().items())
    return f":root {{\n{light}\n}}\n@media screen and (prefers-color-scheme: dark) {{\n  :root {{\n{dark}\n  }}\n}}\n"
