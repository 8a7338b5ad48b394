export default function Pipelines({ parts }: { parts: Record<string, string> }) {
  return <h1>Pipelines {Object.values(parts).join("/")}</h1>;
}
