// The page between two steps: warns who leaves while the task runs, and goes on at its end.
"use strict";
(() => {
  const step = document.querySelector("[data-forktask-focus]");
  if (!step) return;
  const { forktaskFocus: phase, forktaskStatus: id, forktaskUrl: url, forktaskRefresh: refresh } = step.dataset;
  const { forktaskLeaving: question = "" } = step.dataset;

  const FINAL = ["completed", "failed", "cancelled", "lost"];

  // Browsers ask only who has touched the page before.
  const warn = (event) => {
    event.preventDefault();
    event.returnValue = true;
  };
  // A link or form boosted by htmx changes the page in its place, of which browsers do not ask.
  const askFirst = (event) => {
    const { headers } = event.detail.requestConfig ?? event.detail.ctx.request;
    if (!headers["HX-Boosted"]) return;
    if (confirm(question)) allowLeaving();
    else event.preventDefault();
  };
  const waiting = new AbortController();
  const allowLeaving = () => waiting.abort();
  const over = new AbortController();
  const hear = (target, name, listener) => target.addEventListener(name, listener, { signal: over.signal });

  // The server knows where to; this page is not left in the history.
  const goOn = () => {
    end();
    if (step.isConnected) location.replace(url);
  };

  if (phase === "waiting") {
    addEventListener("beforeunload", warn, { signal: waiting.signal });
    for (const name of ["htmx:beforeRequest", "htmx:before:request"]) { // of htmx 2 and 4
      document.addEventListener(name, askFirst, { signal: waiting.signal });
    }
  }
  if (phase === "finishing") setTimeout(goOn, 1000 * refresh);
  for (const way of step.querySelectorAll("[data-forktask-way]")) way.addEventListener("click", allowLeaving);
  for (const state of FINAL) {
    hear(document, `forktask:${state}`, (event) => {
      if (event.detail.id === id) goOn();
    });
  }
  // Started again: it is a task to wait for, as before.
  if (phase === "ended") hear(document, "forktask:progress", ({ detail }) => {
    if (detail.id === id && !FINAL.includes(detail.state)) goOn();
  });
  // Kept alive in the history: what it shows may be long past.
  hear(window, "pageshow", (event) => {
    if (event.persisted) goOn();
  });

  // The step may go and its document stay (htmx puts another page into it); its status may go and the step stay.
  const watcher = new MutationObserver(() => {
    if (!step.isConnected) end();
    else if (step.querySelector("[data-forktask-state=gone]")) goOn();
  });
  const end = () => {
    waiting.abort();
    over.abort();
    watcher.disconnect();
  };
  watcher.observe(document, { childList: true, subtree: true });

  const leave = step.querySelector("[data-forktask-leave-in]");
  if (leave?.hidden) setTimeout(() => { leave.hidden = false; }, 1000 * leave.dataset.forktaskLeaveIn);
})();
