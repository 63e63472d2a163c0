"""Place several models on one machine and print who fits with whom, or what would help.

python examples/several_models.py [STACK.toml [MACHINE]]
"""

import sys
from pathlib import Path

import omniplan
from omniplan.units import mib


def main() -> None:
    path, machine = [*sys.argv[1:], *DEFAULTS[len(sys.argv) - 1 :]]
    stack = omniplan.stack(path, omniplan.load_machine(machine))
    for group in stack.groups:
        print(f"{group.name}: {'fits' if group.fits else f'short by {mib(group.shortfall)}'}")
        for speed in group.speeds:
            print(f"  {speed.member}: {speed.idle:.1f} tokens/s alone, {speed.busy:.1f} beside busy neighbours")
        for remedy in group.remedies:
            print(f"  {' and '.join(remedy.changes)}: loses {remedy.loss:.0%}")
    for names in stack.sets:
        print(f"together: {', '.join(names)}")


DEFAULTS = [str(Path(__file__).with_name("stacks") / "four-models.toml"), "omni-nps1"]

if __name__ == "__main__":
    main()
