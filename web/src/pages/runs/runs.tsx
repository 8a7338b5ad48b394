export default function Runs({ parts }: { parts: Record<string, string> }) {
  return <h1>Runs {Object.values(parts).join("/")}</h1>;
}
