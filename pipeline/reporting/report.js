"use strict";
(() => {
  const data = JSON.parse(document.getElementById("rows").textContent);
  const PAGE = 100, CARDS = 36;

  function copy(command) {
    const done = () => { document.getElementById("copied")?.remove(); };
    const note = document.createElement("p");
    note.id = "copied";
    note.textContent = command;
    note.style.cssText = "position:fixed;left:16px;right:16px;bottom:8px;padding:8px 12px;background:var(--card);" +
      "border:1px solid var(--line);border-radius:6px;font-family:monospace;overflow-wrap:anywhere";
    done();
    document.body.append(note);
    setTimeout(() => note.remove(), 6000);
    navigator.clipboard?.writeText(command).catch(() => {});
  }
  document.addEventListener("click", (event) => {
    const sample = event.target.closest(".sample");
    if (sample) copy(sample.dataset.command);
  });
  if (!data.key) return;
  const picture = (row) => "data:image/jpeg;base64," + data.pictures[row];
  for (const image of document.querySelectorAll("img[data-row]")) image.src = picture(image.dataset.row);

  const form = document.getElementById("filters"), field = form.elements;
  const heads = Object.keys(data.heads);
  const names = data.sources.map((name) => name.toLowerCase());
  const keys = data.key.map((key) => key.toLowerCase());
  let found = [], page = 0, order = null, rising = true;

  const option = (value, text) => new Option(text ?? value, value);
  for (const name of ["split", "mode"]) {
    field[name].append(option("", "all"), ...[...new Set(data[name])].sort().map((value) => option(value)));
  }
  field.measure.append(option("", "–"), ...heads.map((name) => option(name, data.heads[name])));

  const command = (row) => data.replay.replace("KEY", data.key[row]);
  const source = (place) => (place === null ? "" : data.sources[place]);
  const value = (row, name) =>
    name === "a" || name === "b" ? source(data[name][row]) : data[name][row];

  function matches(row, wanted) {
    if (wanted.split && data.split[row] !== wanted.split) return false;
    if (wanted.mode && data.mode[row] !== wanted.mode) return false;
    if (wanted.text && !keys[row].includes(wanted.text) && !names[data.a[row]].includes(wanted.text) &&
        !(data.b[row] !== null && names[data.b[row]].includes(wanted.text))) return false;
    if (!wanted.measure) return true;
    const number = data[wanted.measure][row];
    return number !== null && number >= wanted.least && number <= wanted.most;
  }

  function filter() {
    const bound = (name, otherwise) => (field[name].value === "" ? otherwise : Number(field[name].value));
    const wanted = {
      split: field.split.value, mode: field.mode.value, text: field.text.value.trim().toLowerCase(),
      measure: field.measure.value, least: bound("least", -Infinity), most: bound("most", Infinity),
    };
    found = [];
    for (let row = 0; row < data.key.length; row++) if (matches(row, wanted)) found.push(row);
    sort();
  }

  function sort() {
    if (order !== null) {
      const sign = rising ? 1 : -1;
      found.sort((first, second) => {
        const a = value(first, order), b = value(second, order);
        if (a === b) return first - second;
        if (a === null || a === "") return 1;
        if (b === null || b === "") return -1;
        return a < b ? -sign : sign;
      });
    }
    page = 0;
    show();
  }

  function cell(text, isNumber) {
    const made = document.createElement("td");
    made.textContent = text ?? "";
    if (isNumber) made.className = "number";
    return made;
  }

  function show() {
    const last = Math.max(0, Math.ceil(found.length / PAGE) - 1);
    page = Math.min(page, last);
    const rows = found.slice(page * PAGE, (page + 1) * PAGE).map((row) => {
      const line = document.createElement("tr");
      line.append(...["key", "split", "mode", "a", "b"].map((name) => cell(value(row, name))),
        ...heads.map((name) => cell(data[name][row], true)));
      return line;
    });
    document.querySelector("#table tbody").replaceChildren(...rows);
    const seen = found.filter((row) => row in data.pictures);
    document.getElementById("browser").replaceChildren(...seen.slice(0, CARDS).map(card));
    document.getElementById("count").textContent =
      `${found.length} of ${data.key.length} samples; ${Math.min(CARDS, seen.length)} of ${seen.length} pictures of them`;
    document.getElementById("page").textContent = `${page + 1} of ${last + 1}`;
    document.getElementById("before").disabled = page === 0;
    document.getElementById("after").disabled = page === last;
  }

  function card(row) {
    const made = document.createElement("button"), image = document.createElement("img"), text = document.createElement("span");
    made.className = "sample";
    made.type = "button";
    made.dataset.command = made.title = command(row);
    image.alt = "";
    image.src = picture(row);
    text.textContent = data.key[row];
    made.append(image, text);
    return made;
  }

  const head = document.createElement("tr");
  const columns = [["key", "key"], ["split", "split"], ["mode", "mode"], ["a", "A"], ["b", "B"], ...Object.entries(data.heads)];
  for (const [name, text] of columns) {
    const made = document.createElement("th"), button = document.createElement("button");
    made.scope = "col";
    button.type = "button";
    button.textContent = text;
    button.addEventListener("click", () => {
      rising = order === name ? !rising : true;
      order = name;
      for (const other of head.children) other.removeAttribute("aria-sort");
      made.setAttribute("aria-sort", rising ? "ascending" : "descending");
      sort();
    });
    made.append(button);
    head.append(made);
  }
  document.querySelector("#table thead").append(head);
  form.addEventListener("input", filter);
  form.addEventListener("reset", () => setTimeout(filter));
  form.addEventListener("submit", (event) => event.preventDefault());
  document.getElementById("before").addEventListener("click", () => { page--; show(); });
  document.getElementById("after").addEventListener("click", () => { page++; show(); });
  filter();
})();
