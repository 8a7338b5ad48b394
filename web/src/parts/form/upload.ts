/** Uploads of files, with their progress. */

import { apiUrl, Problem } from "../../api/client";

export interface Uploaded {
  /** What stands for the file in an input. */
  url: string;
  name: string;
  size: number;
}

interface Answer {
  name: string;
  size: number;
  urls: { get: string };
}

/** Upload a file. Throws a Problem. `progress` is told a part of 1. */
export function upload(
  file: File,
  namespace: string,
  progress: (part: number) => void,
  signal: AbortSignal,
): Promise<Uploaded> {
  return new Promise((resolve, reject) => {
    // Not fetch: that can't tell how much of a body was sent.
    const request = new XMLHttpRequest();
    request.open("POST", apiUrl("/files", namespace));
    request.setRequestHeader("Accept", "application/json");
    request.upload.addEventListener("progress", (event) => {
      if (event.lengthComputable && event.total > 0) progress(event.loaded / event.total);
    });
    request.addEventListener("error", () => reject(new Problem(0, "No answer", "The connection broke while the file was sent. Try again.")));
    request.addEventListener("abort", () => reject(new DOMException("stopped", "AbortError")));
    request.addEventListener("load", () => {
      const answer = readAnswer(request);
      if (answer instanceof Problem) reject(answer);
      else resolve({ url: answer.urls.get, name: answer.name, size: answer.size });
    });
    signal.addEventListener("abort", () => request.abort());
    const form = new FormData();
    form.set("content", file, file.name || "pasted");
    request.send(form);
  });
}

function readAnswer(request: XMLHttpRequest): Answer | Problem {
  const status = request.status;
  try {
    const told = JSON.parse(request.responseText) as Answer & { title?: string; detail?: string };
    if (status >= 200 && status < 300) return told;
    return new Problem(status, told.title ?? "Not uploaded", told.detail ?? `Mayfly answered ${status}.`);
  } catch {
    return new Problem(status, "Not uploaded", `Mayfly answered ${status}.`);
  }
}
