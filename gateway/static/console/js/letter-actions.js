// What is done to dead letters, each after a question that says how many and what then.

import { $, h, notice } from "./dom.js";
import { explain, post } from "./api.js";
import { confirmed } from "./dialogs.js";
import { count, plural } from "./format.js";

/** Put all of a filter through: first a dry run, then the question, then the work. True where it was done. */
export async function replayAll(filter) {
  return attempt(async () => {
    const dry = await everything("replay", filter, {});
    if (!dry.letters) {
      notice(dry.kept ? `None of these can be replayed as they are: ${told(dry)}` : "There is nothing to replay", "warn");
      return false;
    }
    const sure = await confirmed(`Replay ${plural(dry.letters, "dead letter")}?`, [
      `${plural(dry.events, "event")} will be published to their streams again, stored by the collectors, and taken out of the dead letters.`,
      ...(dry.kept ? [h("p", { class: "problem" }, `${plural(dry.kept, "letter")} can't be replayed, and will stay: ${told(dry)}`)] : []),
      "Doing it twice doubles nothing.",
    ], `Replay ${count(dry.letters)}`);
    if (!sure) return false;
    const done = await everything("replay", filter, { confirm: true, upTo: dry.upTo });
    notice(`${plural(done.letters, "dead letter")} replayed${done.kept ? `, ${count(done.kept)} kept: ${told(done)}` : ""}`, done.kept ? "warn" : "ok");
    return true;
  });
}

/** Drop all of a filter, after the question. True where it was done. */
export async function dropAll(filter) {
  return drop(filter, (dry) => `Drop ${plural(dry.letters, "dead letter")} for good?`);
}

export async function dropOne(seq) {
  return drop({ seq }, () => `Drop dead letter ${seq} for good?`);
}

async function drop(filter, question) {
  return attempt(async () => {
    const dry = await everything("drop", filter, {});
    if (!dry.letters) {
      notice("There is nothing to drop", "warn");
      return false;
    }
    const lines = [`${plural(dry.events, "event")} will be lost: they were accepted, never stored, and are kept nowhere else. They are written over on the disk.`];
    if (!await confirmed(question(dry), lines, `Drop ${count(dry.letters)}`, "danger")) return false;
    const done = await everything("drop", filter, { confirm: true, upTo: dry.upTo });
    notice(`${plural(done.letters, "dead letter")} dropped`);
    return true;
  });
}

/** One request after the other, as each does a bounded part; the sum of what they say. */
async function everything(action, filter, more) {
  const total = { letters: 0, events: 0, kept: 0, problems: [], upTo: null };
  let start = null;
  do {
    const part = await post(`console/dead-letters/${action}`, { ...filter, ...more, ...(start === null ? {} : { start, upTo: total.upTo }) });
    for (const name of ["letters", "events", "kept"]) total[name] += part[name];
    total.problems.push(...part.problems);
    total.upTo = part.upTo;
    start = part.next;
    if (start !== null) $("notice").textContent = `${more.confirm ? "Working" : "Looking"}: ${plural(total.letters, "letter")} so far`;
  } while (start !== null);
  $("notice").textContent = "";
  return total;
}

async function attempt(work) {
  try {
    return await work();
  } catch (problem) {
    notice(explain(problem), "down");
    return false;
  }
}

const told = ({ problems, kept }) => problems.slice(0, 2).map(({ seq, problem }) => `${seq}: ${problem}`).join("; ") + (kept > 2 ? "; …" : "");
