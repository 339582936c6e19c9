// The corner that shows what runs anywhere: looks quietly, seldom when nothing runs, never in a hidden tab.
"use strict";
(() => {
  const corner = document.querySelector("[data-forktask-global]");
  if (!corner || corner.forktaskLooks) return; // htmx may run this again
  corner.forktaskLooks = true;
  const LONGEST_PAUSE = 300;
  const LONGEST_OUTAGE = 30; // of what somebody waits for
  const TIMEOUT = 15_000;
  const TOLD = "forktask-told"; // those of whose end this browser was told: in one tab, once
  const SHOWN = "forktask-shown"; // what this tab showed last: it may end while the person goes to another page
  const STAYS = 8_000;
  const url = corner.dataset.forktaskGlobal;
  const folded = {}; // what the person folded or unfolded
  const leaving = new AbortController();
  let pause = 0;
  let timer = 0;
  let failures = 0;
  let asking = false;
  let refused = false; // something else answers, a login page perhaps
  let ended = false; // what is shown has ended, and the person was told
  let tag = null;

  const part = () => corner.querySelector(".forktask-global-part");
  const shown = () => part().dataset.forktaskShown;
  const running = () => Number(part().dataset.forktaskRunning);

  const remembered = (name, value) => {
    try {
      const storage = name === SHOWN ? sessionStorage : localStorage;
      if (value !== undefined) storage.setItem(name, value);
      return storage.getItem(name);
    } catch {
      return null; // the person keeps nothing here
    }
  };

  const tokens = (text) => (text ?? "").split(",").filter(Boolean);
  let watched = [...new Set([...tokens(shown()), ...tokens(remembered(SHOWN))])].join();

  const watch = (text) => {
    watched = text;
    remembered(SHOWN, text);
  };

  const say = (text) => { corner.querySelector("[role=status]").textContent = text; };

  const clear = () => {
    const now = part();
    now.replaceChildren();
    now.dataset.forktaskRunning = 0;
    watch("");
    tag = null;
  };

  const fold = (fresh) => {
    for (const element of fresh.querySelectorAll("[data-forktask-fold]")) {
      const { forktaskFold: name } = element.dataset;
      if (name in folded) element.open = folded[name];
      let known = element.open;
      element.addEventListener("toggle", () => {
        if (element.open === known) return; // browsers tell, too, that it began open
        known = element.open;
        folded[name] = known;
        if (name === "panel") remembered("forktask-panel", element.open ? "open" : "closed");
      });
    }
  };

  const replace = (fresh) => {
    const before = running();
    const wasWatching = watched !== "" && !ended;
    const { forktaskKey: key } = document.activeElement?.dataset ?? {};
    const had = key !== undefined && corner.contains(document.activeElement);
    fold(fresh);
    part().replaceWith(fresh);
    if (had) corner.querySelector(`[data-forktask-key="${CSS.escape(key)}"]`)?.focus();
    const { forktaskSpoken: words } = fresh.dataset;
    if (running() > before) say(words);
    ended = !running();
    watch(shown());
    if (!wasWatching || !ended) return;
    remembered(SHOWN, "");
    const told = tokens(remembered(TOLD));
    if (tokens(shown()).every((token) => told.includes(token))) return clear();
    remembered(TOLD, shown());
    say(words);
    corner.dispatchEvent(new CustomEvent("forktask:all-done", { bubbles: true }));
    // What went wrong stays until the person closes it.
    if (!Number(fresh.dataset.forktaskTroubles)) setTimeout(() => fresh.isConnected && !running() && clear(), STAYS);
  };

  // Another page stands in the same document, with a corner of its own.
  const isOver = () => {
    if (!corner.isConnected) leaving.abort();
    return leaving.signal.aborted;
  };

  const next = () => {
    clearTimeout(timer);
    if (document.hidden || refused || isOver()) return;
    const interval = Number(part().dataset.forktaskInterval);
    const longest = failures && running() ? LONGEST_OUTAGE : LONGEST_PAUSE;
    pause = running() && !failures ? interval : Math.min(longest, pause * 2 || interval);
    // Not all at once when the server is back.
    timer = setTimeout(look, 1000 * pause * (failures ? 0.75 + Math.random() / 2 : 1));
  };

  // Throws where the server is away.
  const request = async () => {
    const control = new AbortController();
    const limit = setTimeout(() => control.abort(), TIMEOUT);
    try {
      const query = watched ? `${url.includes("?") ? "&" : "?"}shown=${encodeURIComponent(watched)}` : "";
      const given = { redirect: "manual", credentials: "same-origin", signal: control.signal };
      const answer = await fetch(url + query, { ...given, headers: { "HX-Request": "true" } });
      if (answer.status >= 500 || answer.status === 429) throw new Error(`status ${answer.status}`);
      const isOurs = answer.ok && answer.headers.has("Forktask-State");
      return { isOurs, fresh: answer.headers.get("ETag"), html: isOurs ? await answer.text() : "" };
    } finally {
      clearTimeout(limit);
    }
  };

  const look = async () => {
    if (asking || document.hidden || isOver()) return;
    asking = true;
    try {
      const { isOurs, fresh, html } = await request();
      failures = 0;
      refused = !isOurs;
      if (isOver()) return;
      if (refused) {
        clear(); // it may be nobody's business any more
      } else if (fresh !== tag) {
        replace(new DOMParser().parseFromString(html, "text/html").querySelector(".forktask-global-part"));
        tag = fresh;
      }
    } catch {
      failures += 1;
    } finally {
      asking = false;
    }
    next();
  };

  const soon = (delay) => {
    pause = 0;
    clearTimeout(timer);
    if (!isOver()) timer = setTimeout(look, delay);
  };

  const hear = (target, name, listener) => target.addEventListener(name, listener, { signal: leaving.signal });
  hear(corner, "click", (event) => { if (event.target.closest("[data-forktask-close]")) clear(); });
  hear(document, "visibilitychange", () => (document.hidden ? clearTimeout(timer) : soon(0)));
  for (const name of ["started", "completed", "failed", "cancelled", "lost"]) {
    hear(document, `forktask:${name}`, () => soon(300));
  }
  for (const name of ["focus", "online"]) hear(window, name, () => { if (refused || failures) soon(0); });
  hear(window, "pageshow", (event) => { if (event.persisted) soon(0); });
  const kept = remembered("forktask-panel");
  if (kept ? kept === "closed" : matchMedia("(max-width: 26rem), (max-height: 26rem)").matches) folded.panel = false;
  fold(part());
  watch(watched);
  if (watched && !running()) soon(0);
  else next();
})();
