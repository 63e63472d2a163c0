// The answer: the plan, drawn as a report draws it, or why there is none and what would help.
import { useState } from "preact/hooks";
import type { Answer } from "../generated/answer";
import { SheetView } from "../components/SheetView";
import type { Planning } from "./usePlanner";

export function AnswerView({ planning }: { planning: Planning }) {
  const { answer, trouble, condition } = planning;
  const error = condition.state === "failed" ? condition.text : trouble;
  const sheet = answer?.sheet;
  return (
    <main class="answer" aria-busy={planning.isWaiting && !error} data-answered={planning.answered}>
      <p class="progress" role="status">{progress(planning)}</p>
      {error && <p class="trouble" role="alert">{error}</p>}
      {!error && answer?.problem && <ProblemView problem={answer.problem} planning={planning} />}
      {!error && answer && sheet && (
        <article class="sheet">
          <h1>{answer.title}</h1>
          <SheetView sheet={sheet} />
          <Keep answer={answer} sheet={sheet} report={planning.report} />
        </article>
      )}
    </main>
  );
}

/** What is going on, "" while nothing is. */
function progress({ condition, reading, isWaiting, answer, trouble }: Planning): string {
  if (condition.state === "failed" || trouble) return "";
  if (reading) return `Reading ${reading} …`;
  if (condition.state === "loading") return `${condition.text} …`;
  if (!isWaiting) return "";
  return answer?.sheet && !answer.is_last ? "A quick answer; looking for a better one …" : "Planning …";
}

function ProblemView({ problem, planning }: { problem: NonNullable<Answer["problem"]>; planning: Planning }) {
  return (
    <section class="trouble" role="alert">
      <h1>{problem.does_not_fit ? "It does not fit" : "That cannot be planned"}</h1>
      <p>{problem.text}</p>
      {problem.ways.length > 0 && (
        <>
          <h2>It fits</h2>
          <ul class="ways">
            {problem.ways.map((way) => (
              <li key={way.text}>
                <button type="button" onClick={() => planning.change(way.question)}>{way.text}</button>
              </li>
            ))}
          </ul>
        </>
      )}
      {problem.advice.map((line) => <p key={line}>{line}</p>)}
    </section>
  );
}

function saveAs(name: string, type: string, text: string) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type }));
  link.download = name;
  link.click();
  URL.revokeObjectURL(link.href);
}

type Sheet = NonNullable<Answer["sheet"]>;

/** The plan to take away: as files, and as the line that makes it in a terminal. */
function Keep({ answer, sheet, report }: { answer: Answer; sheet: Sheet; report: Planning["report"] }) {
  const [trouble, setTrouble] = useState("");
  const saveReport = () =>
    report(sheet).then((text) => saveAs("plan.html", "text/html", text), (error: Error) => setTrouble(error.message));
  return (
    <section class="keep" aria-label="To take away">
      <div class="row">
        <button type="button" onClick={() => saveAs("plan.json", "application/json", answer.plan)}>Save plan.json</button>
        <button type="button" disabled={!answer.is_last} onClick={saveReport}>Save as report</button>
        <span role="status">{trouble}</span>
      </div>
      {answer.command && <p>The same in a terminal: <code>{answer.command}</code></p>}
    </section>
  );
}
