// Names for the answers of the REST API; every type comes from its OpenAPI document (`npm run types`).
import type { components } from "./schema";

type Schemas = components["schemas"];
export type ProblemDocument = Schemas["ProblemOut"];
export type FieldProblem = Schemas["FieldProblem"];
export type Search = Schemas["SearchOut"];
export type Objective = Schemas["SpecObjectiveOut"];
export type Trial = Schemas["TrialOut"];
export type TrialDetail = Schemas["TrialDetailOut"];
export type TrialColumns = Schemas["TrialColumnsOut"];
export type Front = Schemas["FrontOut"];
export type HypervolumeCurve = Schemas["HypervolumeCurveOut"];
export type TimelineItem = Schemas["TimelineItemOut"];
export type Supernet = Schemas["SupernetOut"];
export type Curves = Schemas["CurvesOut"];
export type SearchEvent = Schemas["EventOut"];
export type Dataset = Schemas["DatasetOut"];
export type Sample = Schemas["SampleOut"];
export type Device = Schemas["DeviceOut"];
export type Space = Schemas["SpaceOut"];
export type SpaceDetail = Schemas["SpaceDetailOut"];
export type SpaceProfile = Schemas["SpaceProfileOut"];
export type SpaceCheck = Schemas["SpaceCheckOut"];
export type Gene = Schemas["GeneOut"];
export type Architecture = Schemas["ArchitectureOut"];
export type Export = Schemas["ExportOut"];
export type Methods = Schemas["MethodsOut"];
export type Method = Schemas["MethodOut"];
export type LookupTable = Schemas["TableOut"];
export type Plan = Schemas["PlanOut"];
export type Session = Schemas["SessionOut"];
export type Warning = Schemas["WarningOut"];
export type Json = Record<string, unknown>;

export interface Page<T> {
  items: T[];
  next_page_token?: string | null;
}
