// Makes the export of a trial and offers its files once they are there.
import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { post, useGet } from "../api";
import { bytes } from "../format";
import type { Export, Page } from "../types";

export function ExportButton({ trialId, searchId }: { trialId: string; searchId: string }) {
  const client = useQueryClient();
  const path = `/v1/searches/${searchId}/exports?page_size=1000`;
  const known = useGet<Page<Export>>(path, { every_ms: 3000 }).data?.items.find((item) => item.trial_id === trialId);
  const [failure, setFailure] = useState<string | null>(null);
  const make = () => post<Export>("/v1/exports", { trial_id: trialId }).then(() => client.invalidateQueries({ queryKey: [path] }), (error: Error) => setFailure(error.message));
  if (failure) return <span className="chip failed">{failure}</span>;
  if (known?.state === "ready")
    return (
      <details onClick={(event) => event.stopPropagation()}>
        <summary>{known.files?.length} files</summary>
        <ul className="files">
          {known.files?.map((file) => <li key={String(file.name)}><a href={`/v1/exports/${known.id}/files/${file.name}`} download>{String(file.name)}</a> <span className="muted">{bytes(Number(file.size_bytes))}</span></li>)}
        </ul>
      </details>
    );
  if (known && known.state !== "failed") return <span className="chip running">{known.state}</span>;
  return (
    <>
      {known && <span className="chip failed">{String(known.error?.message ?? "failed")}</span>}
      <button onClick={(event) => { event.stopPropagation(); void make(); }}>Export</button>
    </>
  );
}
