"use strict";
(() => {
  const root = document.documentElement;
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  const remembered = (key, value) => {
    try {
      if (value !== undefined) localStorage.setItem(key, value);
      return localStorage.getItem(key);
    } catch { return null; }
  };

  // Light or dark
  const chosen = remembered("persistence-theme");
  if (chosen === "light" || chosen === "dark") root.dataset.theme = chosen;
  document.getElementById("theme").addEventListener("click", () => {
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
    remembered("persistence-theme", root.dataset.theme);
  });

  // Commands to copy
  const copy = async (text) => {
    try { await navigator.clipboard.writeText(text); return true; } catch { /* a page of a file may not */ }
    const area = document.createElement("textarea");
    area.value = text;
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    return done;
  };
  for (const code of all("[data-copy]")) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = "copy";
    button.addEventListener("click", async () => {
      button.textContent = await copy(code.textContent) ? "copied" : "select it";
      setTimeout(() => { button.textContent = "copy"; }, 1500);
    });
    code.after(button);
  }

  // The filter: s:verdict p:path @event, any other word anywhere in the step; "-" before one takes away
  const tools = document.querySelector(".tools");
  const box = document.getElementById("filter");
  const rows = all(".matrix tr[data-steps]").map((row) => ({ row, ids: row.dataset.steps.split(" ") }));
  const steps = all(".step").map((node) => ({
    node,
    variant: document.querySelector(`.variants [data-step="${CSS.escape(node.id)}"]`),
    verdicts: node.dataset.verdict.split(" "),
    names: [node.dataset.event, node.dataset.step].map((name) => name.toLowerCase()),
    paths: node.dataset.paths.toLowerCase().split(" "),
    get text() { return (this.words ??= node.textContent.toLowerCase()); },
  }));
  const test = (step, token) => {
    if (token.startsWith("s:")) return step.verdicts.some((verdict) => verdict.startsWith(token.slice(2)));
    if (token.startsWith("p:")) return step.paths.some((path) => path.startsWith(token.slice(2)));
    if (token.startsWith("@")) return step.names.some((name) => name.startsWith(token.slice(1)));
    return step.text.includes(token);
  };
  const filter = () => {
    const tokens = box.value.toLowerCase().split(/\s+/).filter((token) => token && token !== "-");
    const wanted = tokens.filter((token) => !token.startsWith("-"));
    const unwanted = tokens.filter((token) => token.startsWith("-")).map((token) => token.slice(1));
    // Verdicts and paths: one of those named; all else: each of it
    const either = (step, kind) => {
      const named = wanted.filter((token) => token.startsWith(kind));
      return !named.length || named.some((token) => test(step, token));
    };
    let shown = 0;
    for (const step of steps) {
      const fits = either(step, "s:") && either(step, "p:") && either(step, "@")
        && wanted.every((token) => /^(s:|p:|@)/.test(token) || test(step, token))
        && !unwanted.some((token) => test(step, token));
      step.node.hidden = !fits;
      if (step.variant) step.variant.hidden = !fits;
      shown += fits;
    }
    const left = new Set(steps.filter((step) => !step.node.hidden).map((step) => step.node.id));
    for (const { row, ids } of rows) row.hidden = !ids.some((id) => left.has(id));
    const paths = wanted.filter((token) => token.startsWith("p:")).map((token) => token.slice(2));
    for (const cell of all(".matrix [data-path]")) {
      cell.hidden = paths.length > 0 && !paths.some((path) => cell.dataset.path.toLowerCase().startsWith(path));
    }
    document.getElementById("shown").textContent = tokens.length ? `${shown} of ${steps.length} steps` : "";
    document.getElementById("none").hidden = shown > 0 || !steps.length;
    for (const chip of all(".chip")) chip.setAttribute("aria-pressed", String(tokens.includes(chip.dataset.token)));
  };
  const set = (value) => { box.value = value; filter(); };
  box.addEventListener("input", () => {
    filter();
    history.replaceState(null, "", box.value ? `#?${encodeURIComponent(box.value)}` : "#");
  });
  document.getElementById("clear").addEventListener("click", () => { set(""); box.focus(); });
  for (const chip of all(".chip")) {
    chip.addEventListener("click", () => {
      const tokens = box.value.split(/\s+/).filter(Boolean);
      const token = chip.dataset.token;
      set((tokens.includes(token) ? tokens.filter((other) => other !== token) : [...tokens, token]).join(" "));
      history.replaceState(null, "", box.value ? `#?${encodeURIComponent(box.value)}` : "#");
    });
  }
  addEventListener("keydown", (event) => {
    if (event.key === "/" && !/^(input|textarea)$/i.test(event.target.tagName)) { event.preventDefault(); box.focus(); }
    if (event.key === "Escape" && event.target === box) set("");
  });

  // Links to a step open it, whatever the filter hides
  const follow = () => {
    const hash = location.hash.slice(1);
    if (hash.startsWith("?")) {
      try { set(decodeURIComponent(hash.slice(1))); } catch { set(""); }
      return;
    }
    const target = hash && document.getElementById(hash);
    if (!target) return;
    const step = target.closest(".step");
    if (step && step.hidden) set("");
    if (step) step.querySelector("details").open = true;
    target.scrollIntoView();
  };
  addEventListener("hashchange", follow);
  for (const link of all(".matrix a, .claims a")) link.addEventListener("click", () => requestAnimationFrame(follow));
  for (const anchor of all(".anchor")) anchor.addEventListener("click", (event) => event.stopPropagation());

  // On paper everything is open
  let opened = [];
  addEventListener("beforeprint", () => { opened = all("details:not([open])"); opened.forEach((d) => { d.open = true; }); });
  addEventListener("afterprint", () => { opened.forEach((d) => { d.open = false; }); });

  tools.hidden = false;
  filter();
  follow();
})();
