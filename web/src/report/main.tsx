// The script of a report: reads the document that stands in the page, and draws it.
import { render } from "preact";
import type { Report } from "../generated/report";
import { ReportView } from "../components/ReportView";
import "../generated/palette.css";
import "../style/base.css";

const data = document.getElementById("report-data");
const root = document.getElementById("report");
if (data && root) {
  render(<ReportView report={JSON.parse(data.textContent) as Report} />, root);
}
