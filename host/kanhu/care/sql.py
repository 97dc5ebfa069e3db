"""Statements on the alarms tables (kanhu.journal.schema). Every name is (hub, boot, seq)."""

from __future__ import annotations

LIVE = "SELECT * FROM alarms WHERE state <> 7"  # 7: kinds.CLOSED, as the index says it
ONE = "SELECT * FROM alarms WHERE hub=? AND boot=? AND seq=?"
HISTORY = (
    "SELECT at_ms, what, operator, reason FROM alarm_history WHERE hub=? AND boot=? AND seq=? ORDER BY id"
)
STEP = "INSERT INTO alarm_history (hub, boot, seq, at_ms, what, operator, reason) VALUES (?,?,?,?,?,?,?)"

# name, at_ms
OPENED = """
INSERT INTO alarm_history (hub, boot, seq, at_ms, what) SELECT ?1, ?2, ?3, ?4, 'opened'
WHERE NOT EXISTS (SELECT 1 FROM alarms WHERE hub=?1 AND boot=?2 AND seq=?3)
"""
# name, kind, device, state, opened_ms
OPEN = """
INSERT OR IGNORE INTO alarms (hub, boot, seq, kind, device, state, opened_ms) VALUES (?,?,?,?,?,?,?)
"""
# stored_ms, opened_ms, kind, device, name
FIRST_CAME = "UPDATE alarms SET stored_ms=?, opened_ms=?, kind=?, device=? WHERE hub=? AND boot=? AND seq=?"
# presses, attempt, name
SAID_AGAIN = """
UPDATE alarms SET presses=presses+?, attempts=max(attempts, ?) WHERE hub=? AND boot=? AND seq=?
"""
# at_ms, name
REOPENED = """
INSERT INTO alarm_history (hub, boot, seq, at_ms, what) SELECT ?2, ?3, ?4, ?1, 'reopened'
FROM alarms WHERE hub=?2 AND boot=?3 AND seq=?4 AND state<>1
"""
# name
REOPEN = """
UPDATE alarms SET state=1, accepted_ms=NULL, accepted_by=NULL, closed_ms=NULL, closed_by=NULL, reason=NULL
WHERE hub=? AND boot=? AND seq=?
"""
# at_ms, operator, name
ACCEPT = "UPDATE alarms SET state=4, accepted_ms=?, accepted_by=? WHERE hub=? AND boot=? AND seq=?"
# at_ms, operator, reason, name
CLOSE = "UPDATE alarms SET state=7, closed_ms=?, closed_by=?, reason=? WHERE hub=? AND boot=? AND seq=?"
# reason, name
CORRECT = "UPDATE alarms SET reason=? WHERE hub=? AND boot=? AND seq=?"
