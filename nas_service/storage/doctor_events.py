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
        SELECT t.id, t.stage || ' trial ' || t.number || ' is ' || t.state || ', and no event says so'
        FROM trial t
        LEFT JOIN event alone ON alone.search_id = t.search_id AND alone.type = 'trial.finished'
          AND alone.data->>'trial_id' = t.id
        WHERE t.state IN ('succeeded', 'infeasible', 'failed', 'quarantined') AND t.reused_from IS NULL
          AND alone.seq IS NULL
          AND EXISTS (SELECT FROM event e WHERE e.search_id = t.search_id AND e.type = 'search.created')
          AND NOT EXISTS (SELECT FROM event e WHERE e.search_id = t.search_id AND e.type = 'trials.finished')
        UNION ALL
        SELECT many.search_id, many.told || ' trials are told in chunks, ' || stored.count || ' are stored'
        FROM (SELECT search_id, sum((data->>'count')::bigint) AS told FROM event WHERE type = 'trials.finished'
              GROUP BY search_id) AS many, LATERAL (
          SELECT count(*) FROM trial t WHERE t.search_id = many.search_id AND t.stage = 'search') AS stored
        WHERE many.told <> stored.count""",
}
