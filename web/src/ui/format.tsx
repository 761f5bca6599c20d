import { useEffect, useState } from "react";

const units = ["B", "KiB", "MiB", "GiB", "TiB"];

export function bytes(count: number): string {
  let unit = 0;
  for (; count >= 1024 && unit < units.length - 1; unit++) count /= 1024;
  return `${unit === 0 || count >= 100 ? Math.round(count) : count.toFixed(1)} ${units[unit]}`;
}

export function mebibytes(count: number): string {
  return bytes(count * 1024 * 1024);
}

/** A span of time such as "4 min 12 s"; from ten of the largest unit on in that alone. */
export function span(seconds: number): string {
  const whole = Math.max(0, Math.floor(seconds));
  const parts: [number, string][] = [
    [Math.floor(whole / 86_400), "d"],
    [Math.floor(whole / 3600) % 24, "h"],
    [Math.floor(whole / 60) % 60, "min"],
    [whole % 60, "s"],
  ];
  const first = parts.findIndex(([count]) => count > 0);
  if (first < 0) return "0 s";
  return parts
    .slice(first, first + ((parts[first]?.[0] ?? 0) < 10 ? 2 : 1))
    .filter(([count]) => count > 0)
    .map(([count, unit]) => `${count} ${unit}`)
    .join(" ");
}

/** The time of day, renewed each second. */
export function useNow(): number {
  const [now, setNow] = useState(() => Date.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 1000);
    return () => clearInterval(timer);
  }, []);
  return now;
}

const full = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });

export function dateTime(time: string): string {
  return full.format(new Date(time));
}

/** A moment as "3 min 20 s ago", or "in" so long, with the date as its tooltip. */
export function Ago({ time }: { time: string | null | undefined }) {
  const now = useNow();
  if (time === null || time === undefined || time.startsWith("0001-")) return <span className="muted">never</span>;
  const seconds = (now - Date.parse(time)) / 1000;
  return (
    <time className="nowrap" dateTime={time} title={dateTime(time)}>
      {seconds < -1 ? `in ${span(-seconds)}` : seconds < 2 ? "just now" : `${span(seconds)} ago`}
    </time>
  );
}

export function Moment({ time }: { time: string }) {
  return <time dateTime={time}>{dateTime(time)}</time>;
}
