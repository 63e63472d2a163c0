"""Your own pins: fix what you know, let the rest be planned around it, and see what that costs beside the baselines.

python examples/pins.py
"""

import omniplan
from omniplan import Override

MODEL = "GLM-4.7-Flash-Q8_0"
PINS = (
    (),
    (Override(r"blk\.[0-9]\.", "CUDA0"),),
    (Override(r"blk\.(4[0-6])\.ffn_.*_exps", "CPU"), Override("output", "CPU")),
)


def main() -> None:
    model, machine = omniplan.load_model(MODEL), omniplan.load_machine("single-3090")
    for pins in PINS:
        plan = omniplan.plan(model, machine, n_ctx=16384, pins=pins, max_patterns=4)
        fixed = " ".join(f"{pin.pattern}={pin.buffer_type}" for pin in pins)
        print(f"{fixed or 'no pins'}: {plan.prediction.request_seconds.value:.2f} s, {plan.strategy}")
        for name, baseline in plan.baselines.items():
            note = "" if baseline.fits else ", no headroom"
            print(f"    {name}: {baseline.prediction.request_seconds.value:.2f} s{note}")
        if plan.fit_instead:
            print(f"    or {' '.join(plan.fit_instead.args)}")


if __name__ == "__main__":
    main()
