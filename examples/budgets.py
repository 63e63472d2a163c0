"""Sweep over VRAM budgets: what a model needs of one GPU before everything fits, and what it does below that.

python examples/budgets.py
"""

import omniplan

MODEL = "GLM-4.7-Flash-Q8_0"
BUDGETS_GIB = (4, 8, 12, 16, 20, 24, 28, 32, 36)


def machine(gib: int) -> omniplan.Machine:
    gpu = {"name": "CUDA0", "total_mib": gib * 1024, "compute_capability": "8.9", "bandwidth_gbs": 1000}
    return omniplan.Machine.from_dict({"name": f"{gib} GiB", "gpus": [gpu], "memory": {"total_mib": 65536}})


def main() -> None:
    model = omniplan.load_model(MODEL)
    for gib in BUDGETS_GIB:
        try:
            plan = omniplan.plan(model, machine(gib), n_ctx=16384, cache_types=("q8_0",), baselines=False)
        except omniplan.Infeasible as refusal:
            print(f"{gib:3} GiB: {refusal.summary}")
            continue
        on_gpu = plan.footprint.buffers["CUDA0"].model / sum(size.model for size in plan.footprint.buffers.values())
        print(f"{gib:3} GiB: {plan.strategy}, {on_gpu:.0%} of the weights on the GPU")


if __name__ == "__main__":
    main()
