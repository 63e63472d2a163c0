"""Price one change at a time: what -ub, -fa, the cache type and -np cost on each device.

python examples/price_arguments.py
"""

import omniplan
from omniplan.units import mib

MODEL = "GLM-4.7-Flash-Q8_0"
BASE = "-c 32768 -np 1 -ngl 99 -ts 34,14 --fit off"
CHANGES = ("", "-ub 2048", "-fa off", "-ctk q8_0 -ctv q8_0", "-np 4", "-ot none=CPU")


def main() -> None:
    model = omniplan.load_model(MODEL)
    machine = omniplan.load_machine("dual-4090-5070ti")
    for change in CHANGES:
        priced = omniplan.footprint(model, machine, f"{BASE} {change}".split())
        sizes = ", ".join(
            f"{name} context {mib(size.context)}, compute {mib(size.compute)}"
            for name, size in priced.buffers.items()
            if name.startswith("CUDA") and size.context
        )
        print(f"{change or 'as it is':20} {sizes}, fits: {priced.fits}")


if __name__ == "__main__":
    main()
