export default function Prediction({ parts }: { parts: Record<string, string> }) {
  return <h1>Prediction {Object.values(parts).join("/")}</h1>;
}
