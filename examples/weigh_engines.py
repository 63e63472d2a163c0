"""Other engines for one machine: what the facts of a day say, and what one more fact would change.

python examples/weigh_engines.py
"""

from dataclasses import replace

import omniplan

MODEL = "DeepSeek-R1-Q4_K_M"


def main() -> None:
    machine = omniplan.load_machine("omni-nps1")
    assert machine.cpu is not None
    amx = replace(machine, cpu=replace(machine.cpu, features=(*machine.cpu.features, "amx_int8")))
    site = ["omni", "weights=gguf,bf16"]
    for name, host in (("as it is", machine), ("with AMX", amx)):
        weighing = omniplan.weigh_engines(MODEL, host, site=site, as_of="2026-01-22", n_ctx=8192)
        for item in weighing.engines:
            first = next((finding.statement for finding in item.best.findings), "")
            print(f"{name}: {item.title}: {item.verdict} ({item.best.name}) {first[:60]}")


if __name__ == "__main__":
    main()
