// The answer: the plan, drawn as a report draws it, or why there is none and what would help.
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
          <Keep answer={answer} />
        </article>
      )}
    </main>
  );
}

/** What is going on, "" while nothing is. */
function progress({ condition, reading, isWaiting, answer, trouble }: Planning): string {
  if (condition.state === "failed" || trouble) return "";
  if (reading) return `Reading the header of ${reading} …`;
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

/** The plan to take away: as a file, and as the line that makes it in a terminal. */
function Keep({ answer }: { answer: Answer }) {
  const save = () => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([answer.plan], { type: "application/json" }));
    link.download = "plan.json";
    link.click();
    URL.revokeObjectURL(link.href);
  };
  return (
    <section class="keep" aria-label="To take away">
      <button type="button" onClick={save}>Save plan.json</button>
      {answer.command && <p>The same in a terminal: <code>{answer.command}</code></p>}
    </section>
  );
}
