// The phones page of the sandbox: asks `/phones.json` what changed and draws the devices and their pushes.
//
// Everything in an answer was sent by whoever called the sandbox, so it is written with textContent only, is cut to
// a length, and becomes a link only when it is an http(s) address. Nothing is loaded from outside: an image of a push
// is shown as its address.

const POLL_MS = 500;
const SLOWEST_RETRY_MS = 2000;
const ANSWER_TIMEOUT_MS = 8000;
const CARDS_AT_ONCE = 120;
const PUSHES_PER_PHONE = 50;
const PUSHES_AT_FIRST = 10;
const FRESH_MS = 2500;
const ANNOUNCE_MS = 1500;
const LONGEST = { line: 300, body: 2000, payload: 50000, tags: 100, buttons: 10 };

const LETTER_STATES = new Map([[1, "unread"], [2, "read"], [3, "opened"]]);

// `devices=-1` is a version no sandbox has, so the answer carries the devices.
const NO_VERSION = -1;

// How a platform is drawn; the order is the order of the filter chips.
const LOOKS = new Map([
  [1, ["ios", "phone"]],
  [3, ["android", "phone"]],
  [17, ["huawei", "phone"]],
  [9, ["amazon", "phone"]],
  [10, ["safari", "window"]],
  [11, ["chrome", "window"]],
  [12, ["firefox", "window"]],
  [13, ["windows", "window"]],
  [7, ["macos", "window"]],
  [8, ["windows", "window"]],
  [18, ["sms", "phone"]],
  [21, ["whatsapp", "phone"]],
  [14, ["email", "window"]],
]);
const PLATFORM_ORDER = [...LOOKS.keys()];

const byId = (id) => document.getElementById(id);
const page = {
  announcer: byId("announcer"),
  applications: byId("applications"),
  banner: byId("banner"),
  chips: byId("chips"),
  clear: byId("clear"),
  deviceCount: byId("device-count"),
  grid: byId("grid"),
  live: byId("live"),
  more: byId("more"),
  nothing: byId("nothing"),
  nothingText: byId("nothing-text"),
  pause: byId("pause"),
  pushCount: byId("push-count"),
  search: byId("search"),
  shown: byId("shown"),
  withPushes: byId("with-pushes"),
};
const cardTemplate = byId("card-template").content.firstElementChild;
const pushTemplate = byId("push-template").content.firstElementChild;

// What the sandbox told us.
const known = {
  // Of the newest push; the sandbox counts them from 1, so it is their number too.
  sequence: 0,
  devicesVersion: NO_VERSION,
  now: "",
  loaded: false,
  clock: "",
  applications: [],
  devices: new Map(),
  inboxes: new Map(),
};
// What the reader chose.
const chosen = {
  terms: [],
  platforms: new Set(),
  withPushes: false,
  paused: false,
  drawnSequence: 0,
  limit: CARDS_AT_ONCE,
};
const cards = new Map();
const chips = new Map();

const numbers = new Intl.NumberFormat("en");
const times = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const clocks = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" });

const isRecord = (value) => typeof value === "object" && value !== null && !Array.isArray(value);
const listOf = (value) => (Array.isArray(value) ? value : []);
const counted = (count, one, many = `${one}s`) => `${numbers.format(count)} ${count === 1 ? one : many}`;
const cut = (words, longest) => (words.length > longest ? `${words.slice(0, longest)}…` : words);

function asText(value, longest = LONGEST.line) {
  if (value === null || value === undefined) return "";
  if (typeof value === "string") return cut(value, longest);
  try {
    return cut(JSON.stringify(value), longest);
  } catch {
    return "(too deep to show)";
  }
}

function asPrettyJson(value) {
  try {
    return cut(JSON.stringify(value, null, 2) || "", LONGEST.payload);
  } catch {
    return "(too deep to show)";
  }
}

function labelOf(device) {
  const number = asText(device.platform, 20);
  return asText(device.platform_label, 60) || (device.platform ? `Platform ${number}` : "Unknown platform");
}

function formatted(format, iso) {
  const moment = new Date(iso);
  return Number.isNaN(moment.getTime()) ? asText(iso, 40) : format.format(moment);
}

// The address when a browser may open it, otherwise null: a push can carry `javascript:` and app links too.
function webAddress(value) {
  if (typeof value !== "string") return null;
  try {
    const address = new URL(value);
    return address.protocol === "http:" || address.protocol === "https:" ? address.href : null;
  } catch {
    return null;
  }
}

function write(element, words) {
  if (element.textContent !== words) element.textContent = words;
}

function writeOrHide(element, words) {
  write(element, words);
  element.hidden = words === "";
}

function make(tag, className, words = "") {
  const element = document.createElement(tag);
  element.className = className;
  element.textContent = words;
  return element;
}

function linkOrWords(className, words, target) {
  const address = webAddress(target);
  const element = make(address ? "a" : "span", className, words);
  if (address) {
    element.href = address;
    element.target = "_blank";
    element.rel = "noopener noreferrer";
  }
  if (target) element.title = asText(target);
  return element;
}

function forgetEverything() {
  known.sequence = 0;
  known.devicesVersion = NO_VERSION;
  known.loaded = false;
  known.devices = new Map();
  known.inboxes = new Map();
  for (const card of cards.values()) card.element.remove();
  cards.clear();
  if (chosen.paused) setPaused(false);
}

function takeDevices(list) {
  const devices = new Map();
  for (const device of list) {
    if (isRecord(device)) devices.set(String(device.id), device);
  }
  known.devices = devices;
}

// Puts the pushes into the inboxes of their devices, newest first, and returns those not seen before.
function takePushes(list) {
  const arrived = list
    .filter((push) => isRecord(push) && Number.isSafeInteger(push.sequence) && push.sequence > known.sequence)
    .sort((one, other) => one.sequence - other.sequence);
  for (const push of arrived) {
    const id = String(push.device);
    const inbox = known.inboxes.get(id) || { latest: 0, pushes: [] };
    known.inboxes.set(id, inbox);
    inbox.latest = push.sequence;
    inbox.pushes.unshift(push);
    if (inbox.pushes.length > PUSHES_PER_PHONE) inbox.pushes.pop();
  }
  return arrived;
}

function searchable(device) {
  const words = [device.hwid, device.user_id, device.model, device.platform_label, device.language, device.application];
  for (const [name, value] of Object.entries(isRecord(device.tags) ? device.tags : {})) {
    words.push(name, tagValue(value));
  }
  return words.map((word) => asText(word)).join("\n").toLowerCase();
}

const haystacks = new WeakMap();

function matches(device, id) {
  if (chosen.platforms.size && !chosen.platforms.has(device.platform)) return false;
  if (chosen.withPushes && !known.inboxes.has(id)) return false;
  if (!chosen.terms.length) return true;
  if (!haystacks.has(device)) haystacks.set(device, searchable(device));
  const haystack = haystacks.get(device);
  return chosen.terms.every((term) => haystack.includes(term));
}

// Ids of the phones to show, those which received most recently first, the others in the sandbox's order.
function wantedIds() {
  const ids = [];
  for (const [id, device] of known.devices) {
    if (matches(device, id)) ids.push(id);
  }
  const latest = (id) => (known.inboxes.has(id) ? known.inboxes.get(id).latest : 0);
  return ids.sort((one, other) => latest(other) - latest(one));
}

function tagValue(value) {
  return Array.isArray(value) ? value.map((item) => asText(item, 80)).join(", ") : asText(value);
}

function makeCard(id, device) {
  const element = cardTemplate.cloneNode(true);
  const find = (selector) => element.querySelector(selector);
  const [look, shape] = LOOKS.get(device.platform) || ["other", "phone"];
  element.dataset.platform = asText(device.platform, 20);
  element.dataset.look = look;
  element.dataset.shape = shape;
  const card = {
    element,
    platform: find(".card-platform"),
    model: find(".card-model"),
    state: find(".card-state"),
    badge: find(".card-badge"),
    user: find(".card-user"),
    hwid: find(".card-hwid"),
    language: find(".card-language"),
    application: find(".card-application"),
    tags: find(".card-tags"),
    letters: find(".card-letters"),
    test: find(".card-test"),
    clock: find(".bar-clock"),
    screen: find(".screen"),
    empty: find(".screen-empty"),
    list: find(".pushes"),
    older: find(".older"),
    depth: PUSHES_AT_FIRST,
    device: null,
    platformDrawn: device.platform,
    tagsDrawn: null,
    lettersDrawn: null,
    latest: 0,
    freshTimer: 0,
  };
  card.older.addEventListener("click", () => showOlder(card, known.inboxes.get(id)));
  return card;
}

function drawDevice(card, device) {
  if (card.device === device) return;
  card.device = device;
  const label = labelOf(device);
  const hwid = asText(device.hwid);
  // A device nobody has signed in on has its hwid for a user id.
  const user = device.user_id === device.hwid ? "" : asText(device.user_id);
  const model = asText(device.model, 80);
  const subscribed = device.subscribed !== false;
  card.element.dataset.hwid = hwid;
  card.element.classList.toggle("is-unsubscribed", !subscribed);
  card.element.setAttribute("aria-label", [label, model, user || hwid].filter(Boolean).join(", "));
  write(card.platform, label);
  writeOrHide(card.model, model);
  card.state.hidden = subscribed;
  card.test.hidden = device.test_device !== true;
  writeOrHide(card.user, user);
  write(card.hwid, hwid);
  card.hwid.title = hwid;
  writeOrHide(card.language, asText(device.language, 20));
  const badge = Number(device.badge) || 0;
  writeOrHide(card.badge, badge > 999 ? "999+" : badge ? String(badge) : "");
  card.badge.setAttribute("aria-label", `badge ${badge}`);
  drawTags(card, isRecord(device.tags) ? device.tags : {});
}

// What lies in the app's inbox; what has passed its time is still in the document until something changes.
function drawLetters(card) {
  const now = Date.parse(known.now);
  const letters = (Array.isArray(card.device.letters) ? card.device.letters : []).filter(
    (letter) => isRecord(letter) && !(Date.parse(letter.removed_at) <= now),
  );
  const drawn = asText(letters, LONGEST.payload);
  if (card.lettersDrawn === drawn) return;
  card.lettersDrawn = drawn;
  card.letters.hidden = letters.length === 0;
  write(card.letters.firstElementChild, `${letters.length} in the inbox`);
  const items = letters.slice(0, LONGEST.tags).map((letter) => {
    const item = make("li", "tag");
    item.dir = "auto";
    const words = [asText(letter.title, LONGEST.line), asText(letter.text, LONGEST.line)].filter(Boolean).join(" · ");
    item.append(make("span", "tag-name", LETTER_STATES.get(letter.status) || "?"), " ", make("span", "tag-value", words));
    return item;
  });
  card.letters.lastElementChild.replaceChildren(...items);
}

function drawTags(card, tags) {
  const entries = Object.entries(tags);
  const drawn = asText(entries, LONGEST.payload);
  if (card.tagsDrawn === drawn) return;
  card.tagsDrawn = drawn;
  card.tags.hidden = entries.length === 0;
  write(card.tags.firstElementChild, counted(entries.length, "tag"));
  const items = entries.slice(0, LONGEST.tags).map(([name, value]) => {
    const item = make("li", "tag");
    item.dir = "auto";
    item.append(make("span", "tag-name", cut(name, LONGEST.line)), " ", make("span", "tag-value", tagValue(value)));
    return item;
  });
  card.tags.lastElementChild.replaceChildren(...items);
}

function drawInbox(card, inbox, isFresh) {
  if (!inbox || inbox.latest === card.latest) return;
  const fresh = inbox.pushes.slice(0, card.depth).filter((push) => push.sequence > card.latest);
  card.latest = inbox.latest;
  card.empty.hidden = true;
  card.list.prepend(...fresh.map((push) => makePush(push, isFresh)));
  while (card.list.childElementCount > card.depth) card.list.lastElementChild.remove();
  drawOlder(card, inbox);
  if (!isFresh) return;
  card.element.classList.add("is-fresh");
  clearTimeout(card.freshTimer);
  card.freshTimer = setTimeout(() => card.element.classList.remove("is-fresh"), FRESH_MS);
}

function drawOlder(card, inbox) {
  const older = inbox.pushes.length - card.list.childElementCount;
  writeOrHide(card.older, older > 0 ? `Show ${older} older` : "");
}

// The list always shows the first pushes of the inbox, so those missing follow its last.
function showOlder(card, inbox) {
  const firstNew = card.list.childElementCount;
  card.depth = PUSHES_PER_PHONE;
  card.list.append(...inbox.pushes.slice(firstNew).map((push) => makePush(push, false)));
  drawOlder(card, inbox);
  card.list.children[firstNew].querySelector("summary").focus({ preventScroll: true });
}

function makePush(push, isFresh) {
  const element = pushTemplate.cloneNode(true);
  const find = (selector) => element.querySelector(selector);
  const payload = isRecord(push.payload) ? push.payload : {};
  const code = asText(push.message);
  element.dataset.message = code;
  element.dataset.sequence = String(push.sequence);
  element.classList.toggle("is-fresh", isFresh);
  writeOrHide(find(".push-title"), asText(push.title));
  writeOrHide(find(".push-body"), asText(push.body, LONGEST.body));
  const time = find(".push-time");
  time.dateTime = asText(push.at, 40);
  time.title = asText(push.at, 40);
  write(time, formatted(times, push.at));
  fill(find(".push-links"), [
    payload.l && linkOrWords("push-link", asText(payload.l), payload.l),
    payload.image && linkOrWords("push-image", asText(payload.image), payload.image),
  ]);
  fill(
    find(".push-buttons"),
    listOf(payload.buttons)
      .slice(0, LONGEST.buttons)
      .filter(isRecord)
      .map((button) => linkOrWords("push-button", asText(button.text, 80) || "(no text)", button.url)),
  );
  fill(
    find(".push-facts"),
    ["badge", "priority", "sound"].map((name) => {
      const words = asText(payload[name], 80);
      if (words === "") return null;
      const fact = make("span", "push-fact", `${name} `);
      fact.append(make("span", `push-${name}`, words));
      return fact;
    }),
  );
  write(find(".push-code"), `message ${code}`);
  write(find(".push-payload pre"), asPrettyJson(push.payload));
  return element;
}

function fill(parent, children) {
  const present = children.filter(Boolean);
  parent.hidden = present.length === 0;
  // The spaces keep the words apart where the style sheet is not read: copied text, screen readers.
  present.forEach((child, index) => parent.append(index ? " " : "", child));
}

// Moves, adds and removes cards so that the grid shows `ids` in order, touching only those out of place. A moved
// element loses its focus and scroll position, so they are put back. (`moveBefore` would keep them, but in Chromium
// an opened <details> in what it moves stays empty.)
function arrange(ids) {
  const wanted = new Set(ids);
  for (const [id, card] of cards) {
    if (!wanted.has(id)) {
      card.element.remove();
      cards.delete(id);
    }
  }
  const focused = document.activeElement;
  const scrolled = ids.map((id) => cards.get(id).screen).filter((screen) => screen.scrollTop > 0);
  const positions = scrolled.map((screen) => screen.scrollTop);
  let next = page.grid.firstElementChild;
  for (const id of ids) {
    const { element } = cards.get(id);
    if (element === next) next = next.nextElementSibling;
    else page.grid.insertBefore(element, next);
  }
  scrolled.forEach((screen, index) => {
    if (screen.scrollTop === 0) screen.scrollTop = positions[index];
  });
  if (focused !== document.activeElement && page.grid.contains(focused)) focused.focus({ preventScroll: true });
}

function cardOf(id, device) {
  const existing = cards.get(id);
  if (existing && existing.platformDrawn === device.platform) return existing;
  if (existing) existing.element.remove();
  const card = makeCard(id, device);
  cards.set(id, card);
  return card;
}

function drawCards(freshIds) {
  const ids = wantedIds();
  const visible = ids.slice(0, chosen.limit);
  for (const id of visible) {
    const device = known.devices.get(id);
    const card = cardOf(id, device);
    drawDevice(card, device);
    drawLetters(card);
    drawInbox(card, known.inboxes.get(id), freshIds.has(id));
    write(card.clock, known.clock);
    writeOrHide(card.application, known.applications.length > 1 ? asText(device.application, 40) : "");
  }
  arrange(visible);
  drawAround(ids.length, visible.length);
}

function drawAround(matching, visible) {
  const total = known.devices.size;
  const rest = matching - visible;
  page.more.hidden = rest === 0;
  const ofRest = rest > CARDS_AT_ONCE ? ` of ${numbers.format(rest)}` : "";
  write(page.more, `Show ${Math.min(rest, CARDS_AT_ONCE)} more${ofRest}`);
  const filtered = isFiltered();
  write(page.shown, filtered && matching ? `${numbers.format(matching)} of ${counted(total, "phone")}` : "");
  page.nothing.hidden = matching > 0 || !known.loaded;
  page.clear.hidden = !filtered;
  write(
    page.nothingText,
    total && filtered
      ? "No phone matches this filter."
      : "No device has registered yet. It appears here as soon as an app calls registerDevice on the sandbox.",
  );
}

function isFiltered() {
  return chosen.terms.length > 0 || chosen.platforms.size > 0 || chosen.withPushes;
}

function drawHeader() {
  write(page.deviceCount, numbers.format(known.devices.size));
  write(page.pushCount, numbers.format(known.sequence));
  const codes = known.applications.map((application) => asText(application.code, 40));
  write(page.applications, codes.length > 3 ? counted(codes.length, "application") : codes.join(" · "));
}

function drawChips() {
  const counts = new Map();
  const labels = new Map();
  for (const device of known.devices.values()) {
    counts.set(device.platform, (counts.get(device.platform) || 0) + 1);
    labels.set(device.platform, labelOf(device));
  }
  for (const platform of chosen.platforms) {
    if (!counts.has(platform)) chosen.platforms.delete(platform);
  }
  const place = (platform) => (PLATFORM_ORDER.indexOf(platform) + 1 || PLATFORM_ORDER.length + 1);
  const platforms = [...counts.keys()].sort((one, other) => place(one) - place(other));
  for (const [platform, chip] of chips) {
    if (platform !== null && !counts.has(platform)) {
      chip.remove();
      chips.delete(platform);
    }
  }
  drawChip(null, "All", null, 0);
  platforms.forEach((platform, index) => drawChip(platform, labels.get(platform), counts.get(platform), index + 1));
}

function drawChip(platform, label, count, index) {
  let chip = chips.get(platform);
  if (!chip) {
    chip = make("button", "chip");
    chip.type = "button";
    chip.append(make("span", "chip-label"), " ", make("span", "chip-count"));
    if (platform !== null) chip.dataset.look = (LOOKS.get(platform) || ["other"])[0];
    chip.addEventListener("click", () => choosePlatform(platform));
    chips.set(platform, chip);
  }
  const [name, number] = chip.children;
  write(name, label);
  writeOrHide(number, count === null ? "" : numbers.format(count));
  const pressed = platform === null ? chosen.platforms.size === 0 : chosen.platforms.has(platform);
  chip.setAttribute("aria-pressed", String(pressed));
  if (page.chips.children[index] !== chip) page.chips.insertBefore(chip, page.chips.children[index] || null);
}

function draw(freshIds = new Set()) {
  drawChips();
  drawCards(freshIds);
}

function choosePlatform(platform) {
  if (platform === null) chosen.platforms.clear();
  else if (!chosen.platforms.delete(platform)) chosen.platforms.add(platform);
  filterChanged();
}

function filterChanged() {
  chosen.limit = CARDS_AT_ONCE;
  chosen.terms = page.search.value.toLowerCase().split(/\s+/).filter(Boolean);
  chosen.withPushes = page.withPushes.checked;
  redraw();
}

function setPaused(paused) {
  chosen.paused = paused;
  page.pause.setAttribute("aria-pressed", String(paused));
  redraw();
}

// Draws all that is known, also while paused: then the reader asked for it.
function redraw() {
  chosen.drawnSequence = known.sequence;
  draw();
  drawLive(page.banner.hidden ? "live" : "down");
}

function drawLive(state) {
  if (!known.loaded && state === "live") return;
  const held = known.sequence - chosen.drawnSequence;
  page.live.dataset.state = state === "live" && chosen.paused ? "paused" : state;
  if (state !== "live") write(page.live, "not answering");
  else if (chosen.paused) write(page.live, held > 0 ? `paused, ${numbers.format(held)} new` : "paused");
  else write(page.live, "live");
}

const unannounced = { count: 0, last: null };

// New pushes are read out together: one sentence at most every `ANNOUNCE_MS`, however many arrive.
function announce(pushes) {
  if (!pushes.length) return;
  if (!unannounced.count) setTimeout(readOut, ANNOUNCE_MS);
  unannounced.count += pushes.length;
  unannounced.last = pushes[pushes.length - 1];
}

function readOut() {
  const { count, last } = unannounced;
  unannounced.count = 0;
  const device = known.devices.get(String(last.device)) || {};
  const owner = asText(device.user_id || device.hwid, 60);
  const where = [device.platform && labelOf(device), owner].filter(Boolean).join(", ");
  const latest = [asText(last.title) || asText(last.body), where && `on ${where}`].filter(Boolean).join(", ");
  const several = `${counted(count, "new push", "new pushes")}. Latest: ${latest}`;
  write(page.announcer, count === 1 ? `New push: ${latest}` : several);
}

async function ask() {
  const controller = new AbortController();
  const timer = setTimeout(() => controller.abort(), ANSWER_TIMEOUT_MS);
  try {
    const address = `/phones.json?since=${known.sequence}&devices=${known.devicesVersion}`;
    const response = await fetch(address, { cache: "no-store", signal: controller.signal });
    if (!response.ok) throw new Error(`status ${response.status}`);
    const answer = await response.json();
    if (!isRecord(answer) || !Number.isSafeInteger(answer.sequence)) throw new Error("not an answer of the sandbox");
    return answer;
  } finally {
    clearTimeout(timer);
  }
}

// A sandbox which counts from a lower number has been reset or is another one.
function wasReset(answer) {
  return known.loaded && (answer.sequence < known.sequence || answer.devices_version < known.devicesVersion);
}

function take(answer) {
  const isFirst = !known.loaded;
  const clock = formatted(clocks, answer.now);
  const applications = listOf(answer.applications).filter(isRecord);
  const changed = clock !== known.clock || asText(applications, Infinity) !== asText(known.applications, Infinity);
  known.clock = clock;
  known.now = answer.now;
  known.applications = applications;
  if (Array.isArray(answer.devices)) takeDevices(answer.devices);
  const arrived = takePushes(listOf(answer.pushes));
  known.sequence = answer.sequence;
  if (Number.isSafeInteger(answer.devices_version)) known.devicesVersion = answer.devices_version;
  known.loaded = true;
  drawHeader();
  if (!chosen.paused && (isFirst || changed || arrived.length || answer.devices)) {
    draw(new Set(isFirst ? [] : arrived.map((push) => String(push.device))));
  }
  if (!isFirst) announce(arrived);
}

function complain() {
  drawLive("down");
  // Written once: a screen reader reads an alert again whenever it changes.
  write(page.banner, "The sandbox is not answering. This page keeps asking and continues by itself.");
  page.banner.hidden = false;
}

function recovered() {
  drawLive("live");
  page.banner.hidden = true;
}

async function poll(retryMs = POLL_MS) {
  let answer;
  try {
    answer = await ask();
  } catch {
    complain();
    setTimeout(poll, retryMs, Math.min(retryMs * 2, SLOWEST_RETRY_MS));
    return;
  }
  const reset = wasReset(answer);
  try {
    if (reset) forgetEverything();
    else take(answer);
    recovered();
  } finally {
    setTimeout(poll, reset ? 0 : POLL_MS);
  }
}

function showMore() {
  const before = page.grid.childElementCount;
  chosen.limit += CARDS_AT_ONCE;
  redraw();
  const firstNew = page.grid.children[before];
  if (firstNew) firstNew.focus({ preventScroll: true });
}

function showAll() {
  page.search.value = "";
  page.withPushes.checked = false;
  chosen.platforms.clear();
  filterChanged();
  page.search.focus();
}

page.search.addEventListener("input", filterChanged);
page.withPushes.addEventListener("change", filterChanged);
page.pause.addEventListener("click", () => setPaused(!chosen.paused));
page.more.addEventListener("click", showMore);
page.clear.addEventListener("click", showAll);
// A browser restores what was typed before a reload.
filterChanged();
poll();
