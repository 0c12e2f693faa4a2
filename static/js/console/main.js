// The console of moderators: a page that works by links and forms, kept live by these modules.
import { alarm } from "./alarm.js";
import { keepClocks, serverTime } from "./clocks.js";
import { keys } from "./keys.js";
import { mergeLines, replaceWith } from "./keep.js";
import { beat } from "./presence.js";
import { poller } from "./poll.js";
import { push } from "./push.js";
import { reply } from "./reply.js";

const body = document.body;
const { dataset } = body;
const bell = alarm(body);

/** @param {Element} part */
function read(part) {
  const board = part.querySelector("[data-board]");
  if (!board) return;
  serverTime(Number(board.dataset.now));
  const ringing = board.dataset.ring.split(" ").filter(Boolean).map((pair) => pair.split(":").map(Number));
  bell.show(ringing.map(([id, level]) => ({ id, level })));
  const shown = [...part.querySelectorAll("[data-case]")].map((row) => row.dataset.case);
  beat.shows(dataset.pageCase ? [dataset.pageCase] : shown, ringing.map(([id]) => id));
}

const live = document.querySelector("[data-live-part]");
const severe = () => bell.waiting().some(({ level }) => level >= 3);
const pace = () => (severe() ? Number(dataset.fast) : Number(dataset.poll));
serverTime(Number(dataset.now));
read(live);
keepClocks();
keys(body, bell);
push();

const polls = [
  poller({
    url: dataset.live,
    pace,
    show(html) {
      replaceWith(live, html);
      read(live);
    },
  }),
];

// The page of a case: its conversation, its facts, the reply.
const facts = document.querySelector("[data-facts-part]");
if (facts) {
  polls.push(
    poller({
      url: dataset.factsUrl,
      pace: () => Number(dataset.poll),
      show(html) {
        replaceWith(facts, html);
        const state = facts.querySelector("[data-facts]").dataset.state;
        if (state !== dataset.pageState) changed();
      },
    }),
  );
}
const lines = document.querySelector("[data-window]");
if (lines && dataset.windowUrl) {
  const atEnd = () => lines.scrollHeight - lines.scrollTop - lines.clientHeight < 60;
  lines.scrollTop = lines.scrollHeight;
  const talk = poller({
    url: dataset.windowUrl,
    pace: () => Number(dataset.fast),
    show(html) {
      const follow = atEnd();
      mergeLines(lines, html);
      if (follow) lines.scrollTop = lines.scrollHeight;
    },
    over: changed,
  });
  polls.push(talk);
  reply(document.querySelector("[data-reply]"), body, talk.now);
}

/** Somebody else acted, or the right to read is over: read again, unless something typed would be lost. */
function changed() {
  const typed = [...document.querySelectorAll("main textarea")].some((field) => field.value !== field.defaultValue);
  if (!typed) {
    location.replace(location.pathname);
    return;
  }
  const note = document.querySelector("[data-changed]");
  note.textContent = dataset.sayChanged;
  note.hidden = false;
}

// Timers of pages in the background are slowed down to one a minute; those of a worker are not.
const ticks = new Worker(new URL("./ticks.js", import.meta.url), { type: "module" });
ticks.addEventListener("message", () => {
  for (const poll of polls) poll.tick();
  beat.tick(dataset.beat);
  bell.tick();
});
