"""Hold a saved benchmark against gates of one's own: what a server in production has to beat.

python examples/judge_a_benchmark.py
"""

from pathlib import Path

import omniplan

REPORT = Path(__file__).with_name("bench_report.json")
GATES = (
    omniplan.Gate(metric=omniplan.Metric.DECODE, go=10.9, source="golden value of the server in production"),
    omniplan.Gate(metric=omniplan.Metric.OF_PLAN, go=0.8, no_go=0.5, source="slower than planned: look for the cause"),
)


def main() -> None:
    report = omniplan.judge(REPORT)
    print(f"{report.model}, by the shipped gates: {report.verdict}")
    judged = omniplan.judge(report, GATES)
    for result in judged.gates:
        measured = "unknown" if result.measured is None else f"{result.measured:.3g}"
        print(f"{result.gate.metric}: {measured}, {result.verdict}")
    print(f"by our own: {judged.verdict}")


if __name__ == "__main__":
    main()
