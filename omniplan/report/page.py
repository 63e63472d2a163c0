"""A report as one HTML file: its document, the script that draws it, and a policy that lets no other run."""

from __future__ import annotations

import hashlib
import json
from base64 import b64encode
from html import escape
from pathlib import Path
from typing import Final

from omniplan.documents.record import plain
from omniplan.documents.whole_file import write_whole
from omniplan.errors import InputError
from omniplan.report.values import Report

# Where `make web` puts what it builds, and where a wheel carries it.
_BUNDLE: Final = Path(__file__).resolve().parent.parent / "web"
_SUFFIX: Final = ".html"
# JSON in a page: what could end a script or begin markup is written as an escape, which JSON reads back.
_ESCAPED: Final = {ord(sign): f"\\u{ord(sign):04x}" for sign in "<>&\u2028\u2029"}
_MARK: Final = '<meta name="generator" content="omniplan '
_PAGE: Final = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="{policy}">
{mark}{version}">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<div id="report"></div>
<noscript>This report is drawn by a script, and scripts are switched off: see what the command prints.</noscript>
<script type="application/json" id="report-data">{data}</script>
<script>{script}</script>
</body>
</html>
"""


def check_report(path: str | Path) -> None:
    """Raise InputError where no report can be written to ``path``, before anything is planned for it."""
    if Path(path).suffix.lower() != _SUFFIX:
        raise InputError(f"expected a file name ending in {_SUFFIX}", field="report", value=path)
    if not Path(path).absolute().parent.is_dir():
        raise InputError("its folder does not exist; create it first", field="report", value=path)
    if Path(path).is_file() and _MARK not in _beginning(path):
        raise InputError("is there already and no report of omniplan; name another file", field="report", value=path)
    _bundle()


def _beginning(path: str | Path) -> str:
    """What of a file says who wrote it; nothing where it cannot be read."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read(len(_PAGE))
    except OSError:
        return ""


def write_report(report: Report, path: str | Path) -> None:
    """Write ``report`` to ``path``; the same report gives the same bytes. Raises InputError or OutputError."""
    check_report(path)
    write_whole(Path(path), report_html(report))


def report_html(report: Report) -> str:
    """One file that needs no other: nothing is loaded, and no text of the report can become markup or a script."""
    style, script = _bundle()
    digest = b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return _PAGE.format(
        policy=f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; img-src data:; "
        "base-uri 'none'; form-action 'none'",
        mark=_MARK,
        version=escape(report.version),
        title=escape(report.title),
        style=style,
        data=json.dumps(plain(report), ensure_ascii=False, separators=(",", ":")).translate(_ESCAPED),
        script=script,
    )


def _bundle() -> tuple[str, str]:
    """Style sheet and script; raises InputError that says how to get them."""
    try:
        style, script = ((_BUNDLE / name).read_text(encoding="utf-8") for name in ("report.css", "report.js"))
    except OSError:
        raise InputError(
            "this omniplan has no script to draw it with; run `make web` in its checkout, or install a released wheel",
            field="report",
        ) from None
    return style, script.replace("</script", "<\\/script")
