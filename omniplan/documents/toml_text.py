"""Text as TOML writes it; Python reads TOML but does not write it."""

from __future__ import annotations

import json


def quoted(text: str) -> str:
    """``text`` as a string of TOML on one line."""
    # JSON's escapes are TOML's, but for DEL, which TOML wants escaped as well.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
