import { useRef, useState } from "preact/hooks";
import type { CommandText } from "../generated/report";

/** Puts text on the clipboard: by the browser's own way, else by selecting what shows it. */
async function copy(text: string, shown: HTMLElement | null): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    if (!shown) return false;
    getSelection()?.selectAllChildren(shown);
    return document.execCommand("copy");
  }
}

/** A button that copies a line, and says that it has. */
export function CopyButton({ line, shown, children }: { line: string; shown?: HTMLElement | null; children: string }) {
  const [said, say] = useState("");
  const onClick = async () => {
    say((await copy(line, shown ?? null)) ? "Copied" : "Select it and copy");
    setTimeout(() => say(""), 2000);
  };
  return (
    <button type="button" class="button" onClick={onClick}>
      {said || children}
      <span class="unseen" role="status">
        {said}
      </span>
    </button>
  );
}

/** A command under its name, with a button that copies it. */
export function CommandView({ command }: { command: CommandText }) {
  const shown = useRef<HTMLElement>(null);
  return (
    <div class="command">
      <div class="command-head">
        <h3>{command.label}</h3>
        <CopyButton line={command.line} shown={shown.current}>
          Copy
        </CopyButton>
      </div>
      <pre tabIndex={0}>
        <code ref={shown}>{command.line}</code>
      </pre>
      {command.remark && <p class="quiet">{command.remark}</p>}
    </div>
  );
}
