// A moment, short; pointing at it tells the whole date and time zone.
import { shortTime, time } from "./format";

export const Moment = ({ iso }: { iso: string | null | undefined }) => (iso == null ? <>–</> : <time dateTime={iso} title={time(iso)}>{shortTime(iso)}</time>);
