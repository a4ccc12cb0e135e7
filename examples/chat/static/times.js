// Points in time in the language and the time zone of the reader.

const DAY_MS = 86_400_000;

const clockFormat = new Intl.DateTimeFormat(undefined, { hour: "numeric", minute: "2-digit" });
const dayFormat = new Intl.DateTimeFormat(undefined, { weekday: "long", day: "numeric", month: "long" });
const dayOfYearFormat = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "long", year: "numeric" });
const shortDayFormat = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });
const momentFormat = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "medium" });

export const clock = (at) => clockFormat.format(at);

/** Whether two times are on the same local day. */
export const isSameDay = (a, b) => new Date(a).toDateString() === new Date(b).toDateString();

/** "Today", "Yesterday", "Friday, November 14", or with its year if that is another. */
export function day(at, now = Date.now()) {
  if (isSameDay(at, now)) return "Today";
  if (isSameDay(at, now - DAY_MS)) return "Yesterday";
  const isThisYear = new Date(at).getFullYear() === new Date(now).getFullYear();
  return (isThisYear ? dayFormat : dayOfYearFormat).format(at);
}

/** Returns the time of day if it is today, else the day. */
export function shortMoment(at, now = Date.now()) {
  return (isSameDay(at, now) ? clockFormat : shortDayFormat).format(at);
}

/** Shows a time in a `<time>` element in these words, and in full as its tooltip. */
export function showTime(time, at, words) {
  time.dateTime = new Date(at).toISOString();
  time.title = momentFormat.format(at);
  time.textContent = words;
}
