(() => {
  const { lang, auth, maxBody, size, count, scale, words } = JSON.parse(
    document.body.dataset.page,
  );
  const AT_ONCE = 3; // requests under way
  const TRIES = 6; // of one photo while the server is busy
  const MANY = 12; // photos that are shown large
  const KEY = "flowers-key";

  const find = (id) => document.getElementById(id);
  const fill = (text, values) => text.replace(/\{(\w+)\}/g, (_, name) => values[name]);
  const pause = (seconds) => new Promise((done) => setTimeout(done, seconds * 1000));
  const either = new Intl.ListFormat(lang, { type: "disjunction" });

  /** For people: neither certain nor impossible. */
  function percent(fraction) {
    const whole = Math.round(fraction * 100);
    const text = whole > 99 ? "> 99" : whole < 1 ? "< 1" : String(whole);
    return `${text} %`.replaceAll(" ", "\u00a0");
  }

  // Photos: each has a card; those without an answer stand in the queue, in their order.

  let photos = [];
  let queue = [];
  let sending = 0;
  let fresh = []; // added since all was done

  const gone = ({ control }) => control.signal.aborted; // cleared away

  function add(files) {
    const added = files.map((file) => {
      const card = find("card").content.firstElementChild.cloneNode(true);
      const one = (selector) => card.querySelector(selector);
      const photo = { file, card, one, tries: 0, done: false, control: new AbortController() };
      photo.maps = new Map(); // by class_id
      const picture = one("img");
      picture.addEventListener("error", () => {
        picture.hidden = true;
        one(".lack").hidden = false;
        photo.unseen = true;
        offer(photo);
      });
      photo.url = URL.createObjectURL(file);
      picture.src = photo.url;
      one("bdi").textContent = file.name;
      one(".again").addEventListener("click", () => retry(photo));
      one(".picture .why").addEventListener("click", () => explain(photo, photo.best));
      return photo;
    });
    if (!added.length) {
      return;
    }
    find("cards").prepend(...added.map(({ card }) => card));
    photos = [...added, ...photos];
    fresh.push(...added);
    const list = find("cards");
    list.className = photos.length === 1 ? "one" : photos.length > MANY ? "many" : "some";
    for (const { one } of photos) {
      one("details").open = photos.length === 1;
    }
    find("results").hidden = false;
    document.body.classList.add("used");
    document.body.classList.toggle("wide", photos.length > 4);
    for (const photo of added) {
      if (photo.file.size === 0) {
        fail(photo, words.is_empty);
      } else if (photo.file.size > maxBody) {
        fail(photo, fill(words[413], { size }));
      } else {
        wait(photo);
      }
    }
    if (held) {
      ask(words.key_needed);
    } else {
      find("heading").scrollIntoView({ block: "nearest" });
    }
    next();
  }

  function wait(photo) {
    tell(photo, held ? words.needs_key : words.waiting);
    queue.push(photo);
  }

  function next() {
    while (!held && sending < AT_ONCE && queue.length) {
      sending += 1;
      send(queue.shift()).finally(() => {
        sending -= 1;
        next();
      });
    }
    progress();
  }

  function retry(photo) {
    photo.one(".again").hidden = true;
    photo.one(".message").hidden = true;
    photo.card.className = "";
    photo.done = photo.offline = false;
    photo.tries = 0;
    fresh.push(photo);
    wait(photo);
    next();
  }

  /** What people are told. */
  class Told extends Error {}

  /** The server's response to a photo. */
  async function post(photo, question) {
    const headers = {
      "Content-Type": photo.file.type.startsWith("image/")
        ? photo.file.type
        : "application/octet-stream",
    };
    if (key) {
      headers.Authorization = `Bearer ${key}`;
    }
    try {
      await photo.file.slice(0, 1).arrayBuffer(); // gone since, or a folder
    } catch {
      throw new Told(words.unreadable);
    }
    return fetch(`v1/${question}`, {
      method: "POST",
      headers,
      body: photo.file,
      signal: photo.control.signal,
    });
  }

  /** Seconds until a busy server may be asked again. */
  function patience(response, tries) {
    const asked = Number(response.headers.get("Retry-After")) || 1;
    return Math.min(asked * 2 ** (tries - 1), 60) * (1 + Math.random() / 4);
  }

  async function send(photo) {
    const used = key;
    tell(photo, words.looking);
    let response;
    try {
      response = await post(photo, `classify?lang=${lang}&top_k=5`);
    } catch (error) {
      if (error instanceof Told) {
        fail(photo, error.message);
        return;
      }
      photo.offline = !gone(photo);
      fail(photo, words.offline, true);
      return;
    }
    const answer = await response.json().catch(() => ({})); // a proxy's own page
    const { status } = response;
    if (gone(photo)) {
      return;
    }
    if (response.ok && answer.status === "ok") {
      succeed(photo, answer);
    } else if ((status === 429 || status === 503) && (photo.tries += 1) < TRIES) {
      const seconds = patience(response, photo.tries);
      tell(photo, fill(words.busy, { seconds: Math.ceil(seconds) }));
      await pause(seconds);
      if (!gone(photo)) {
        await send(photo);
      }
    } else if ((status === 401 || status === 403) && auth !== "none") {
      held = held || used === key;
      queue.unshift(photo);
      tell(photo, words.needs_key);
      if (held) {
        ask(status === 401 ? words.key_wrong : words.key_forbidden);
      }
    } else {
      fail(photo, reason(status, answer), [408, 429].includes(status) || status >= 500);
    }
  }

  function reason(status, answer) {
    const code = answer.error?.code ?? answer.code;
    if (status === 429 || status === 503) {
      return words[503];
    }
    if (status >= 500) {
      return fill(words.failed, { id: answer.request_id ?? status });
    }
    return fill(words[status] ?? words[code] ?? words.refused, {
      size,
      status,
      detail: answer.detail ?? "",
    });
  }

  // What a card says

  /** The state of a photo that has no answer yet. */
  function tell(photo, text) {
    photo.card.setAttribute("aria-busy", "true");
    photo.one("h3").textContent = text;
  }

  function fail(photo, text, again = false) {
    if (gone(photo)) {
      return;
    }
    photo.card.className = "wrong";
    photo.one("h3").textContent = words.no_answer;
    photo.one(".again").hidden = !again;
    finish(photo, text, `${photo.file.name}: ${text}`);
  }

  function succeed(photo, answer) {
    if (answer.known === false) {
      reject(photo, answer);
      return;
    }
    const { label, scientific_name: latin, top, prediction_set: fewest = [] } = answer;
    const [best, second] = top;
    const close = fewest.length
      ? fewest.length > 1
      : second && second.confidence > best.confidence / 2;
    const unsure = best.confidence < 0.5 || close;
    photo.one("h3").textContent = unsure ? fill(words.perhaps, { label }) : label;
    photo.one(".latin").textContent = latin;
    photo.one(".latin").hidden = !latin;
    share(photo.one(".best"), best.confidence);
    photo.one(".best").hidden = false;
    list(photo, top.slice(1), best);
    photo.card.className = unsure ? "unsure" : "sure";
    finish(
      photo,
      unsure ? doubt(top, fewest) : "",
      fill(words.one_done, { file: photo.file.name, label, share: percent(best.confidence) }),
    );
  }

  /** The photo shows nothing that the model knows. */
  function reject(photo, { label, top }) {
    const values = { count, file: photo.file.name, label, share: percent(top[0].confidence) };
    photo.one("h3").textContent = fill(words.not_one, values);
    photo.one("summary").textContent = words.nearest;
    list(photo, top, top[0]);
    photo.card.className = "unknown";
    finish(photo, fill(words.closest, values), fill(words.not_one_done, values));
  }

  function list(photo, candidates, best) {
    const lines = candidates.map((candidate) => {
      const line = find("other").content.firstElementChild.cloneNode(true);
      const [name, button] = line.querySelectorAll("span, button");
      name.textContent = button.textContent = candidate.label;
      button.title = fill(words.why_not, candidate);
      button.value = candidate.class_id;
      button.addEventListener("click", () => explain(photo, candidate));
      share(line, candidate.confidence);
      return line;
    });
    photo.one("ol").replaceChildren(...lines);
    photo.one("details").hidden = !lines.length;
    photo.best = best;
    offer(photo);
  }

  function doubt([best, ...others], fewest) {
    const names = (candidates) => ({ labels: either.format(candidates.map(({ label }) => label)) });
    const likely = others.filter(({ confidence }) => confidence >= 0.1).slice(0, 2);
    let text = words.none_fits;
    if (fewest.length > 1) {
      text = fill(words.one_of, names(fewest));
    } else if (likely.length) {
      text = fill(words.could_be, names(likely));
    }
    return best.confidence < 0.5 ? `${text} ${words.closer}` : text;
  }

  // Why: a heat map over the photo, of one candidate at a time

  /** Let people ask, where there is an answer, and a picture to lay a map over. */
  function offer(photo) {
    const { card, one, best } = photo;
    const possible = Boolean(scale && best && !photo.unseen);
    for (const button of card.querySelectorAll(".why")) {
      button.hidden = !possible;
    }
    for (const name of card.querySelectorAll(".plain")) {
      name.hidden = possible;
    }
    if (best) {
      one(".picture .why").value = best.class_id;
      one(".picture .unseen").textContent = ` ${best.label}`;
    }
  }

  /** Show the map of a candidate, or hide it if it is there. */
  async function explain(photo, { label, class_id: id }) {
    photo.asked = photo.asked === id ? undefined : id;
    if (photo.asked === undefined) {
      explained(photo, "");
      return;
    }
    explained(photo, words.looking);
    if (!photo.maps.has(id)) {
      photo.maps.set(id, explanation(photo, id));
    }
    let [map, trouble] = [null, ""];
    try {
      map = await photo.maps.get(id);
    } catch (error) {
      photo.maps.delete(id);
      trouble = error instanceof Told ? error.message : words.offline;
    }
    if (gone(photo) || photo.asked !== id) {
      return;
    }
    if (map === null) {
      photo.asked = undefined;
      explained(photo, trouble);
      find("said").textContent = trouble;
      return;
    }
    const { cells } = map.explanation;
    const speaks = speaking(cells) > 0.1; // else there is no colour to be seen
    const where = words.places.split("|")[hottest(cells)];
    const said = fill(speaks ? words.spoke_where : words.nothing_spoke, { label, where });
    drawHeat(photo.one("canvas"), map.explanation, map, scale);
    photo.one("canvas").setAttribute("aria-label", said);
    explained(photo, speaks ? fill(words.spoke, { label }) : said, true);
    find("said").textContent = said;
  }

  /** What a card shows of it: `text` without a map while there is none. */
  function explained(photo, text, isThere = false) {
    const { card, one, asked } = photo;
    one(".picture").classList.toggle("faded", asked !== undefined);
    one("canvas").hidden = !isThere;
    one(".scale").hidden = !isThere;
    one(".means").textContent = text;
    one(".legend").hidden = !text;
    for (const button of card.querySelectorAll(".why")) {
      button.setAttribute("aria-pressed", String(button.value === String(asked)));
    }
  }

  async function explanation(photo, id) {
    const question = `explain?lang=${lang}&top_k=1&label=${encodeURIComponent(id)}`;
    for (let tries = 1; ; tries += 1) {
      const response = await post(photo, question);
      const { ok, status } = response;
      const answer = await response.json().catch(() => ({}));
      if (ok && answer.explanation) {
        return answer;
      }
      if ((status === 429 || status === 503) && tries < TRIES) {
        await pause(patience(response, tries));
        continue;
      }
      if ((status === 401 || status === 403) && auth !== "none") {
        ask(status === 401 ? words.key_wrong : words.key_forbidden);
        throw new Told(words.needs_key);
      }
      throw new Told(reason(status, answer));
    }
  }

  function share(element, fraction) {
    element.querySelector("rect").setAttribute("width", `${(fraction * 100).toFixed(2)}%`);
    element.querySelector("b").textContent = percent(fraction);
  }

  function finish(photo, text, said) {
    photo.one(".message").textContent = text;
    photo.one(".message").hidden = !text;
    photo.card.removeAttribute("aria-busy");
    photo.done = true;
    photo.said = said;
    progress();
  }

  /** How far it is, seen; said only when all is done. */
  function progress() {
    const [all, done] = [photos.length, photos.filter((photo) => photo.done).length];
    const failed = photos.filter(({ card }) => card.className === "wrong").length;
    let text = "";
    if (done < all) {
      text = fill(words.progress, { done, all });
    } else if (all > 1) {
      text = fill(failed ? words.some_failed : words.all_done, { all, failed });
    }
    find("progress").textContent = text;
    if (done === all && fresh.length) {
      find("said").textContent = fresh.length === 1 ? fresh[0].said : text;
      fresh = [];
    }
  }

  function clear() {
    for (const photo of photos) {
      photo.control.abort();
      URL.revokeObjectURL(photo.url);
    }
    photos = [];
    queue = [];
    fresh = [];
    find("cards").replaceChildren();
    find("results").hidden = true;
    document.body.classList.remove("used", "wide");
    find("choose").focus();
  }

  // The key, where the server wants one: kept for this tab, and sent in a header only

  let key = "";
  try {
    key = (auth !== "none" && sessionStorage.getItem(KEY)) || "";
  } catch {
    // a browser that keeps nothing asks again
  }
  let held = auth !== "none" && !key;

  function ask(text) {
    find("key").hidden = false;
    find("key-set").hidden = true;
    if (find("key-wrong").textContent !== text) {
      find("key-wrong").textContent = text;
      find("secret").focus();
    }
  }

  function useKey(event) {
    event.preventDefault();
    const given = find("secret").value.trim();
    if (!/^[!-~]+$/.test(given)) {
      ask(words.key_odd);
      return;
    }
    key = given;
    try {
      sessionStorage.setItem(KEY, key);
    } catch {
      // for this page only, then
    }
    showKey();
    held = false;
    next();
    find("choose").focus();
  }

  function showKey() {
    find("secret").value = find("key-wrong").textContent = "";
    find("key").hidden = Boolean(key);
    find("key-set").hidden = !key;
  }

  if (auth !== "none") {
    showKey();
    find("key").addEventListener("submit", useKey);
    find("key-change").addEventListener("click", () => {
      find("key").hidden = false;
      find("key-set").hidden = true;
      find("secret").focus();
    });
  }

  // Ways for photos to come

  for (const [button, field] of [
    ["choose", "files"],
    ["take", "camera"],
  ]) {
    const input = find(field);
    find(button).addEventListener("click", () => input.click());
    input.addEventListener("change", () => {
      add([...input.files]);
      input.value = ""; // so that the same photo can be chosen again
    });
  }

  document.addEventListener("paste", (event) => {
    const files = [...event.clipboardData.files];
    if (files.length) {
      event.preventDefault();
      add(files);
    }
  });

  /** The files below what was dropped; of a folder, those that call themselves images. */
  async function below(entry) {
    if (entry.isFile) {
      return [await new Promise((found, failed) => entry.file(found, failed))];
    }
    const reader = entry.createReader();
    const inside = [];
    let some;
    do {
      some = await new Promise((found, failed) => reader.readEntries(found, failed));
      inside.push(...some);
    } while (some.length);
    const files = (await Promise.all(inside.map(below))).flat();
    return files.filter(({ type }) => type.startsWith("image/"));
  }

  let over = 0; // elements that the dragged files have entered and not left
  const mark = () => document.body.classList.toggle("over", over > 0);
  addEventListener("dragenter", () => {
    over += 1;
    mark();
  });
  addEventListener("dragleave", () => {
    over -= 1;
    mark();
  });
  const elsewhere = ({ target }) => target instanceof HTMLInputElement; // text for a field
  addEventListener("dragover", (event) => elsewhere(event) || event.preventDefault());
  addEventListener("drop", async (event) => {
    over = 0;
    mark();
    if (elsewhere(event)) {
      return;
    }
    event.preventDefault();
    const flat = [...event.dataTransfer.files];
    const entries = [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry?.());
    const files = entries.some((entry) => entry?.isDirectory)
      ? (await Promise.all(entries.filter(Boolean).map(below)).catch(() => [])).flat()
      : flat;
    find("dropped").textContent = files.length ? "" : words.no_file;
    add(files);
  });

  addEventListener("online", () => photos.filter((photo) => photo.offline).forEach(retry));
  find("clear").addEventListener("click", clear);
})();
