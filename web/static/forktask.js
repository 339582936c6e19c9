// The widgets of a page: asks for all of them at once how they stand, shows it, tells screen readers, raises events.
// Needs nothing of the page, neither htmx nor inline script nor eval; gets along with any of them.
"use strict";
(() => {
  const FINAL = ["completed", "failed", "cancelled", "lost"];
  const LONGEST_ADDRESS = 3000; // servers refuse lines of more than 4094 bytes
  const TIMEOUT = 15_000;
  const LONGEST_PAUSE = 30;
  const MOST_SEEN = 1000;
  const HEADERS = { "Forktask-Request": "1" };
  const seen = new Map(); // id of a status → what its widget showed last

  const frameOf = (element) => element.closest(".forktask");
  const partOf = (frame) => frame.querySelector(".forktask-part");
  const isOurs = (response) => response.headers.has("Forktask-State");
  const parse = (html) => document.adoptNode(new DOMParser().parseFromString(html, "text/html").body.firstElementChild);

  const note = (frame, shown) => {
    for (const element of frame.querySelectorAll("[data-forktask-note]")) {
      element.hidden = element.dataset.forktaskNote !== shown;
    }
  };

  const refuse = (frame, text) => {
    const element = frame.querySelector("[data-forktask-refused]");
    if (element) element.textContent = text ?? element.dataset.forktaskRefused;
  };

  // ---- What a widget shows ----

  // As it was sent: the bar itself may still be on its way there.
  const shareOf = (part) => {
    const { forktaskPercent: percent } = part.dataset;
    return percent === undefined ? null : Number(percent);
  };

  const raise = (part, name) => {
    const { forktask: id, forktaskState: state } = part.dataset;
    const detail = { id, state, percent: shareOf(part) };
    part.dispatchEvent(new CustomEvent(`forktask:${name}`, { bubbles: true, detail }));
  };

  // The new bar starts where the old one stood, so that its width can move.
  const glide = (bar, from, to) => {
    if (!bar || from === null || to === null || to <= from) return;
    bar.value = from;
    requestAnimationFrame(() => requestAnimationFrame(() => { bar.value = to; }));
  };

  // What turns goes on turning where the replaced one stood.
  const align = (part) => {
    for (const animation of part.getAnimations?.({ subtree: true }) ?? []) {
      if (animation instanceof CSSAnimation) animation.startTime = 0;
    }
  };

  const follow = (part) => {
    const { forktask: id, forktaskState: state, forktaskSpoken: spoken, forktaskTag: tag } = part.dataset;
    align(part);
    const value = shareOf(part);
    const before = seen.get(id);
    const quarter = Math.floor((value ?? 0) / 25);
    seen.delete(id); // so that it is the newest
    seen.set(id, { state, value, quarter, tag });
    if (seen.size > MOST_SEEN) seen.delete(seen.keys().next().value);
    if (!before || before.tag === tag) return;
    glide(part.querySelector("progress"), before.value, value);
    const live = frameOf(part)?.querySelector(".forktask-spoken");
    if (live && (before.state !== state || before.quarter !== quarter)) live.textContent = spoken;
    if (before.state === "queued" && state === "running") raise(part, "started");
    raise(part, "progress");
    if (before.state !== state && FINAL.includes(state)) raise(part, state);
  };

  // Somebody who is about to press a button finds it where it was: open, and with the focus.
  const keep = (old, part) => {
    for (const open of old.querySelectorAll("details[open][data-forktask-ask]")) {
      const same = part.querySelector(`[data-forktask-ask="${open.dataset.forktaskAsk}"]`);
      if (same) same.open = true;
    }
    if (!old.contains(document.activeElement)) return null;
    return counterpart(old, document.activeElement, part) ?? part;
  };

  // What does the same in the new part, and no other action: the next key press must not do something else.
  const counterpart = (old, element, part) => {
    const { forktaskKey: key } = element.dataset;
    if (key) return part.querySelector(`[data-forktask-key="${key}"]`);
    const others = (root) => [...root.querySelectorAll("button, summary, a[href]")]
      .filter((one) => !one.closest("[data-forktask-action], [data-forktask-ask]"));
    return others(part)[others(old).indexOf(element)];
  };

  const replace = (frame, html) => {
    const old = partOf(frame);
    if (!old) return;
    const part = parse(html);
    const focused = keep(old, part);
    old.replaceWith(part);
    if (focused === part) part.tabIndex = -1;
    focused?.focus({ preventScroll: true });
    window.htmx?.process?.(part); // a template of the application may use it
  };

  const show = (frame, bar) => {
    note(frame, bar?.state === "signed-out" ? "signed-out" : "");
    if (["gone", "signed-out"].includes(bar?.state)) refuse(frame, ""); // it says so itself
    if (bar?.html) replace(frame, bar.html);
    if (bar?.state === "signed-out") frame.dataset.forktaskStopped = "";
    else delete frame.dataset.forktaskStopped;
  };

  // ---- Asking ----

  let timer = 0;
  let due = 0; // when, by performance.now()
  let asking = false;
  let again = false; // asked for while asking
  let failures = 0;

  const waiting = () => [...document.querySelectorAll(".forktask[data-forktask-poll]")]
    .filter((frame) => partOf(frame)?.dataset.forktaskNext !== undefined);

  const plan = (seconds) => {
    clearTimeout(timer);
    due = performance.now() + seconds * 1000;
    timer = setTimeout(ask, seconds * 1000);
  };

  // Frames that one address can name.
  const batches = (frames) => {
    const found = [];
    for (const frame of frames) {
      const { forktaskPoll: poll, forktaskToken: token } = frame.dataset;
      const name = `t=${encodeURIComponent(token)}`;
      const last = found.filter((one) => one.poll === poll).at(-1);
      if (last && last.address.length + name.length < LONGEST_ADDRESS) {
        last.address += `&${name}`;
        last.frames.push(frame);
      } else {
        found.push({ poll, address: `${poll}${poll.includes("?") ? "&" : "?"}${name}`, frames: [frame] });
      }
    }
    return found;
  };

  const request = async (address, options) => {
    const control = new AbortController();
    const limit = setTimeout(() => control.abort(), TIMEOUT);
    try {
      const given = { redirect: "manual", credentials: "same-origin", signal: control.signal, ...options };
      const response = await fetch(address, { ...given, headers: { ...HEADERS, ...options.headers } });
      const body = response.ok && isOurs(response) ? await response.json() : null;
      const isProblem = response.headers.get("Content-Type")?.startsWith("application/problem+json");
      const detail = isProblem ? (await response.json().catch(() => null))?.detail : null;
      return { response, body, detail: typeof detail === "string" ? detail : undefined };
    } finally {
      clearTimeout(limit);
    }
  };

  // Returns the seconds until the next look that the server wants; null: none; throws where the server is away.
  const look = async ({ address, frames }) => {
    const tags = frames.map((frame) => `"${partOf(frame)?.dataset.forktaskTag}"`).join(", ");
    const { response, body } = await request(address, { headers: { "If-None-Match": tags } });
    if (!isOurs(response)) {
      if (response.status >= 500 || response.status === 429) throw new Error(`status ${response.status}`);
      for (const frame of frames) show(frame, { state: "signed-out" });
      return null;
    }
    frames.forEach((frame, position) => { if (frame.isConnected) show(frame, body?.bars[position]); });
    const next = response.headers.get("Forktask-Next");
    return next === null ? null : Number(next);
  };

  const ask = async () => {
    if (asking) { again = true; return; }
    const frames = waiting().filter((frame) => !("forktaskStopped" in frame.dataset));
    if (!frames.length) failures = 0; // what comes next is asked for
    if (document.hidden || !frames.length) return;
    asking = true;
    let next = null;
    try {
      for (const batch of batches(frames)) {
        const seconds = await look(batch);
        if (seconds !== null) next = Math.min(next ?? Infinity, seconds);
      }
      failures = 0;
    } catch {
      failures += 1;
      next = Math.min(LONGEST_PAUSE, 2 ** failures) * (0.75 + Math.random() / 2); // not all at once when it is back
      if (failures > 1) for (const frame of frames) note(frame, "offline");
    } finally {
      asking = false;
    }
    for (const frame of waiting().filter((one) => !frames.includes(one))) { // came in the meantime
      next = Math.min(next ?? Infinity, Number(partOf(frame).dataset.forktaskNext));
    }
    if (again) next = 0;
    again = false;
    if (next !== null) plan(next);
  };

  // Also those that stopped since nobody was signed in: perhaps somebody is now.
  const refresh = () => {
    for (const frame of document.querySelectorAll("[data-forktask-stopped]")) delete frame.dataset.forktaskStopped;
    if (waiting().length) plan(0);
  };

  // ---- Buttons ----

  const send = async (form) => {
    const frame = frameOf(form);
    if ("forktaskSending" in form.dataset) return; // not disabled: that would lose the focus
    form.dataset.forktaskSending = "";
    refuse(frame, "");
    try {
      const options = { method: "POST", body: new URLSearchParams(new FormData(form)) };
      const { response, body, detail } = await request(form.action, options);
      if (body) show(frame, body.bars[0]);
      else if (response.status === 0) note(frame, "signed-out"); // sent to another page
      else refuse(frame, detail);
    } catch {
      note(frame, "offline");
    } finally {
      delete form.dataset.forktaskSending;
      refresh();
    }
  };

  document.addEventListener("submit", (event) => {
    if (!(event.target instanceof Element) || !event.target.matches(".forktask [data-forktask-action]")) return;
    event.preventDefault();
    event.stopPropagation();
    send(event.target);
  }, true);

  // ---- The page ----

  const meet = (root) => {
    const parts = [...(root.querySelectorAll?.(".forktask-part[data-forktask]") ?? [])];
    if (root.matches?.(".forktask-part[data-forktask]")) parts.push(root);
    let soonest = Infinity;
    for (const part of parts) {
      follow(part);
      if (part.dataset.forktaskNext !== undefined) soonest = Math.min(soonest, Number(part.dataset.forktaskNext));
    }
    const isEarlier = performance.now() + soonest * 1000 < due || due <= performance.now();
    if (soonest < Infinity && !asking && !failures && isEarlier) plan(soonest);
  };

  const watch = async (element, url) => {
    const response = await fetch(url, { headers: HEADERS, credentials: "same-origin" });
    const frame = parse(await response.text());
    if (!frame?.matches(".forktask")) throw new Error(`${url} is no address of a status`);
    element.replaceChildren(frame);
    return frame;
  };

  window.forktask = { watch, refresh };
  document.addEventListener("visibilitychange", () => { if (!document.hidden) refresh(); });
  for (const name of ["focus", "online"]) window.addEventListener(name, refresh);
  window.addEventListener("pageshow", (event) => { if (event.persisted) refresh(); });

  const start = () => {
    meet(document.body);
    new MutationObserver((changes) => {
      for (const change of changes) for (const node of change.addedNodes) meet(node);
    }).observe(document.body, { childList: true, subtree: true });
  };
  if (document.body) start();
  else document.addEventListener("DOMContentLoaded", start);
})();
