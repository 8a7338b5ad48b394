export default function Editor({ parts }: { parts: Record<string, string> }) {
  return <h1>Editor {Object.values(parts).join("/")}</h1>;
}
