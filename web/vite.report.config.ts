// One script and one style sheet, which `omniplan ... --report` puts into the file it writes.
import { defineConfig } from "vite";

export default defineConfig({
  publicDir: false,
  build: {
    outDir: "../omniplan/web",
    emptyOutDir: false,
    lib: {
      entry: "src/report/main.tsx",
      formats: ["iife"],
      name: "omniplanReport",
      fileName: () => "report.js",
      cssFileName: "report",
    },
  },
  define: { "process.env.NODE_ENV": '"production"' },
});
