"use strict";

(() => {
  const { columns, rows, words, key } = JSON.parse(document.getElementById("data").textContent);
  const ids = new Map(
    [...document.querySelectorAll("#classes option")].map((one) => [one.value, one.dataset.id]),
  );
  const named = new Map([...ids].map(([name, id]) => [id, name]));
  const cards = [...document.querySelectorAll("#photos > li")];
  const open = document.getElementById("open");
  let saved = true;

  const memory = {
    read() {
      try {
        return JSON.parse(localStorage.getItem(key)) || {};
      } catch {
        return {};
      }
    },
    write(found) {
      try {
        localStorage.setItem(key, JSON.stringify(found));
      } catch {
        // A browser may keep nothing for files; it asks before the page is closed.
      }
    },
  };

  /** What is chosen on a card: the id of a class, "" to throw it out, null for nothing. */
  function chosen(card) {
    const radio = card.querySelector("input[type=radio]:checked");
    if (!radio) {
      return null;
    }
    if (radio.value === "other") {
      return ids.get(card.querySelector("input[list]").value.trim()) ?? null;
    }
    return radio.value === "out" ? "" : radio.dataset.id;
  }

  function choose(card, id) {
    const radios = [...card.querySelectorAll("input[type=radio]")];
    const one =
      radios.find((radio) => (id === "" ? radio.value === "out" : radio.dataset.id === id)) ||
      radios.find((radio) => radio.value === "other");
    one.checked = true;
    if (one.value === "other") {
      card.querySelector("input[list]").value = named.get(id) ?? "";
    }
  }

  function show() {
    const found = {};
    for (const card of cards) {
      const id = chosen(card);
      const text = card.querySelector("input[list]");
      const typed = text.value.trim();
      text.setAttribute("aria-invalid", String(typed !== "" && !ids.has(typed)));
      card.classList.toggle("decided", id !== null);
      if (id !== null) {
        found[rows[card.dataset.row].file] = id;
      }
      // What has just been decided stays until the next one is.
      card.hidden = open.checked && id !== null && !card.contains(document.activeElement);
    }
    const count = Object.keys(found).length;
    document.getElementById("progress").textContent = `${count} of ${cards.length} looked at`;
    document.getElementById("done").hidden = !(open.checked && cards.every((card) => card.hidden));
    return found;
  }

  const quoted = (text) => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);

  function list() {
    for (const card of cards) {
      const row = rows[card.dataset.row];
      const id = chosen(card);
      const folder = row.file.split("/").at(-2);
      row.review = "";
      row.correct_class_id = "";
      if (id === "") {
        row.review = words.out;
      } else if (id !== null && id === folder) {
        row.review = words.confirmed;
      } else if (id !== null) {
        row.review = words.corrected;
        row.correct_class_id = id;
      }
    }
    const lines = rows.map((row) => columns.map((name) => quoted(row[name] ?? "")).join(","));
    return [columns.map(quoted).join(","), ...lines, ""].join("\n");
  }

  const remembered = memory.read();
  for (const card of cards) {
    const id = remembered[rows[card.dataset.row].file];
    if (id !== undefined) {
      choose(card, id);
    }
  }

  document.getElementById("photos").addEventListener("input", ({ target }) => {
    if (target.type !== "radio") {
      const other = target.closest("label").querySelector("[value=other]");
      other.checked = target.value.trim() !== "";
    } else if (target.value !== "other") {
      target.closest("li").querySelector("input[list]").value = "";
    } else {
      target.closest("label").querySelector("input[list]").focus();
    }
    saved = false;
    memory.write(show());
  });
  open.addEventListener("change", show);
  document.getElementById("bar").addEventListener("submit", (event) => event.preventDefault());
  document.getElementById("download").addEventListener("click", () => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([list()], { type: "text/csv" }));
    link.download = "review.csv";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
    saved = true;
  });
  addEventListener("beforeunload", (event) => {
    if (!saved) {
      event.preventDefault();
    }
  });
  show();
})();
