// The script of a report: reads the document that stands in the page, and draws it.
import { render } from "preact";
import { ReportView } from "../components/ReportView";
import type { Report } from "../generated/report";
import "../style/index";

const data = document.getElementById("report-data");
const root = document.getElementById("report");
if (data && root) {
  render(<ReportView report={JSON.parse(data.textContent ?? "") as Report} />, root);
}
