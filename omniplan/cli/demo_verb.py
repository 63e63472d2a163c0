"""The verbs to begin with: a plan of a model and a machine that come with omniplan, and which models those are."""

from __future__ import annotations

import argparse
import json
import shlex
from typing import Final

from omniplan.cli.output import present, show
from omniplan.cli.verbs import Verb, add_json

_DEMO: Final = ("plan", "DeepSeek-R1-Q4_K_M", "--machine", "omni-nps1", "--ctx", "32k")
_NEXT: Final = """
That was DeepSeek-R1, 671B, on GPUs of 96 and 32 GB and 377 GiB of RAM, from the
header that comes with omniplan. Now yours:
  omniplan plan hf:unsloth/GLM-4.7-Flash-GGUF:Q8_0 --machine "RTX 4090, 64 GB"
  omniplan recommend GLM-4.7-Flash-Q8_0   which quant of a model this host runs
  omniplan models                         the headers that come with omniplan
  omniplan help                           everything else
"""


def _declare_demo(_command: argparse.ArgumentParser) -> None:
    """It takes nothing but how much to show."""


def _demo(options: argparse.Namespace) -> int:
    from omniplan.cli.grammar import Top

    top: Top = options.top
    asked = top.parse_args([*_DEMO, "--color", options.color, *["-v"] * options.verbose])
    show(f"This is omniplan {shlex.join(_DEMO)}\n\n")
    code = int(asked.run(asked))
    show(_NEXT)
    return code


def _models(options: argparse.Namespace) -> int:
    from omniplan import api
    from omniplan.documents.record import plain
    from omniplan.gguf.shipped import shipped
    from omniplan.text.inspection import models_screen

    models = {name: api.inspect(name) for name in shipped()}
    if options.json:
        return show(json.dumps([plain(facts) for facts in models.values()], indent=2, ensure_ascii=False))
    return present(models_screen(models), options)


VERBS: Final = (
    Verb(name="demo", help="plan a model that comes with omniplan", declare=_declare_demo, run=_demo),
    Verb(name="models", help="list the headers that come with omniplan", declare=add_json, run=_models),
)
