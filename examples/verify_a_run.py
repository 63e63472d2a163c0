"""Hold two runs against their predictions, then let the machine learn from the one that served."""

from __future__ import annotations

import tempfile
from pathlib import Path

import omniplan

MODEL = "GLM-4.7-Flash-Q8_0"
LOGS = Path(__file__).with_name("logs")
MACHINE = omniplan.load_machine("dual-4090-5070ti")


def kept(plan: omniplan.Plan) -> str:
    """What a plan keeps for the CUDA context of each GPU, in MiB."""
    return ", ".join(f"{margin.pool} {margin.context >> 20}" for margin in plan.margins if margin.pool != "RAM")


for name in ("glm-served", "glm-ub1024"):
    found = omniplan.verify(LOGS / f"{name}.log", model=MODEL, machine=MACHINE)
    print(f"{name}: {found.verdict}")
    for item in found.findings:
        print(f"  {item.severity}: {item.statement}")

before = omniplan.plan(MODEL, MACHINE, n_ctx=32768)
with tempfile.TemporaryDirectory() as folder:
    file = Path(folder) / "mine.toml"
    file.write_text(omniplan.calibrate([LOGS / "glm-served.log"], machine=MACHINE).to_toml(), encoding="utf-8")
    after = omniplan.plan(MODEL, MACHINE, n_ctx=32768, calibration=file)
print(f"kept for the CUDA context, by policy: {kept(before)}; as learned: {kept(after)}")
