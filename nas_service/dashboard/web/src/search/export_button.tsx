// Makes the export of a finalist and offers its files once they are there.
import { useState } from "react";
import { post, useGet } from "../api";
import type { Export } from "../types";

export function ExportButton({ trialId }: { trialId: string }) {
  const [id, setId] = useState<string | null>(null);
  const [failure, setFailure] = useState<string | null>(null);
  const waiting = useGet<Export>(id && `/v1/exports/${id}`, { every_ms: 1500 }).data;
  if (failure) return <span className="chip failed">{failure}</span>;
  if (waiting?.state === "ready")
    return <span className="row">{waiting.files?.map((file) => <a key={file.name} href={`/v1/exports/${waiting.id}/files/${file.name}`} download>{file.name}</a>)}</span>;
  if (id) return <span className="chip running">{waiting?.error?.message ?? waiting?.state ?? "queued"}</span>;
  return (
    <button onClick={(event) => {
      event.stopPropagation();
      post<Export>("/v1/exports", { trial_id: trialId }).then((made) => setId(made.id), (error: Error) => setFailure(error.message));
    }}>Export</button>
  );
}
