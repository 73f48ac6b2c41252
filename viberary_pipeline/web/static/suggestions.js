// Suggestions below the search box: an editable combobox with a listbox (ARIA Authoring Practices, "list autocomplete
// with manual selection"). Typing never waits for it; without it, or where it fails, the box is a plain search box.

const PAUSE = 120; // milliseconds without a key, after which is asked
const KINDS = { title: "", author: "author", series: "series", query: "search" };

const input = document.querySelector("[data-suggestions]");
if (input) combobox(input);

function combobox(input) {
  const list = make("ul", { id: `${input.id}-suggestions`, role: "listbox", "aria-label": "Suggestions", class: "suggestions" });
  const status = make("p", { role: "status", class: "visually-hidden" });
  list.hidden = true;
  input.after(list, status);
  for (const [name, value] of Object.entries({
    role: "combobox",
    "aria-autocomplete": "list",
    "aria-controls": list.id,
    "aria-expanded": "false",
  })) input.setAttribute(name, value);

  let suggestions = []; // those of the list
  let active = -1; // the option that has the visual focus
  let asked = new AbortController();
  let timer = 0;

  async function ask() {
    asked.abort();
    asked = new AbortController();
    const { signal } = asked;
    const typed = input.value;
    if (!typed.trim()) return close();
    try {
      const answer = await fetch(`${input.dataset.suggestions}?${new URLSearchParams({ q: typed })}`, { signal });
      if (!answer.ok) return close();
      const found = (await answer.json()).suggestions;
      if (!signal.aborted && document.activeElement === input) show(found, typed);
    } catch {
      if (!signal.aborted) close(); // else a later question has taken its place
    }
  }

  function show(found, typed) {
    suggestions = found;
    list.replaceChildren(...found.map((suggestion, at) => option(suggestion, at, typed)));
    list.hidden = !found.length;
    input.setAttribute("aria-expanded", String(!list.hidden));
    activate(-1);
    status.textContent = found.length ? `${found.length} suggestion${found.length === 1 ? "" : "s"}` : "";
  }

  function option({ text, kind, author = "" }, at, typed) {
    const name = make("span", { class: "suggestion-text", dir: "auto" });
    const start = text.toLowerCase().indexOf(typed.trim().toLowerCase());
    const end = start + typed.trim().length;
    if (start < 0) name.textContent = text;
    else name.append(text.slice(0, start), make("b", {}, text.slice(start, end)), text.slice(end));
    const about = make("span", { class: "suggestion-about", dir: "auto" }, author || KINDS[kind]);
    const row = make("li", { id: `${list.id}-${at}`, role: "option", "aria-selected": "false" });
    row.append(name, " ", about);
    return row;
  }

  function activate(at) {
    list.children[active]?.setAttribute("aria-selected", "false");
    active = at;
    const row = list.children[at];
    if (row) {
      row.setAttribute("aria-selected", "true");
      row.scrollIntoView({ block: "nearest" });
      input.setAttribute("aria-activedescendant", row.id);
    } else input.removeAttribute("aria-activedescendant");
  }

  function close() {
    clearTimeout(timer);
    asked.abort();
    show([], "");
  }

  function choose({ text, kind, book_id: id }) {
    close();
    if (kind === "title" && id && input.dataset.book) {
      location.assign(`${input.dataset.book}${encodeURIComponent(id)}`);
      return;
    }
    input.value = kind === "author" ? `books by ${text}` : text;
    input.form.requestSubmit();
  }

  input.addEventListener("input", (event) => {
    clearTimeout(timer);
    if (!event.isComposing) timer = setTimeout(ask, PAUSE);
  });
  input.addEventListener("compositionend", () => (timer = setTimeout(ask, PAUSE)));
  input.addEventListener("blur", close);
  input.form.addEventListener("submit", close);

  input.addEventListener("keydown", (event) => {
    if (event.isComposing || event.ctrlKey || event.metaKey) return;
    const last = suggestions.length - 1;
    const keys = {
      // Above the first and below the last is the box itself.
      ArrowDown: () => (list.hidden ? ask() : activate(active < last ? active + 1 : -1)),
      ArrowUp: () => (list.hidden ? ask() : activate(active < 0 ? last : active - 1)),
      Enter: () => choose(suggestions[active]),
      Escape: close,
    };
    const means = {
      Enter: active >= 0,
      Escape: !list.hidden,
      ArrowDown: true,
      ArrowUp: true,
    }[event.key];
    if (means) {
      event.preventDefault();
      keys[event.key]();
    } else if (event.key === "Home" || event.key === "End") activate(-1); // the cursor goes there
  });

  // The box keeps the focus while an option is pressed.
  list.addEventListener("mousedown", (event) => event.preventDefault());
  list.addEventListener("click", (event) => {
    const row = event.target.closest("[role=option]");
    if (row) choose(suggestions[[...list.children].indexOf(row)]);
  });
}

function make(tag, attributes, text = "") {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.textContent = text;
  return element;
}

// An address carries only what is set.
document.querySelector("form.search")?.addEventListener("formdata", ({ formData }) => {
  for (const [name, value] of [...formData]) if (!value) formData.delete(name);
});
