"""Plan a model on a machine and print the command, what is left, and why.

python examples/plan_a_model.py [MODEL [MACHINE [TOKENS]]]
"""

import shlex
import sys

import omniplan
from omniplan.units import mib


def main() -> None:
    path, machine, n_ctx = [*sys.argv[1:], *DEFAULTS[len(sys.argv) - 1 :]]
    try:
        plan = omniplan.plan(path, omniplan.load_machine(machine), n_ctx=int(n_ctx))
    except omniplan.Infeasible as refusal:
        sys.exit(str(refusal))
    print(shlex.join(["llama-server", "-m", path, *plan.server_args]))
    for margin in plan.margins:
        print(f"{margin.pool}: {mib(margin.used)} used, {mib(margin.left)} beyond the headroom")
    for reason in plan.reasons:
        print(f"{reason.verdict}: {reason.subject}: {reason.statement}")


DEFAULTS = ["GLM-4.7-Flash-Q8_0", "dual-4090-5070ti", "32768"]

if __name__ == "__main__":
    main()
