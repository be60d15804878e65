"use strict";

(() => {
  const form = document.getElementById("filters");
  const field = form.elements;
  const format = new Intl.NumberFormat(document.documentElement.lang).format;

  /** Lower case without accents, so that "aguilena" finds "aguileña". */
  const plain = (text) => text.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase();

  const textOf = (card, style) => card.querySelector(`.${style}`)?.textContent ?? "";

  const groups = [...document.querySelectorAll("section.group")].map((section) => {
    const list = section.querySelector("ul");
    const name = section.querySelector("h3 .name").textContent;
    return {
      section,
      list,
      kind: section.dataset.kind,
      count: section.querySelector("h3 .count"),
      cards: [...list.children].map((card) => ({
        card,
        confidence: Number(card.dataset.confidence),
        text: plain(`${name} ${["closest", "path"].map((one) => textOf(card, one)).join(" ")}`),
      })),
    };
  });
  const all = groups.reduce((sum, group) => sum + group.cards.length, 0);

  const fill = (template, values) => template.replace(/\{(\w+)\}/g, (_, key) => format(values[key]));

  function filter() {
    const words = plain(field.text.value).split(/\s+/);
    const [least, most] = [field.least.valueAsNumber, field.most.valueAsNumber];
    // An error has no confidence: it is shown where none is asked for.
    const anyConfidence = least === 0 && most === 100;
    const status = field.status.value;
    let shown = 0;
    for (const group of groups) {
      const failed = group.kind === "error";
      const wanted = status === "all" ? !failed || anyConfidence : status === group.kind;
      let visible = 0;
      for (const { card, confidence, text } of group.cards) {
        const inRange = failed || (least <= confidence && confidence <= most);
        card.hidden = !(wanted && inRange && words.every((word) => text.includes(word)));
        visible += !card.hidden;
      }
      shown += visible;
      group.section.hidden = visible === 0;
      group.section.dataset.size = visible;
      const total = Number(group.count.dataset.total);
      group.count.textContent =
        visible === total ? format(total) : fill(form.dataset.of, { shown: visible, all: total });
    }
    document.getElementById("shown").textContent = fill(form.dataset.shown, { shown, all });
    document.getElementById("none").hidden = shown > 0;
    for (const name of ["least", "most"]) {
      field[name].disabled = status === "error";
      document.getElementById(name).textContent = `${field[name].value}\u00a0%`;
    }
  }

  form.addEventListener("input", ({ target }) => {
    // The ends of the range push each other along.
    if (target === field.least && field.most.valueAsNumber < target.valueAsNumber) {
      field.most.value = target.value;
    } else if (target === field.most && field.least.valueAsNumber > target.valueAsNumber) {
      field.least.value = target.value;
    }
    filter();
  });

  let order = "best"; // as the page is written
  function sort() {
    if (order === field.order.value) {
      return;
    }
    order = field.order.value;
    for (const { list, kind } of groups) {
      if (kind !== "error") {
        list.append(...[...list.children].reverse());
      }
    }
  }

  field.order.addEventListener("change", sort);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => {
    // The fields are reset after this event.
    setTimeout(() => {
      sort();
      filter();
    });
  });

  form.hidden = false;
  // What could change nothing isn't offered.
  const kinds = new Set(groups.map(({ kind }) => kind));
  for (const name of ["least", "most", "order"]) {
    field[name].closest("label").hidden = !(kinds.has("ok") || kinds.has("unknown"));
  }
  for (const option of [...field.status.options]) {
    if (option.value !== "all" && !kinds.has(option.value)) {
      option.remove();
    }
  }
  field.status.closest("label").hidden = kinds.size < 2;
  sort(); // a browser that goes back brings old values along
  filter();
})();
