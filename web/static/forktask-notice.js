// The control "tell me when it is ready": asks for permission when it is pressed, and never before.
"use strict";
(() => {
  const KEY = "forktask-notice";
  const control = "[data-forktask-notice]";
  const possible = "Notification" in window && window.isSecureContext;
  const wanted = () => possible && Notification.permission === "granted" && localStorage.getItem(KEY) === "on";

  const show = () => {
    for (const button of document.querySelectorAll(control)) {
      button.hidden = !possible || Notification.permission === "denied";
      button.setAttribute("aria-pressed", String(wanted()));
    }
  };

  const press = async (event) => {
    if (!event.target.closest?.(control)) return;
    if (wanted()) localStorage.removeItem(KEY);
    else if (await Notification.requestPermission() === "granted") localStorage.setItem(KEY, "on");
    show();
  };

  const tell = (event) => {
    if (!wanted() || (!document.hidden && document.hasFocus())) return; // who looks at the page sees it
    const { forktask: id, forktaskSpoken: body } = event.target.dataset;
    const notice = new Notification(document.title, { body, tag: `forktask-${id}` });
    notice.addEventListener("click", () => { window.focus(); notice.close(); });
  };

  // htmx runs this again with each page that it puts into the same document.
  if (!document.forktaskNotice) {
    document.forktaskNotice = true;
    document.addEventListener("click", press);
    for (const name of ["completed", "failed", "cancelled", "lost"]) document.addEventListener(`forktask:${name}`, tell);
  }

  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", show);
  else show();
})();
