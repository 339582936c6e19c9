// The page between two steps: warns who leaves while the task runs, and goes on at its end.
"use strict";
(() => {
  const step = document.querySelector("[data-forktask-focus]");
  if (!step) return;
  const { forktaskFocus: phase, forktaskStatus: id, forktaskUrl: url, forktaskRefresh: refresh } = step.dataset;

  const FINAL = ["completed", "failed", "cancelled", "lost"];

  // Browsers ask only who has touched the page before.
  const warn = (event) => {
    event.preventDefault();
    event.returnValue = true;
  };
  const allowLeaving = () => removeEventListener("beforeunload", warn);
  const over = new AbortController();
  const hear = (target, name, listener) => target.addEventListener(name, listener, { signal: over.signal });

  // The server knows where to; this page is not left in the history.
  const goOn = () => {
    end();
    if (step.isConnected) location.replace(url);
  };

  if (phase === "waiting") hear(window, "beforeunload", warn);
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
    over.abort();
    watcher.disconnect();
  };
  watcher.observe(document, { childList: true, subtree: true });

  const leave = step.querySelector("[data-forktask-leave-in]");
  if (leave?.hidden) setTimeout(() => { leave.hidden = false; }, 1000 * leave.dataset.forktaskLeaveIn);
})();
