/** How much of something there is: a bar, as an image that browsers draw alike. */

export function Meter({
  label,
  value,
  most,
  said,
  high = Number.POSITIVE_INFINITY,
}: {
  label: string;
  value: number;
  most: number;
  /** The value in words, for readers of screens. */
  said: string;
  /** From which value on it is worth a look. */
  high?: number;
}) {
  const shown = most > 0 ? Math.min(1, Math.max(0, value / most)) : 0;
  return (
    <svg
      class={`meter ${value >= high ? "meter-high" : ""}`}
      role="meter"
      aria-label={label}
      aria-valuemin={0}
      aria-valuemax={most}
      aria-valuenow={Math.min(most, Math.max(0, value))}
      aria-valuetext={said}
    >
      <rect width={`${100 * shown}%`} height="100%" rx="4" />
    </svg>
  );
}
