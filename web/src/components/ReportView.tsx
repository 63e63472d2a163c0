import { useEffect } from "preact/hooks";
import type { Report } from "../generated/report";
import { SheetView } from "./SheetView";

/** Paper shows everything: what is folded opens before printing, and closes after it. */
function useUnfolded() {
  useEffect(() => {
    let opened: HTMLDetailsElement[] = [];
    const open = () => {
      opened = [...document.querySelectorAll<HTMLDetailsElement>("details:not([open])")];
      for (const each of opened) each.open = true;
    };
    const close = () => {
      for (const each of opened) each.open = false;
    };
    addEventListener("beforeprint", open);
    addEventListener("afterprint", close);
    return () => {
      removeEventListener("beforeprint", open);
      removeEventListener("afterprint", close);
    };
  }, []);
}

/** Everything a report shows, sheet by sheet; the first is what was asked for. */
export function ReportView({ report }: { report: Report }) {
  useUnfolded();
  return (
    <main>
      {report.sheets.map((sheet, at) => (
        <article class="sheet" key={sheet.title}>
          <header>
            {at === 0 && <p class="kicker">omniplan {report.verb}</p>}
            {at === 0 ? <h1>{sheet.title}</h1> : <h2 class="title">{sheet.title}</h2>}
          </header>
          <SheetView sheet={sheet} />
        </article>
      ))}
    </main>
  );
}
