export default function Pools({ parts }: { parts: Record<string, string> }) {
  return <h1>Pools {Object.values(parts).join("/")}</h1>;
}
