export default function Me({ parts }: { parts: Record<string, string> }) {
  return <h1>Me {Object.values(parts).join("/")}</h1>;
}
