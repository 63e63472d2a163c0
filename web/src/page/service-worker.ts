// Keeps all files of one build of the page, and serves them isolated from other pages, also where a host sets no headers.
/// <reference lib="webworker" />
declare const self: ServiceWorkerGlobalScope;

// Set by the build: every file of the page, and the state of all of them together.
const FILES: readonly string[] = "FILES" as unknown as readonly string[];
const STATE = "STATE";

const ISOLATED = { "Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Embedder-Policy": "require-corp" };
const NAME = `omniplan-${STATE}`;

self.addEventListener("install", (event) => {
  event.waitUntil(keepAll().then(() => self.skipWaiting()));
});

self.addEventListener("activate", (event) => {
  event.waitUntil(dropOthers().then(() => self.clients.claim()));
});

self.addEventListener("fetch", (event) => {
  const { request } = event;
  // Models lie elsewhere, and their headers are not kept.
  if (request.method === "GET" && new URL(request.url).origin === self.location.origin && !request.headers.has("Range")) {
    event.respondWith(answer(request));
  }
});

async function keepAll(): Promise<void> {
  const cache = await caches.open(NAME);
  await Promise.all(FILES.map((file) => keep(cache, file)));
}

/** Kept as it will be served, so that a browser finds what it compiled of a file again. */
async function keep(cache: Cache, file: string): Promise<void> {
  const found = await fetch(file, { cache: "no-cache" });
  if (!found.ok) throw new Error(`${file}: HTTP ${found.status}`);
  const headers = new Headers(found.headers);
  for (const [name, value] of Object.entries(ISOLATED)) headers.set(name, value);
  await cache.put(file, new Response(found.body, { headers }));
}

async function dropOthers(): Promise<void> {
  const others = (await caches.keys()).filter((name) => name.startsWith("omniplan-") && name !== NAME);
  await Promise.all(others.map((name) => caches.delete(name)));
}

async function answer(request: Request): Promise<Response> {
  const cache = await caches.open(NAME);
  const url = new URL(request.url);
  const wanted = url.pathname.endsWith("/") ? "index.html" : url.pathname;
  return (await cache.match(new URL(wanted, url))) ?? fetch(request);
}

export {};
