export default function Usage({ parts }: { parts: Record<string, string> }) {
  return <h1>Usage {Object.values(parts).join("/")}</h1>;
}
