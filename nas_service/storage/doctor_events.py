"""Invariants of the event log: what a subscriber who reads it by its cursor could miss or hear twice."""

from __future__ import annotations

# Events that say in which state a search is, and the state each of them says.
_TOLD = """
    SELECT DISTINCT ON (search_id) search_id, CASE type WHEN 'search.state' THEN data->>'state'
      WHEN 'search.created' THEN 'queued' ELSE substr(type, length('search.') + 1) END AS state
    FROM event
    WHERE type IN ('search.created', 'search.state', 'search.succeeded', 'search.failed', 'search.cancelled')
    ORDER BY search_id, seq DESC"""

# name of the invariant -> query of (subject, detail), one row for each case in which it is broken
EVENT_CHECKS = {
    "events_tell_the_state": f"""
        SELECT s.id, 'is ' || s.state || ', its events say ' || told.state
        FROM search s JOIN ({_TOLD}) AS told ON told.search_id = s.id WHERE told.state <> s.state""",
    "no_trial_ends_twice": """
        SELECT data->>'trial_id', count(*) || ' events say that it has ended'
        FROM event WHERE type = 'trial.finished' GROUP BY search_id, data->>'trial_id' HAVING count(*) > 1""",
    "ended_trials_are_told": """
        SELECT id, 'has ended, and no event says so' FROM (
          SELECT search_id, id FROM trial
          WHERE state IN ('succeeded', 'infeasible', 'failed', 'quarantined') AND reused_from IS NULL
            AND search_id IN (SELECT search_id FROM event WHERE type = 'search.created')
            AND search_id NOT IN (
              SELECT search_id FROM event WHERE type = 'trials.finished' AND search_id IS NOT NULL)
          EXCEPT  -- hashes both sides, where a join is planned as a loop over all pairs
          SELECT search_id, data->>'trial_id' FROM event WHERE type = 'trial.finished') AS untold
        UNION ALL
        SELECT many.search_id, many.told || ' trials are told in chunks, ' || stored.count || ' are stored'
        FROM (SELECT search_id, sum((data->>'count')::bigint) AS told FROM event WHERE type = 'trials.finished'
              GROUP BY search_id) AS many, LATERAL (
          SELECT count(*) FROM trial t WHERE t.search_id = many.search_id AND t.stage = 'search') AS stored
        WHERE many.told <> stored.count""",
}
