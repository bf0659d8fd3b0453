// The control page of the sandbox: shows what is switched, and switches it. Everything that comes from the sandbox is
// written as text, never as markup.

const POLL_MS = 1000;
const SLOWEST_RETRY_MS = 8000;
const ANSWER_TIMEOUT_MS = 10000;

const LABELS = {
  requests_per_minute: ["Cap on messages", "per minute"],
  job_seconds: ["A bulk job is carried out after", "seconds"],
  lag_seconds: ["registerDevice, setTags and deleteUser lag by", "seconds"],
  pending_seconds: ["A due message is pending for", "seconds"],
  over_cap: ["A request over the cap"],
  small_bulk: ["bulkSetTags with fewer than 50 devices"],
  requires_device_token: ["Every device call needs the device token"],
  requires_content: ["A message needs content"],
  answers_unknown_methods: ["Unknown methods are answered OK"],
  case_sensitive: ["Texts in conditions are compared with regard to case"],
  unset_matches_negative: ["NOTEQ and NOTIN match devices without the tag"],
};
// What an entry of each kind is called, and how its value is written: a text, or JSON.
const ENTRIES = {
  in_apps: ["In-app message", "Event", "Code"],
  zones: ["Geozone", "Name", "Latitude, longitude, metres"],
  popups: ["Popup", "Code", "JSON with content"],
  features: ["Feature", "Name", "JSON"],
};
const CHOICES = {
  http: "is HTTP 429",
  envelope: "is HTTP 200, status 210",
  take: "is taken",
  warn: "is taken with a warning",
  refuse: "is refused",
};

const page = Object.fromEntries(
  [...document.querySelectorAll("[id]")].map((element) => [
    element.id.replace(/-(.)/g, (_, letter) => letter.toUpperCase()),
    element,
  ]),
);
const drawn = new Map();
const times = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });
const moments = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });

function make(name, className, words) {
  const element = document.createElement(name);
  if (className) element.className = className;
  if (words !== undefined) element.textContent = words;
  return element;
}

function button(words, label, act) {
  const element = make("button", "plain small", words);
  element.type = "button";
  if (label) element.setAttribute("aria-label", label);
  element.addEventListener("click", act);
  return element;
}

function write(element, words) {
  if (element.textContent !== words) element.textContent = words;
}

function formatted(format, text) {
  const moment = new Date(text);
  return Number.isNaN(moment.getTime()) ? "" : format.format(moment);
}

function counted(number, one, many = `${one}s`) {
  return `${number} ${number === 1 ? one : many}`;
}

// Draws a part again only where what it shows has changed, so that focus and open lists stay.
function whenChanged(part, shown, draw) {
  const text = JSON.stringify(shown);
  if (drawn.get(part) === text) return;
  drawn.set(part, text);
  draw(shown);
}

// Puts rows into a list in place of the old ones; a button that had the focus gives it to its successor.
function replaceRows(list, rows) {
  const focused = list.contains(document.activeElement) ? document.activeElement.closest("[data-key]") : null;
  const key = focused && focused.dataset.key;
  const place = focused ? [...list.children].indexOf(focused) : -1;
  list.replaceChildren(...rows);
  if (key === null || place < 0) return;
  const next = [...list.children].find((row) => row.dataset.key === key) || list.children[Math.min(place, rows.length - 1)];
  const target = next && next.querySelector("button");
  if (target) target.focus({ preventScroll: true });
  else list.closest("section").querySelector("select, input, button").focus({ preventScroll: true });
}

function row(key, name, more, count, control) {
  const element = make("li", "row");
  element.dataset.key = String(key);
  const words = make("span", "row-words");
  words.append(make("span", "row-name", name), " ", make("span", "row-more", more));
  element.append(words, " ");
  if (count) element.append(make("span", "row-count", count), " ");
  if (control) element.append(control);
  return element;
}

function faultRow(fault) {
  const where = fault.methods.length ? fault.methods.join(", ") : "every method";
  const whose = fault.applications.length ? ` of ${fault.applications.join(", ")}` : "";
  const often =
    fault.left === 0
      ? "used up"
      : fault.left !== null
        ? `the next ${counted(fault.left, "call")}`
        : fault.probability < 1
          ? `${Math.round(fault.probability * 10000) / 100} % of the calls`
          : "every call";
  const jitter = fault.jitter ? ` to ${fault.seconds + fault.jitter}` : "";
  const name = fault.name === "delay" ? `${fault.seconds}${jitter} s slower` : fault.name;
  const remove = button("Remove", `Remove ${name}`, () => ask({ do: "remove_fault", number: fault.number }));
  const element = row(fault.number, name, `${where}${whose} · ${often}`, `hit ${counted(fault.hits, "call")}`, remove);
  element.classList.toggle("is-spent", fault.left === 0);
  return element;
}

function drawFaults(faults) {
  replaceRows(page.faults, [...faults].reverse().map(faultRow));
  page.noFaults.hidden = faults.length > 0;
  page.clearFaults.hidden = faults.length < 2;
}

function fillSelect(select, options) {
  const chosen = select.value;
  select.replaceChildren(
    ...options.map(([value, words]) => {
      const option = make("option", "", words);
      option.value = value;
      return option;
    }),
  );
  if (options.some(([value]) => value === chosen)) select.value = chosen;
}

function drawChoices({ catalogue, methods, applications, types }) {
  fillSelect(page.faultName, catalogue.map((each) => [each.name, each.label]));
  for (const select of document.querySelectorAll("select.methods")) {
    fillSelect(select, [["", "every method"], ...methods.map((each) => [each, each])]);
  }
  fillSelect(page.faultApplication, [["", "every application"], ...applications.map((each) => [each, each])]);
  fillSelect(page.tagType, types.map((each) => [String(each.number), each.name]));
  write(page.applications, applications.join(" · "));
}

function drawTags({ tags, types }) {
  const names = new Map(types.map((each) => [each.number, each.name]));
  const entries = Object.entries(tags);
  const rows = entries.map(([name, type]) =>
    row(name, name, names.get(type) || String(type), "", button("Forget", `Forget the type of ${name}`, () => {
      ask({ do: "set_tag_type", name, type: null });
    })),
  );
  replaceRows(page.tags, rows);
  page.noTags.hidden = entries.length > 0;
}

function drawEntries(entries) {
  fillSelect(page.entryTable, Object.keys(entries).map((table) => [table, (ENTRIES[table] || [table])[0]]));
  const rows = Object.entries(entries).flatMap(([table, known]) =>
    Object.entries(known).filter(([, value]) => value !== null).map(([name, value]) => {
      const [kind] = ENTRIES[table] || [table];
      const remove = () => ask({ do: "set_entry", table, name, value: null });
      const words = `${kind} · ${typeof value === "string" ? value : JSON.stringify(value)}`;
      return row(`${table} ${name}`, name, words.slice(0, 300), "", button("Remove", `Remove ${kind} ${name}`, remove));
    }),
  );
  replaceRows(page.entries, rows);
  entryTableChanged();
}

function entryTableChanged() {
  const [, name, value] = ENTRIES[page.entryTable.value] || ["", "Name", "JSON"];
  write(page.entryNameLabel, name);
  write(page.entryValueLabel, value);
}

// The value that was written. Throws a SyntaxError for what is no JSON.
function entryValue() {
  const text = page.entryValue.value.trim();
  if (page.entryTable.value === "in_apps") return text;
  if (page.entryTable.value !== "zones") return JSON.parse(text);
  const [lat, lng, range] = text.split(",").map((each) => (each.trim() ? Number(each) : NaN));
  return { lat, lng, range };
}

function drawMessages(messages) {
  const rows = messages.map((each) => {
    const due = `${each.status} · due ${formatted(moments, each.due_at)}`;
    const more = each.queued ? `${due} · ${counted(each.queued, "phone")} to come` : due;
    const fail = button("Let it fail", `Let ${each.code} fail`, () => ask({ do: "fail_message", message: each.code }));
    return row(each.code, each.code, more, "", fail);
  });
  replaceRows(page.messages, rows);
  page.noMessages.hidden = messages.length > 0;
}

function isBad(request) {
  return request.http_status !== 200 || request.status_code !== 200 || request.fault !== "";
}

function statusCell(status) {
  const cell = make("td", "is-number", status ? String(status) : "–");
  if (status && status !== 200) cell.dataset.state = "bad";
  return cell;
}

function drawRequests(requests) {
  const shown = page.onlyRefused.checked ? requests.filter(isBad) : requests;
  page.requests.replaceChildren(
    ...shown.map((each) => {
      const line = make("tr");
      const isGood = each.http_status === 200 && each.status_code === 200;
      line.dataset.state = each.http_status === 0 ? "none" : isGood ? "good" : "bad";
      const fault = make("td");
      if (each.fault) fault.append(make("span", "fault-mark", each.fault));
      line.append(
        make("td", "is-time", formatted(times, each.at)),
        make("td", "is-code", each.method),
        make("td", "is-code", each.application),
        statusCell(each.http_status),
        statusCell(each.status_code),
        make("td", "is-verdict", each.verdict),
        fault,
      );
      return line;
    }),
  );
  page.noRequests.hidden = shown.length > 0;
  write(page.noRequests, requests.length ? "Nothing went wrong." : "Nobody has asked anything yet.");
}

const fields = new Map();

function optionField(name, given) {
  const [label, unit] = LABELS[name] || [name.replaceAll("_", " ")];
  if (given.switches.includes(name)) {
    const element = make("label", "switch");
    const input = make("input");
    input.type = "checkbox";
    input.addEventListener("change", () => ask({ do: "set_option", name, value: input.checked }));
    const track = make("span", "switch-track");
    track.setAttribute("aria-hidden", "true");
    element.append(input, " ", track, " ", make("span", "", label));
    fields.set(name, { input, show: (value) => { input.checked = value; } });
    return element;
  }
  const element = make("label", "option");
  const words = make("span", "", label);
  if (unit) words.append(" ", make("span", "unit", unit));
  element.append(words, " ");
  const input = make(name in given.choices ? "select" : "input");
  if (name in given.choices) {
    fillSelect(input, given.choices[name].map((each) => [each, CHOICES[each] || each]));
    input.addEventListener("change", () => ask({ do: "set_option", name, value: input.value }));
  } else {
    input.type = "number";
    input.min = given.seconds.includes(name) ? "0" : "1";
    input.step = given.seconds.includes(name) ? "any" : "1";
    input.required = true;
    input.addEventListener("change", () => {
      if (input.reportValidity()) ask({ do: "set_option", name, value: input.valueAsNumber });
    });
  }
  element.append(input);
  // What someone is about to write is not written over.
  fields.set(name, { input, show: (value) => { if (document.activeElement !== input) input.value = String(value); } });
  return element;
}

function drawOptions(given) {
  const names = Object.keys(LABELS).filter((name) => name in given.options);
  const unknown = Object.keys(given.options).filter((name) => !(name in LABELS));
  whenChanged("option fields", [names, unknown, given.choices], () => {
    page.options.replaceChildren(...[...names, ...unknown].map((name) => optionField(name, given)));
  });
  for (const [name, field] of fields) field.show(given.options[name]);
}

function draw(given) {
  const types = given.tag_types;
  const { catalogue, methods, applications } = given;
  whenChanged("choices", { catalogue, methods, applications, types }, drawChoices);
  whenChanged("faults", given.faults, drawFaults);
  whenChanged("entries", given.entries, drawEntries);
  whenChanged("tags", { tags: given.tags, types }, drawTags);
  whenChanged("messages", given.messages, drawMessages);
  whenChanged("requests", given.requests, drawRequests);
  drawOptions(given);
  write(page.clock, formatted(moments, given.now));
  page.clock.dateTime = given.now;
  page.clockState.hidden = !given.is_clock_moved;
  page.return.disabled = !given.is_clock_moved;
  page.tracing.checked = given.is_tracing;
  write(page.capped, `${counted(given.capped, "request")} of ${given.options.requests_per_minute}`);
}

const known = { given: null, turn: 0 };

function take(given) {
  known.given = given;
  draw(given);
  page.live.dataset.state = "live";
  write(page.live, "live");
  if (!page.banner.dataset.told) page.banner.hidden = true;
}

function complain(words, isTold) {
  // Written once: a screen reader reads an alert again whenever it changes.
  write(page.banner, words);
  page.banner.hidden = false;
  if (isTold) page.banner.dataset.told = "yes";
  else delete page.banner.dataset.told;
}

async function answerOf(address, options) {
  const controller = new AbortController();
  const timer = setTimeout(() => controller.abort(), ANSWER_TIMEOUT_MS);
  try {
    const response = await fetch(address, { cache: "no-store", signal: controller.signal, ...options });
    const given = await response.json();
    if (!response.ok) throw Object.assign(new Error(given.error || `status ${response.status}`), { isTold: true });
    return given;
  } finally {
    clearTimeout(timer);
  }
}

// Asks the sandbox to do something; what it then is, is the answer.
async function ask(wanted) {
  const turn = ++known.turn;
  try {
    const given = await answerOf("/control/switch", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(wanted),
    });
    delete page.banner.dataset.told;
    if (turn === known.turn) take(given);
    return true;
  } catch (error) {
    complain(error.isTold ? error.message : "The sandbox is not answering.", error.isTold);
    if (known.given) draw(known.given);
    return false;
  }
}

async function poll(retryMs = POLL_MS) {
  const turn = known.turn;
  try {
    const given = await answerOf("/control.json");
    // An answer that was asked for before something was switched does not know of it.
    if (turn === known.turn) take(given);
    setTimeout(poll, POLL_MS);
  } catch (error) {
    page.live.dataset.state = "down";
    write(page.live, "not answering");
    complain(
      error.isTold ? error.message : "The sandbox is not answering. This page keeps asking and continues by itself.",
      false,
    );
    setTimeout(poll, retryMs, Math.min(retryMs * 2, SLOWEST_RETRY_MS));
  }
}

function announce(words) {
  write(page.announcer, words);
}

function oftenChanged() {
  const often = page.faultOften.value;
  for (const [field, input, value] of [
    [page.faultTimesField, page.faultTimes, "next"],
    [page.faultChanceField, page.faultChance, "chance"],
  ]) {
    field.hidden = often !== value;
    input.disabled = often !== value;
  }
}

page.faultOften.addEventListener("change", oftenChanged);
page.faultForm.addEventListener("submit", async (event) => {
  event.preventDefault();
  const wanted = {
    do: "add_fault",
    fault: page.faultName.value,
    methods: page.faultMethod.value ? [page.faultMethod.value] : [],
    applications: page.faultApplication.value ? [page.faultApplication.value] : [],
  };
  if (page.faultOften.value === "next") wanted.times = page.faultTimes.valueAsNumber;
  if (page.faultOften.value === "chance") {
    wanted.probability = page.faultChance.valueAsNumber / 100;
    wanted.seed = Date.now() % 1000000;
  }
  if (await ask(wanted)) announce("Switched on.");
});
page.slowForm.addEventListener("submit", async (event) => {
  event.preventDefault();
  const wanted = {
    do: "slow",
    methods: page.slowMethod.value ? [page.slowMethod.value] : [],
    seconds: page.slowSeconds.valueAsNumber,
    jitter: page.slowJitter.valueAsNumber,
    seed: Date.now() % 1000000,
  };
  if (await ask(wanted)) announce("Slowed down.");
});
page.tagForm.addEventListener("submit", async (event) => {
  event.preventDefault();
  if (await ask({ do: "set_tag_type", name: page.tagName.value, type: Number(page.tagType.value) })) {
    announce(`Declared ${page.tagName.value}.`);
    page.tagForm.reset();
  }
});
page.entryTable.addEventListener("change", entryTableChanged);
page.entryForm.addEventListener("submit", async (event) => {
  event.preventDefault();
  let value;
  try {
    value = entryValue();
  } catch {
    complain("The value is no JSON.", true);
    return;
  }
  if (await ask({ do: "set_entry", table: page.entryTable.value, name: page.entryName.value, value })) {
    announce(`Set ${page.entryName.value}.`);
    page.entryName.value = page.entryValue.value = "";
  }
});
page.clearFaults.addEventListener("click", () => {
  page.faultName.focus();
  ask({ do: "clear_faults" });
});
page.return.addEventListener("click", () => ask({ do: "return_to_clock" }));
for (const element of document.querySelectorAll("[data-move]")) {
  element.addEventListener("click", () => ask({ do: "move_clock", seconds: Number(element.dataset.move) }));
}
page.tracing.addEventListener("change", () => ask({ do: page.tracing.checked ? "start_tracing" : "stop_tracing" }));
page.onlyRefused.addEventListener("change", () => known.given && drawRequests(known.given.requests));
// A browser restores what was chosen before a reload.
oftenChanged();
poll();
