/** One run: its state, why it failed, and what it did, while it works and for ever after. */

import { useEffect, useMemo } from "preact/hooks";
import { apiUrl, Problem } from "../../api/client";
import { href, param } from "../../app/router";
import { Log } from "../../parts/log";
import { Empty, ErrorNotice, Loading } from "../../parts/notices";
import { ended } from "../../parts/status";
import { Tabs } from "../../parts/tabs";
import { Bill } from "./bill";
import { Failure } from "./failure";
import { Followed } from "./follow";
import { Head } from "./head";
import { Overview } from "./overview";
import { Source } from "./source";
import { Tree } from "./tree";
import type { Detail } from "./types";
import "./prediction.css";

const TABS = [
  ["overview", "Overview"],
  ["log", "Log"],
  ["tree", "Tree"],
  ["source", "Source"],
  ["bill", "Bill"],
] as const;

export default function Prediction({ parts }: { parts: Record<string, string> }) {
  const id = parts.id ?? "";
  const followed = useMemo(() => new Followed(id), [id]);
  useEffect(() => followed.open(), [followed]);
  const detail = followed.detail.value;
  const error = followed.error.value;
  const name = detail?.name ?? "Run";
  useEffect(() => {
    document.title = `${name} · Mayfly`;
  }, [name]);
  if (!detail) {
    if (error instanceof Problem && error.status === 404) return <NoSuchRun id={id} />;
    return error ? <ErrorNotice error={error} again={followed.load} /> : <Loading />;
  }
  return (
    <>
      <Head followed={followed} detail={detail} />
      <Failure followed={followed} detail={detail} />
      <Tabs label="Parts of the run" tabs={detail.kind === "model" ? TABS.filter(([key]) => key !== "source") : TABS} />
      <Shown followed={followed} detail={detail} />
    </>
  );
}

function Shown({ followed, detail }: { followed: Followed; detail: Detail }) {
  switch (param("tab")) {
    case "log":
      return detail.data_removed ? <DataRemoved what="log" /> : <RunLog followed={followed} detail={detail} />;
    case "tree":
      return <Tree followed={followed} detail={detail} />;
    case "source":
      return detail.data_removed ? <DataRemoved what="source" /> : <Source id={detail.id} />;
    case "bill":
      return <Bill id={detail.id} over={ended(detail.status)} settled={followed.settled.value} />;
    default:
      return (
        <>
          {detail.data_removed && <DataRemoved what="input, output and log" />}
          <Overview followed={followed} detail={detail} />
        </>
      );
  }
}

function RunLog({ followed, detail }: { followed: Followed; detail: Detail }) {
  return (
    <Log
      feed={followed.log}
      live={!followed.over.value}
      download={apiUrl(`/predictions/${detail.id}/logs`)}
      name={`${detail.name}.log`}
    />
  );
}

function DataRemoved({ what }: { what: string }) {
  return (
    <div class="notice">
      <strong>The {what} of this run were removed.</strong>
      <p>
        The retention of its namespace was over (annotation <code>mayfly.dev/retention</code>). Its times, its place in
        the tree and its bill stay.
      </p>
    </div>
  );
}

function NoSuchRun({ id }: { id: string }) {
  useEffect(() => {
    document.title = "No such run · Mayfly";
  }, []);
  return (
    <Empty title="There is no such run, or you may not read it">
      <p>
        The id is <code>{id}</code>. What you may read, <a href={href("me")}>your rights</a> say.
      </p>
      <p>
        <a href={href("runs")}>To the runs</a>
      </p>
    </Empty>
  );
}
