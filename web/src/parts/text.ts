/** Numbers and moments as words, the same on every page. */

const ZONE = Intl.DateTimeFormat().resolvedOptions().timeZone;

const MOMENT = new Intl.DateTimeFormat(undefined, {
  year: "numeric",
  month: "short",
  day: "numeric",
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
  hourCycle: "h23",
  timeZoneName: "short",
});

/** The reader's time zone, as the browser names it. */
export function zone(): string {
  return ZONE;
}

/** A moment in the reader's time zone, with the zone said. */
export function moment(at: string): string {
  return MOMENT.format(new Date(at));
}

/** How long ago something was: "12 s ago", "3 min ago", "2 days ago". */
export function ago(at: string, now: number): string {
  const seconds = Math.max(0, (now - Date.parse(at)) / 1000);
  if (seconds < 1) return "now";
  if (seconds < 60) return `${Math.floor(seconds)} s ago`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)} h ago`;
  const days = Math.floor(seconds / 86_400);
  return `${days} ${days === 1 ? "day" : "days"} ago`;
}

/** A length of time: "41 ms", "3.2 s", "4 min 5 s", "2 h 10 min". */
export function length(seconds: number): string {
  if (seconds < 0.9995) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 59.95) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
}

/** An amount of money, short: exact below, three significant digits here. */
export function money(amount: string, currency: string): string {
  const value = Number(amount);
  if (value === 0) return `0 ${currency}`;
  const digits = Math.abs(value) >= 1 ? 2 : Math.min(12, 2 - Math.floor(Math.log10(Math.abs(value))));
  const shown = value.toFixed(digits).replace(/(\.\d*?[1-9])0+$|\.0+$/, "$1");
  return `${shown} ${currency}`;
}

/** A count with its noun: "1 run", "2 runs", "1,204 runs". */
export function count(number: number, one: string, many = `${one}s`): string {
  return `${number.toLocaleString("en")} ${number === 1 ? one : many}`;
}

/** A size of data: "312 B", "4.1 kB", "2.0 MB". */
export function bytes(size: number): string {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let value = size;
  let unit = 0;
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${unit === 0 ? value : value.toFixed(1)} ${units[unit]}`;
}
