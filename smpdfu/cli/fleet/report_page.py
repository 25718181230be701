"""The style and the script of a fleet's report: what is the same in every page.

The script only sorts and filters the rows that are there; without it, the page is the same, failures first. What it
does is in the address of the page, so that it can be sent: ``#q=roof&state=failed&sort=-time``.
"""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256

# Outcomes and states, worst first. The colours differ also for people who do not see red and green.
COLOURS = {
    "failed": "#7a1f1f",
    "reverted": "#c1440e",
    "refused": "#8a4fa3",
    "incomplete": "#d98b00",
    "unreachable": "#6b6f76",
    "unproven": "#b59a00",
    "running": "#2f6fb0",
    "waiting": "#b4bcc4",
    "done": "#1b7f4d",
    "current": "#69a98a",
}
STEP_COLOURS = {"upload": "#2f6fb0", "test": "#b59a00", "keep": "#b59a00", "reset": "#8a4fa3", "check": "#1b7f4d"}

STYLE = """
:root { color-scheme: light dark; --line: #8886; --soft: #8882; }
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 84rem; padding: 0 1rem; }
h1 { font-size: 1.5rem; margin: 0; } h2 { font-size: 1.1rem; margin: 2rem 0 .5rem; }
p.lead { margin: .2rem 0 1rem; opacity: .8; } code { background: var(--soft); padding: .1rem .35rem; }
.bar { display: flex; height: 1.4rem; border-radius: .3rem; overflow: hidden; }
.legend, #filter { display: flex; flex-wrap: wrap; gap: .3rem 1.2rem; margin: .5rem 0; align-items: center; }
#filter[hidden] { display: none; } input, select { font: inherit; padding: .1rem .3rem; }
.dot { display: inline-block; width: .7rem; height: .7rem; border-radius: 50%; margin-right: .4rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: .25rem .6rem; border-bottom: 1px solid var(--line); vertical-align: top; }
table.few { width: auto; } th { font-weight: 600; white-space: nowrap; }
th[data-sort] { cursor: pointer; } th[aria-sort=ascending]::after { content: " \\25B2"; }
th[aria-sort=descending]::after { content: " \\25BC"; }
td.n { text-align: right; white-space: nowrap; } td.v { white-space: nowrap; }
td.t, th.t { min-width: 13rem; } td.o { min-width: 14rem; } small { opacity: .8; }
svg { display: block; width: 100%; height: 1rem; background: var(--soft); background-image:
  linear-gradient(to right, var(--line) 1px, transparent 1px); }
.axis { position: relative; height: 1.3rem; font-weight: 400; }
.axis span { position: absolute; white-space: nowrap; } .axis span.last { transform: translateX(-100%); }
.sections { display: flex; flex-wrap: wrap; gap: 0 3rem; }
@media print { body { margin: 0; max-width: none; } tr { break-inside: avoid; } #filter { display: none; } }
"""

SCRIPT = """
"use strict";
(() => {
  const table = document.getElementById("devices"), body = table.tBodies[0];
  const rows = Array.from(body.rows), heads = Array.from(table.tHead.rows[0].cells);
  const form = document.getElementById("filter"), wanted = new URLSearchParams(location.hash.slice(1));
  const search = form.elements.q, state = form.elements.state, count = form.elements.count;
  let sort = wanted.get("sort") || "";
  search.value = wanted.get("q") || "";
  state.value = wanted.get("state") || "";
  const value = (row, at) => row.cells[at].dataset.v ?? row.cells[at].textContent;
  const compare = (one, other) => {
    const numbers = [Number(one), Number(other)];
    if (one !== "" && other !== "" && !numbers.some(Number.isNaN)) return numbers[0] - numbers[1];
    return one === "" || other === "" ? (one === "") - (other === "") : one.localeCompare(other, "en", {numeric: true});
  };
  const show = () => {
    const down = sort.startsWith("-"), key = sort.slice(down ? 1 : 0);
    const at = heads.findIndex(head => head.dataset.sort === key);
    const sorted = rows.slice();
    if (at >= 0) sorted.sort((one, other) => (down ? -1 : 1) * compare(value(one, at), value(other, at)));
    for (const head of heads) head.removeAttribute("aria-sort");
    if (at >= 0) heads[at].setAttribute("aria-sort", down ? "descending" : "ascending");
    const text = search.value.toLowerCase();
    let shown = 0;
    for (const row of sorted) {
      row.hidden = !((!state.value || row.dataset.state === state.value) &&
        (!text || row.textContent.toLowerCase().includes(text)));
      shown += !row.hidden;
    }
    body.append(...sorted);
    count.value = shown + " of " + rows.length + " devices";
    const kept = Object.entries({q: search.value, state: state.value, sort}).filter(one => one[1]);
    history.replaceState(null, "", "#" + new URLSearchParams(kept));
  };
  for (const head of heads.filter(one => one.dataset.sort)) head.addEventListener("click", () => {
    const key = head.dataset.sort;
    sort = sort === key ? "-" + key : sort === "-" + key ? "" : key;
    show();
  });
  search.addEventListener("input", show);
  state.addEventListener("change", show);
  form.addEventListener("submit", event => event.preventDefault());
  form.hidden = false;
  show();
})();
"""

_HASH = b64encode(sha256(SCRIPT.encode()).digest()).decode()
POLICY = f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{_HASH}'"
"""If anything from outside ever gets past the escaping, a browser neither runs nor fetches it."""
