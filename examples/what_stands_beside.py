"""What a server loads beside its model, part by part: MTP heads with 0 to 4 drafts at a time.

python examples/what_stands_beside.py
"""

import omniplan
from omniplan.units import mib

HEADED = "Qwen3.6-27B-MTP-Q4_K_M"


def main() -> None:
    machine = omniplan.load_machine("single-3090")
    for mtp in (0, 1, 2, 3, 4):
        show(f"{mtp} drafts", omniplan.plan(HEADED, machine, n_ctx=16384, mtp=mtp, baselines=False))
    best = omniplan.plan(HEADED, machine, n_ctx=16384, mtp=None, baselines=False)
    show(f"as many as pay: {best.settings.mtp}", best)


def show(what: str, plan: omniplan.Plan) -> None:
    """One line: speed, and bytes of every part on the GPU."""
    parts = ", ".join(f"{kind} {mib(sizes['CUDA0'].total)}" for kind, sizes in plan.footprint.contexts.items())
    print(f"{what:18} {plan.prediction.decode_tokens_per_second.value:5.1f} tokens/s, {parts}")


if __name__ == "__main__":
    main()
