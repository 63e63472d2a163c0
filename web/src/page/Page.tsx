// One screen: the question on the left, or above, and the answer beside it.
import { useState } from "preact/hooks";
import type { PageTables } from "../generated/page-tables";
import given from "../generated/tables.json";
import { AnswerView } from "./AnswerView";
import { QuestionForm } from "./QuestionForm";
import { usePlanner } from "./usePlanner";

declare const PYODIDE: string;

const tables: PageTables = given;

export function Page() {
  const planning = usePlanner(tables);
  const [isOver, setIsOver] = useState(false);

  function drop(event: DragEvent) {
    event.preventDefault();
    setIsOver(false);
    planning.take([...(event.dataTransfer?.files ?? [])]);
  }

  function over(event: DragEvent) {
    event.preventDefault();
    setIsOver(event.type === "dragover");
  }

  return (
    <div class={isOver ? "page is-over" : "page"} onDragOver={over} onDragLeave={over} onDrop={drop}>
      <header class="masthead">
        <a class="name" href="./">omniplan</a>
        <p>Where a GGUF model’s layers go on your machine, in llama.cpp’s own bytes. Nothing leaves your browser.</p>
      </header>
      <QuestionForm tables={tables} planning={planning} />
      <AnswerView planning={planning} />
      <footer class="colophon">
        omniplan {tables.version} · bytes of llama.cpp {tables.build}, unless you ask for another · Python by Pyodide{" "}
        {PYODIDE}
      </footer>
    </div>
  );
}
