// What the page and the worker that plans for it say to each other.

/** To the worker. `beginning` is of a file of `size` bytes; `listing` what a hub says of a repository. */
export type Request =
  | { kind: "start"; interrupt: SharedArrayBuffer | null }
  | { kind: "ask"; id: number; question: string }
  | { kind: "place"; id: number; text: string; listing: string }
  | { kind: "machine"; id: number; name: string; text: string }
  | { kind: "report"; id: number; sheet: string }
  | { kind: "show"; id: number; place: string; file: string; size: number; beginning: Uint8Array };

/** From the worker: JSON of what `omniplan.page` answers, or how the worker itself fares. */
export type Reply =
  | { kind: "step"; text: string }
  | { kind: "ready" }
  | { kind: "answer"; id: number; text: string }
  | { kind: "done"; id: number }
  | { kind: "reply"; id: number; text: string }
  | { kind: "failed"; id: number; text: string; isFatal: boolean };

/** What Python reads as Ctrl-C in the byte that page and worker share. */
export const INTERRUPT = 2;
