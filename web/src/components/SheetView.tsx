import type { ComponentChildren } from "preact";
import type { Sheet } from "../generated/report";
import { CheckedView } from "./CheckedView";
import { CommandView } from "./CommandView";
import { FiguresView } from "./FiguresView";
import { LayerMapView } from "./LayerMapView";
import { MemoryView } from "./MemoryView";
import { AssumptionsView, FactsView, NoticesView, ReasonsView } from "./NotesView";
import { RivalsView } from "./RivalsView";
import { TimesView } from "./TimesView";
import { TradeoffsView } from "./TradeoffsView";

interface SectionProps {
  title: string;
  remark?: string;
  children: ComponentChildren;
}

function Section({ title, remark, children }: SectionProps) {
  return (
    <section class="section">
      <h2>{title}</h2>
      {remark && <p class="quiet">{remark}</p>}
      {children}
    </section>
  );
}

/** One sheet, from the answer to what it rests on. */
export function SheetView({ sheet }: { sheet: Sheet }) {
  // A grid of plans is moved over first, and then listed; one plan is compared first.
  const isGrid = sheet.tradeoffs !== null && sheet.memory.length === 0;
  const rivals = sheet.rivals && (
    <Section title={sheet.rivals.title} remark={sheet.rivals.remark}>
      <RivalsView table={sheet.rivals} />
    </Section>
  );
  return (
    <>
      <p class="verdict" data-state={sheet.verdict.state}>
        {sheet.verdict.text}
      </p>
      {sheet.figures.length > 0 && <FiguresView figures={sheet.figures} />}
      {sheet.notices.length > 0 && (
        <Section title="To know">
          <NoticesView notices={sheet.notices} />
        </Section>
      )}
      {sheet.checked.map((table) => (
        <Section title={table.title} key={table.title}>
          <CheckedView table={table} />
        </Section>
      ))}
      {sheet.commands.length > 0 && (
        <Section title="How to run it">
          {sheet.commands.map((command) => (
            <CommandView key={command.label} command={command} />
          ))}
        </Section>
      )}
      {sheet.memory.length > 0 && (
        <Section title="What the machine holds">
          <MemoryView groups={sheet.memory} />
        </Section>
      )}
      {sheet.layers && (
        <Section title="Where the layers lie" remark={sheet.layers.remark}>
          <LayerMapView map={sheet.layers} />
        </Section>
      )}
      {sheet.times.length > 0 && (
        <Section title="Where the time goes">
          <TimesView times={sheet.times} />
        </Section>
      )}
      {!isGrid && rivals}
      {sheet.tradeoffs && (
        <Section title={sheet.tradeoffs.title} remark={sheet.tradeoffs.remark}>
          <TradeoffsView tradeoffs={sheet.tradeoffs} />
        </Section>
      )}
      {isGrid && rivals}
      {sheet.reasons.length > 0 && (
        <Section title="Why">
          <ReasonsView reasons={sheet.reasons} />
        </Section>
      )}
      {sheet.assumptions.length > 0 && (
        <Section title="What was assumed">
          <AssumptionsView assumptions={sheet.assumptions} />
        </Section>
      )}
      {sheet.facts.length > 0 && (
        <Section title="Model, machine, versions">
          <FactsView facts={sheet.facts} />
        </Section>
      )}
    </>
  );
}
