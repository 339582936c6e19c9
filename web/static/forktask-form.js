// Forms with a token: sent again after "back" it is the same order, and another one where htmx sent it and the form stays.
"use strict";
(() => {
  if (window.forktaskForms) return; // once, however many forms
  window.forktaskForms = true;
  const NAME = "forktask_form_token";
  const LEAVING = ["HX-Redirect", "HX-Location", "HX-Refresh"];

  // Also a field that stands elsewhere and names its form. Of several of one name it is a list.
  const fieldOf = (form) => {
    const found = form?.elements?.[NAME];
    return found instanceof RadioNodeList ? found[0] : found;
  };

  // Where a form leads, and which one of those that lead there it is. An attribute: a field may be named `action`.
  const nameOf = (form) => {
    const address = form.getAttribute("action");
    const same = [...document.forms].filter((one) => fieldOf(one) && one.getAttribute("action") === address);
    return `${same.indexOf(form)} ${address}`;
  };

  // By name of the form, what was sent from this entry of the browser's history. A state that is no object is the page's own.
  const isObject = (state) => typeof state === "object" && !Array.isArray(state);
  const sent = () => (isObject(history.state) && history.state?.forktaskForms) || {};
  const keep = (forktaskForms) => {
    if (isObject(history.state)) history.replaceState({ ...history.state, forktaskForms }, "");
  };
  const remember = (field) => keep({ ...sent(), [nameOf(field.form)]: field.value });

  document.addEventListener("submit", ({ target }) => {
    const field = fieldOf(target);
    if (field) remember(field);
  }, true);

  const restore = () => {
    if (performance.getEntriesByType("navigation")[0]?.type !== "back_forward") {
      if (Object.keys(sent()).length) keep(undefined); // a reload: what is sent from here is another order
      return;
    }
    for (const field of document.querySelectorAll(`input[name=${NAME}]`)) {
      if (field.form) field.value = sent()[nameOf(field.form)] ?? field.value;
    }
  };
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", restore);
  else restore();

  // Told by htmx before it follows a header to another page: back from there it is the same order.
  const renew = ({ detail: { elt, xhr, requestConfig, successful, ctx } }) => {
    if (!(successful ?? ctx?.response?.status < 400)) return; // perhaps it never came: sent again it is the same order
    const { form = elt?.form ?? elt?.closest?.("form"), body = requestConfig?.formData } = ctx?.request ?? {};
    const field = fieldOf(elt instanceof HTMLFormElement ? elt : form);
    if (!field || body?.get?.(NAME) !== field.value) return;
    if (/^get$/i.test(requestConfig?.verb ?? ctx?.request.method)) return;
    if (LEAVING.some((name) => (xhr ? xhr.getResponseHeader(name) : ctx.response.headers.get(name)))) return;
    field.value = [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16)).join("-");
    remember(field);
  };
  document.addEventListener("htmx:afterRequest", renew); // htmx 2
  document.addEventListener("htmx:after:request", renew); // htmx 4
})();
