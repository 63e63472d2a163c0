// Builds the words of a machine from the tables, for whoever would rather choose than write.
import { useState } from "preact/hooks";
import type { PageTables } from "../generated/page-tables";
import { Select, TextField } from "./fields";

interface Card {
  count: number;
  name: string;
}

const COUNTS = ["1", "2", "3", "4", "5", "6", "7", "8"].map((value) => ({ value, text: `${value} ×` }));

/** As `omniplan` reads machines: "2x RTX 3090 + RTX 4090, Ryzen 9 5950X, 64 GB". */
function words(cards: readonly Card[], cpu: string, memory: string): string {
  const gpus = cards.map(({ count, name }) => (count > 1 ? `${count}x ${name}` : name));
  return [gpus.join(" + "), cpu, memory].filter(Boolean).join(", ");
}

export function MachineBuilder({ tables, onMachine }: { tables: PageTables; onMachine: (machine: string) => void }) {
  const [cards, setCards] = useState<readonly Card[]>([{ count: 1, name: "RTX 4090" }]);
  const [cpu, setCpu] = useState("");
  const [memory, setMemory] = useState("64 GB RAM");
  const known = (name: string) => tables.gpus.some(({ value }) => value === name);
  const change = (at: number, changes: Partial<Card>) =>
    setCards(cards.map((card, index) => (index === at ? { ...card, ...changes } : card)));
  return (
    <details class="builder">
      <summary>Build it from the tables</summary>
      {cards.map((card, at) => (
        <div class="card" key={at}>
          <Select label="Count" value={String(card.count)} choices={COUNTS} onChange={(value) => change(at, { count: Number(value) })} />
          <TextField label="GPU" value={card.name} choices={tables.gpus} onCommit={(name) => known(name) && change(at, { name })} isSearch />
          <button type="button" aria-label={`Remove ${card.name}`} onClick={() => setCards(cards.filter((_, index) => index !== at))}>×</button>
        </div>
      ))}
      <button type="button" onClick={() => setCards([...cards, { count: 1, name: "RTX 3090" }])}>Add a GPU</button>
      <TextField label="Processor" value={cpu} choices={tables.cpus} onCommit={setCpu} isSearch />
      <Select label="RAM" value={memory} choices={tables.memories} onChange={setMemory} />
      <button type="button" class="is-main" onClick={() => onMachine(words(cards, cpu, memory))}>Take this machine</button>
    </details>
  );
}
