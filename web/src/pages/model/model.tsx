export default function Pipeline({ parts }: { parts: Record<string, string> }) {
  return <h1>Pipeline {Object.values(parts).join("/")}</h1>;
}
