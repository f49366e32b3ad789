// Small behaviours on top of pages that work without them: partial updates, copying, menus that close.

import htmx from "htmx.org";

// The pages' Content-Security-Policy allows no inline style and no eval; pages hold people's data, so none is kept in
// the browser's storage.
htmx.config.includeIndicatorStyles = false;
htmx.config.allowEval = false;
htmx.config.allowScriptTags = false;
htmx.config.selfRequestsOnly = true;
htmx.config.historyCacheSize = 0;
htmx.config.refreshOnHistoryMiss = true;
htmx.config.scrollBehavior = "auto";

const byId = (id) => document.getElementById(id);

function ready(root) {
  for (const button of root.querySelectorAll("[data-copy]")) {
    button.hidden = !navigator.clipboard;
  }
  for (const part of root.querySelectorAll("[data-fills]")) {
    part.hidden = false;
  }
  // Phrases that can be put into a rule are plain text to whoever runs no scripts.
  for (const phrase of root.querySelectorAll("code[data-insert]")) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "insert";
    button.dataset.insert = phrase.dataset.insert || phrase.textContent;
    button.textContent = phrase.textContent;
    phrase.replaceWith(button);
  }
}

/** Puts a file's text into the field that it fills. */
async function fill(input) {
  const [file] = input.files;
  if (file) byId(input.closest("[data-fills]").dataset.fills).value = await file.text();
}

/** Puts a phrase where the cursor is in the rule, joined to what stands before it. */
function insert(phrase) {
  const rule = byId("says");
  // A definition is one phrase: another one takes its place.
  if ("whole" in rule.dataset) rule.value = "";
  const before = rule.value.slice(0, rule.selectionStart).trimEnd();
  const joined = before === "" || /(\(|,|\b(and|or|not))$/i.test(before);
  const space = before === "" || before.endsWith("(") ? "" : " ";
  rule.setRangeText(`${joined ? space : "\nand "}${phrase}`, before.length, rule.selectionEnd, "end");
  rule.focus();
  rule.dispatchEvent(new Event("input", { bubbles: true }));
}

async function copy(button) {
  const label = button.textContent;
  try {
    await navigator.clipboard.writeText(byId(button.dataset.copy).textContent);
    button.textContent = "Copied";
  } catch {
    button.textContent = "Select and copy by hand";
  }
  setTimeout(() => (button.textContent = label), 1600);
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-copy]");
  if (button) copy(button);
  const phrase = event.target.closest("button[data-insert]");
  if (phrase) insert(phrase.dataset.insert);
  for (const drop of document.querySelectorAll("details.drop[open]")) {
    if (!drop.contains(event.target)) drop.open = false;
  }
});

document.addEventListener("change", (event) => {
  if (event.target.matches("[data-fills] input")) fill(event.target);
});

document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  for (const drop of document.querySelectorAll("details.drop[open]")) {
    drop.open = false;
    drop.querySelector("summary").focus();
  }
});

// A link to something folded away opens it.
function unfold() {
  const target = location.hash.length > 1 && byId(location.hash.slice(1));
  if (target instanceof HTMLDetailsElement) target.open = true;
}
addEventListener("hashchange", unfold);

// Polls stand still while nobody looks and while the live list is paused.
let paused = false;
document.addEventListener("htmx:beforeRequest", (event) => {
  const polls = event.target.matches("#live-poll, #tag-state, #sweep, #import-progress");
  if (polls && (document.hidden || (paused && event.target.id === "live-poll"))) event.preventDefault();
});

// The state of the tag is spoken and shown anew only when it has changed.
document.addEventListener("htmx:beforeSwap", (event) => {
  if (event.target.id !== "tag-state") return;
  const text = (html) => html.replace(/\s+/g, " ").trim();
  const fresh = new DOMParser().parseFromString(event.detail.serverResponse, "text/html").body.textContent;
  if (text(fresh) === text(event.target.textContent)) event.detail.shouldSwap = false;
  // Empty charts give way to full ones as soon as there is something to show.
  else if (document.querySelector("[data-waiting]")) location.reload();
});

document.addEventListener("htmx:afterSettle", () => {
  // Everybody has been asked: what the page says is out of date.
  if (document.querySelector("[data-reload]")) location.reload();
  const table = document.querySelector("[data-keep]");
  const rows = table?.tBodies[0].rows ?? [];
  for (let last = rows.length - 1; last >= Number(table?.dataset.keep); last--) rows[last].remove();
  if (rows.length > 0) document.querySelector(".hint")?.remove();
});

document.addEventListener("htmx:load", (event) => ready(event.target));

function start() {
  ready(document);
  unfold();
  const pause = byId("live-pause");
  if (pause) {
    pause.hidden = false;
    pause.addEventListener("click", () => {
      paused = !paused;
      pause.setAttribute("aria-pressed", String(paused));
      pause.textContent = paused ? "Go on" : "Pause";
    });
  }
  const zone = document.querySelector("[data-own-zone]");
  if (zone && !zone.value) zone.value = Intl.DateTimeFormat().resolvedOptions().timeZone ?? "";
}

if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
else start();
