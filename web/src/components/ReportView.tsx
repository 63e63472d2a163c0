import type { Report } from "../generated/report";

/** Everything a report shows, sheet by sheet. */
export function ReportView({ report }: { report: Report }) {
  return <h1>{report.title}</h1>;
}
