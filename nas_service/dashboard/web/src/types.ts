// The answers of the REST API that the dashboard reads.
export interface ProblemDocument {
  title: string;
  status: number;
  detail?: string;
  request_id?: string;
  errors?: { pointer: string; code: string; message: string; suggestion?: string }[];
}
export interface Page<T> { items: T[]; next_page_token: string | null }
export interface Objective {
  metric: string;
  goal: "maximize" | "minimize";
  constraint: { minimum: number | null; maximum: number | null } | null;
  optimize: boolean;
}
export interface Progress { phase: string; fraction: number | null; eta_s: number | null; message: string | null }
export interface Search {
  id: string; name: string; state: string; phase: string;
  space_id: string; dataset_id: string; supernet_id: string | null;
  spec: { objectives: Objective[]; budget: { trials: number }; strategy: { name: string }; seed: number } & Record<string, unknown>;
  progress: Progress | null;
  num_asked: number; num_told: number; num_rejected: number;
  hypervolume: number | null; front_size: number | null; reference_point: number[] | null;
  error: { reason?: string; message?: string } | null;
  created_at: string; started_at: string | null; finished_at: string | null;
}
export interface Trial {
  id: string; number: number; stage: "search" | "final"; state: string; architecture_hash: string;
  choices?: Record<string, unknown>;
  accuracy_top1: number | null; loss: number | null; macs: number | null; params: number | null;
  latency_ms: number | null; latency_p10_ms: number | null; latency_p90_ms: number | null;
  metrics: Record<string, unknown>; reused_from: string | null;
  error: { reason?: string; message?: string } | null; created_at: string; finished_at: string | null;
}
export interface Front {
  stage: string; num_evaluations: number; hypervolume: number | null; reference_point: number[] | null;
  members: Trial[]; history?: { num_evaluations: number; hypervolume: number; front_size: number }[];
}
export interface CurvePoint { subnet: string; step: number; accuracy_top1: number; loss: number }
export interface SearchEvent { seq: number; type: string; data: Record<string, unknown>; created_at: string }
export interface Named { id: string; name: string }
export interface Dataset extends Named { fingerprint: string; manifest: Record<string, unknown>; created_at: string }
export interface Space extends Named { cardinality: string | number; num_genes: number; created_at: string }
export interface Architecture {
  hash: string; space_id: string; choices: Record<string, unknown>;
  costs: Record<string, number>;
  nodes: { key: string; block: string; params: Record<string, unknown>; out_shape: Record<string, number>; macs: number; params_count: number }[];
}
export interface Export { id: string; trial_id: string; state: string; files: { name: string; size_bytes: number; sha256: string }[] | null; error: { message?: string } | null }
