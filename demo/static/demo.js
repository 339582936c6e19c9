// Starts a task by script: post, get the address of a status, show its bar.
"use strict";
document.addEventListener("DOMContentLoaded", () => {
  const button = document.querySelector("[data-start]");
  const place = document.querySelector("#by-script");
  const trouble = document.querySelector("#by-script-trouble");
  let starting = false; // the button is not disabled: that would lose the focus
  button?.addEventListener("click", async () => {
    if (starting) return;
    starting = true;
    trouble.textContent = "";
    try {
      const answer = await fetch(button.dataset.start, { method: "POST" });
      if (!answer.ok) throw new Error(`status ${answer.status}`);
      await forktask.watch(place, (await answer.json()).url);
    } catch {
      trouble.textContent = "That could not be started. Please try again.";
    } finally {
      starting = false;
    }
  });
});
