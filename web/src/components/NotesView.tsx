import type { Assumption, Notice, Reason } from "../generated/report";

/** Why it is so: what was chosen, what was not, and on what that rests. */
export function ReasonsView({ reasons }: { reasons: readonly Reason[] }) {
  return (
    <ul class="notes">
      {reasons.map((reason, at) => (
        <li key={at} data-verdict={reason.verdict}>
          <h3>{reason.verdict === "rejected" ? `Not ${reason.subject}` : reason.subject}</h3>: {reason.statement}
          <span class="source">{reason.source}</span>
        </li>
      ))}
    </ul>
  );
}

/** What was taken for true. */
export function AssumptionsView({ assumptions }: { assumptions: readonly Assumption[] }) {
  return (
    <ul class="notes">
      {assumptions.map((item, at) => (
        <li key={at}>
          <h3>{item.subject}</h3>: {item.statement}
          <span class="source">{item.source}</span>
        </li>
      ))}
    </ul>
  );
}

/** What to know, and what to do about it. */
export function NoticesView({ notices }: { notices: readonly Notice[] }) {
  return (
    <ul class="notes">
      {notices.map((item, at) => (
        <li key={at} data-state={item.state}>
          <h3>{item.subject}</h3>: {item.statement}
          {item.advice && <> {item.advice}</>}
          <span class="source">{item.source}</span>
        </li>
      ))}
    </ul>
  );
}

/** Pairs of words. */
export function FactsView({ facts }: { facts: readonly (readonly [string, string])[] }) {
  return (
    <dl class="facts">
      {facts.map(([name, text]) => (
        <>
          <dt key={name}>{name}</dt>
          <dd>{text}</dd>
        </>
      ))}
    </dl>
  );
}
