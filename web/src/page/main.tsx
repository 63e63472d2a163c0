// The page: one question, and the answer that omniplan gives in this browser.
import { render } from "preact";
import { Page } from "./Page";
import "../style/index";
import "./page.css";

const root = document.getElementById("page");
if (root) render(<Page />, root);

// Keeps the page for when there is no network; where a browser allows none, it is fetched again.
if ("serviceWorker" in navigator) {
  navigator.serviceWorker.register("./service-worker.js").catch(() => undefined);
}
