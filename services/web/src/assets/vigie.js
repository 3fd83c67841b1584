// Small conveniences. Every page works without them.
"use strict";
(() => {
  // One key per action: [data-key="k"] is pressed by the key k, unless a field has the focus. Can be switched off (WCAG 2.1.4).
  const stored = () => { try { return localStorage.getItem("vigie-shortcuts") !== "off"; } catch { return true; } };
  let shortcuts = stored();
  const typing = (element) => element instanceof HTMLElement
    && (element.isContentEditable || element.matches("textarea, select, input:not([type=checkbox]):not([type=radio]):not([type=submit]):not([type=button])"));
  document.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && event.target instanceof HTMLInputElement && event.target.closest("form[data-no-enter]")) { event.preventDefault(); return; }
    if (!shortcuts || event.defaultPrevented || event.repeat || event.ctrlKey || event.altKey || event.metaKey || event.isComposing) return;
    if (event.key === "Escape" && typing(event.target)) { event.target.blur(); return; }
    if (typing(event.target)) return;
    const key = event.key.toLowerCase();
    const wanted = Array.from(document.querySelectorAll("[data-key]")).find((element) => element.dataset.key === key && !element.disabled && (element.getClientRects().length > 0 || element.closest("details:not([open])")));
    if (!wanted) return;
    event.preventDefault();
    const folded = wanted.closest("details:not([open])");
    if (folded && wanted.tagName !== "SUMMARY") folded.open = true;
    if (wanted.matches("textarea, select, input:not([type=checkbox])")) { wanted.focus(); return; }
    // A fold that holds a form is opened, never closed, and the focus goes on to its first control.
    const control = wanted.tagName === "SUMMARY" && wanted.parentElement.querySelector("select, textarea, input:not([type=hidden])");
    if (control) { wanted.parentElement.open = true; control.focus(); return; }
    wanted.click();
  });
  const toggle = document.querySelector("[data-shortcuts]");
  if (toggle) {
    const show = () => { toggle.textContent = shortcuts ? toggle.dataset.on : toggle.dataset.off; };
    toggle.hidden = false;
    show();
    toggle.addEventListener("click", () => {
      shortcuts = !shortcuts;
      try { localStorage.setItem("vigie-shortcuts", shortcuts ? "on" : "off"); } catch { /* private window: for this page only */ }
      show();
    });
  }

  // A form is sent once.
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (form.dataset.sent) { event.preventDefault(); return; }
    if (form.method === "post") {
      form.dataset.sent = "yes";
      setTimeout(() => { form.querySelectorAll("button").forEach((button) => { button.disabled = true; }); }, 0);
    }
  });
  window.addEventListener("pageshow", (event) => {
    if (!event.persisted) return;
    document.querySelectorAll("form[data-sent]").forEach((form) => {
      delete form.dataset.sent;
      form.querySelectorAll("button").forEach((button) => { button.disabled = false; });
    });
  });

  // The lease of the comment shown is kept alive while somebody is there.
  const lease = document.querySelector("form[data-heartbeat]");
  if (lease) {
    let active = Date.now();
    for (const name of ["keydown", "pointermove", "pointerdown", "scroll", "focus"]) window.addEventListener(name, () => { active = Date.now(); }, { passive: true, capture: true });
    const lost = () => document.querySelectorAll("[data-heartbeat-lost]").forEach((element) => { element.hidden = false; });
    const every = Number(lease.dataset.heartbeatSeconds) * 1000;
    const timer = setInterval(async () => {
      if (document.hidden || Date.now() - active > 5 * 60 * 1000) return;
      try {
        const answer = await fetch(lease.dataset.heartbeat, { method: "POST", body: new URLSearchParams(new FormData(lease)), redirect: "manual", credentials: "same-origin" });
        if (answer.status === 409 || answer.type === "opaqueredirect") { clearInterval(timer); lost(); }
      } catch { /* no network: the next beat tries again */ }
    }, every);
  }

  // An empty queue says when there is something again.
  const poll = document.querySelector("[data-poll]");
  if (poll) {
    const timer = setInterval(async () => {
      if (document.hidden) return;
      try {
        const answer = await fetch(poll.dataset.poll, { headers: { "x-background": "yes" }, redirect: "manual", credentials: "same-origin" });
        if (!answer.ok) return;
        if ((await answer.json()).waiting > 0) {
          clearInterval(timer);
          poll.hidden = false;
          document.title = `(•) ${document.title}`;
          // Enter goes on; whoever works elsewhere on the page keeps their place.
          if (document.activeElement === document.body || document.activeElement === null) poll.focus();
        }
      } catch { /* the next one tries again */ }
    }, 10000);
  }
})();
