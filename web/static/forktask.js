// Follows the widgets of a page: tells screen readers, raises events, and knows our answers from others.
// Works with htmx 2 and 4, and needs nothing of the page: no inline script, no eval.
"use strict";
(() => {
  const LONGEST_PAUSE = 10_000;
  const FINAL = ["completed", "failed", "cancelled", "lost"];
  const seen = new Map(); // id of a status → what its widget showed last
  const tags = new WeakMap(); // frame → ETag of the answer that it shows
  const pauses = new WeakMap(); // frame → {failures, until}: when polls fail, they come less often

  const frameOf = (element) => element.closest(".forktask") ?? element;

  const part = (event) => {
    const source = event.detail.elt ?? event.detail.ctx?.sourceElement ?? event.target;
    return source instanceof Element && source.matches("[data-forktask]") ? source : null;
  };

  const note = (frame, shown) => {
    for (const element of frame.querySelectorAll("[data-forktask-note]")) {
      element.hidden = element.dataset.forktaskNote !== shown;
    }
  };

  const failed = (frame, shown) => {
    const failures = (pauses.get(frame)?.failures ?? 0) + 1;
    pauses.set(frame, { failures, until: performance.now() + Math.min(LONGEST_PAUSE, 1000 * 2 ** failures) });
    if (shown !== "offline" || failures > 1) note(frame, shown);
  };

  const mayAsk = (element) =>
    !document.hidden && performance.now() >= (pauses.get(frameOf(element))?.until ?? 0);

  // Returns whether an answer may replace the element.
  const accept = (element, status, state, etag) => {
    const frame = frameOf(element);
    if (!state) {
      failed(frame, status < 500 ? "signed-out" : "offline");
      return false;
    }
    pauses.delete(frame);
    note(frame, "");
    const unchanged = etag !== null && tags.get(frame) === etag;
    tags.set(frame, etag);
    return !unchanged;
  };

  // As it was sent: the bar itself may still be on its way there.
  const shareOf = (element) => {
    const { forktaskPercent: percent } = element.dataset;
    return percent === undefined ? null : Number(percent);
  };

  const raise = (element, name) => {
    const { forktask: id, forktaskState: state } = element.dataset;
    const percent = shareOf(element);
    element.dispatchEvent(new CustomEvent(`forktask:${name}`, { bubbles: true, detail: { id, state, percent } }));
  };

  // The new bar starts where the old one stood, so that its width can move.
  const glide = (bar, from, to) => {
    if (!bar || from === null || to === null || to <= from) return;
    bar.value = from;
    requestAnimationFrame(() => requestAnimationFrame(() => { bar.value = to; }));
  };

  // What turns goes on turning where the replaced one stood.
  const align = (element) => {
    for (const animation of element.getAnimations?.({ subtree: true }) ?? []) {
      if (animation instanceof CSSAnimation) animation.startTime = 0;
    }
  };

  const speak = (element, text) => {
    const live = frameOf(element).querySelector(".forktask-spoken");
    if (live) live.textContent = text;
  };

  const follow = (element) => {
    const { forktask: id, forktaskState: state, forktaskSpoken: spoken } = element.dataset;
    align(element);
    const value = shareOf(element);
    const before = seen.get(id);
    seen.set(id, { state, value, quarter: Math.floor((value ?? 0) / 25), html: element.innerHTML });
    if (!before || before.html === element.innerHTML) return;
    glide(element.querySelector("progress"), before.value, value);
    if (before.state !== state || before.quarter !== seen.get(id).quarter) speak(element, spoken);
    raise(element, "progress");
    if (before.state !== state && FINAL.includes(state)) raise(element, state);
  };

  const look = (root) => {
    if (root.matches?.("[data-forktask]")) follow(root);
    for (const element of root.querySelectorAll?.("[data-forktask]") ?? []) follow(element);
  };

  const cancelUnless = (allowed) => (event) => {
    const element = part(event);
    if (element && !allowed(element, event.detail)) event.preventDefault();
  };

  const unreachable = (event) => {
    const element = part(event);
    if (element) failed(frameOf(element), "offline");
  };

  document.addEventListener("htmx:beforeRequest", cancelUnless(mayAsk));
  document.addEventListener("htmx:before:request", cancelUnless(mayAsk));
  document.addEventListener("htmx:beforeSwap", (event) => {
    const element = part(event);
    if (!element) return;
    const { xhr } = event.detail;
    event.detail.isError = false;
    event.detail.shouldSwap = accept(
      element, xhr.status, xhr.getResponseHeader("Forktask-State"), xhr.getResponseHeader("ETag"));
  });
  document.addEventListener("htmx:before:response", cancelUnless((element, { ctx: { response } }) =>
    accept(element, response.status, response.headers.get("Forktask-State"), response.headers.get("ETag"))));
  document.addEventListener("htmx:error", unreachable); // htmx 2 raises it beside htmx:sendError and htmx:timeout

  document.addEventListener("visibilitychange", () => {
    if (document.hidden) return;
    for (const element of document.querySelectorAll("[data-forktask][hx-get]")) {
      element.dispatchEvent(new CustomEvent("forktask:refresh"));
    }
  });

  const start = () => {
    look(document.body);
    new MutationObserver((changes) => {
      for (const change of changes) for (const node of change.addedNodes) look(node);
    }).observe(document.body, { childList: true, subtree: true });
  };
  if (document.body) start();
  else document.addEventListener("DOMContentLoaded", start);
})();
