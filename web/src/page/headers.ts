// Reads the beginnings of model files, as many bytes as their headers take: of a file at hand, or of one elsewhere.

/** One file: `slice` brings its bytes from `start` up to `end`, fewer at its end. */
export interface HeaderSource {
  readonly name: string;
  size(): Promise<number>;
  slice(start: number, end: number, signal: AbortSignal): Promise<Uint8Array>;
}

// The first read, which holds most headers without a vocabulary; each further one brings four times as much.
const FIRST = 256 * 1024;
const GROWTH = 4;
// As `omniplan` itself reads of a file elsewhere: 0.8 million words of a vocabulary take some 30 MB.
const MOST = 64 * 1024 * 1024;

/** Calls `take` with growing beginnings of `source` until it wants no more. */
export async function readBeginning(
  source: HeaderSource,
  signal: AbortSignal,
  take: (size: number, beginning: Uint8Array) => Promise<{ more: boolean }>,
): Promise<void> {
  let known = await source.slice(0, FIRST, signal);
  const size = await source.size();
  for (let end = FIRST; (await take(size, known)).more; end *= GROWTH) {
    if (known.length >= size || end >= MOST) throw new Error(`${source.name}: its header is longer than what is read of a file`);
    const next = await source.slice(known.length, Math.min(end * GROWTH, MOST), signal);
    const joined = new Uint8Array(known.length + next.length);
    joined.set(known);
    joined.set(next, known.length);
    known = joined;
  }
}

/** A file that somebody chose or dropped. */
export function fileSource(file: File): HeaderSource {
  return {
    name: file.name,
    size: () => Promise.resolve(file.size),
    slice: async (start, end) => new Uint8Array(await file.slice(start, end).arrayBuffer()),
  };
}

/** A file at an address, read by ranges; a server that knows none is hung up on. */
export function urlSource(url: string): HeaderSource {
  let total = -1;
  return {
    name: url,
    size: () => Promise.resolve(total),
    slice: async (start, end, signal) => {
      const response = await asked(url, { headers: { Range: `bytes=${start}-${end - 1}` } }, signal);
      const found = /^bytes (\d{1,16})-\d{1,16}\/(\d{1,16})$/.exec(response.headers.get("Content-Range") ?? "");
      const said = Number(found?.[2]);
      if (response.status !== 206 || !found || Number(found[1]) !== start || (total >= 0 && said !== total)) {
        await response.body?.cancel();
        throw new Error(`${url}: the server gives no parts of it: download it, and drop it here`);
      }
      total = said;
      return body(response, end - start);
    },
  };
}

/** The text at an address, of at most so many bytes. */
export async function textAt(url: string, most: number, signal: AbortSignal): Promise<string> {
  const response = await asked(url, {}, signal);
  return new TextDecoder().decode(await body(response, most));
}

async function asked(url: string, init: RequestInit, signal: AbortSignal): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(url, { ...init, signal, credentials: "omit", referrerPolicy: "no-referrer", cache: "no-store" });
  } catch (error) {
    if (signal.aborted) throw error;
    throw new Error(`${url}: cannot be reached from a page: no network, or its server lets no page read it`);
  }
  if (response.ok) return response;
  await response.body?.cancel();
  throw new Error(`${url}: ${MEANINGS[response.status] ?? "the server refuses it"} (HTTP ${response.status})`);
}

const MEANINGS: Record<number, string> = {
  401: "the server gives it to nobody without a login: download it, and drop it here",
  403: "the server refuses to give it: download it, and drop it here",
  404: "there is no such file",
  429: "the server has been asked too often: wait some minutes",
};

/** The body of an answer, of which no more than `most` bytes are taken, whatever its server sends. */
async function body(response: Response, most: number): Promise<Uint8Array> {
  const reader = response.body?.getReader();
  const found = new Uint8Array(most);
  let length = 0;
  while (reader && length < most) {
    const { done, value } = await reader.read();
    if (done) break;
    const piece = value.subarray(0, most - length);
    found.set(piece, length);
    length += piece.length;
  }
  await reader?.cancel();
  return found.subarray(0, length);
}
