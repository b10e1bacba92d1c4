// Numbers and times in words. All take null for what is not known.

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const short = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });
const small = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });

export const count = (value) => (value == null ? "–" : whole.format(value));

/** 12,345 in full, 1.2M when it gets long; a rate under ten with a decimal. */
export function figure(value) {
  if (value == null) return "–";
  if (value >= 1e5) return short.format(value);
  return value > 0 && value < 10 ? small.format(value) : whole.format(value);
}

export function ms(value) {
  if (value == null) return "–";
  if (value >= 10_000) return `${small.format(value / 1000)} s`;
  return `${value < 10 ? small.format(value) : whole.format(value)} ms`;
}

export function duration(seconds) {
  if (seconds == null) return "–";
  if (seconds < 90) return `${seconds < 10 ? small.format(seconds) : whole.format(seconds)} s`;
  if (seconds < 5400) return `${whole.format(seconds / 60)} min`;
  if (seconds < 172_800) return `${small.format(seconds / 3600)} h`;
  return `${whole.format(seconds / 86_400)} days`;
}

export function bytes(value) {
  if (value == null) return "–";
  return value < 1024 ? `${value} B` : value < 1048576 ? `${small.format(value / 1024)} KiB` : `${small.format(value / 1048576)} MiB`;
}

/** The time of day; with the date where it was another day. */
export function clock(seconds) {
  const moment = new Date(seconds * 1000);
  const time = moment.toLocaleTimeString("en-GB");
  return moment.toDateString() === new Date().toDateString() ? time : `${moment.toLocaleDateString("en-CA")} ${time}`;
}

export const plural = (number, one, many = `${one}s`) => `${count(number)} ${number === 1 ? one : many}`;

/** `wrong_type` → `wrong type` */
export const words = (name) => name.replaceAll("_", " ");

export const sum = (record) => Object.values(record ?? {}).reduce((total, value) => total + value, 0);
