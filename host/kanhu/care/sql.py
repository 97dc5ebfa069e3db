"""Statements on the alarms tables (kanhu.journal.schema). Every name is (hub, boot, seq)."""

from __future__ import annotations

LIVE = "SELECT * FROM alarms WHERE state <> 7"  # 7: kinds.CLOSED, as the index says it
ONE = "SELECT * FROM alarms WHERE hub=? AND boot=? AND seq=?"
HISTORY = (
    "SELECT at_ms, what, operator, reason FROM alarm_history WHERE hub=? AND boot=? AND seq=? ORDER BY id"
)
# limit, offset
TOUCHED = "SELECT hub, boot, seq FROM alarm_history ORDER BY id DESC LIMIT ? OFFSET ?"
STEP = "INSERT INTO alarm_history (hub, boot, seq, at_ms, what, operator, reason) VALUES (?,?,?,?,?,?,?)"

# name, at_ms
OPENED = """
INSERT INTO alarm_history (hub, boot, seq, at_ms, what) SELECT ?1, ?2, ?3, ?4, 'opened'
WHERE NOT EXISTS (SELECT 1 FROM alarms WHERE hub=?1 AND boot=?2 AND seq=?3)
"""
# name, kind, device, state, opened_ms
OPEN = """
INSERT OR IGNORE INTO alarms (hub, boot, seq, kind, device, state, opened_ms, raised_ms)
VALUES (?1,?2,?3,?4,?5,?6,?7,?7)
"""
# stored_ms, opened_ms, kind, device, name
FIRST_CAME = """
UPDATE alarms SET stored_ms=?1, opened_ms=?2, raised_ms=?2, kind=?3, device=?4
WHERE hub=?5 AND boot=?6 AND seq=?7
"""
# presses, attempt, name
SAID_AGAIN = """
UPDATE alarms SET presses=presses+?, attempts=max(attempts, ?) WHERE hub=? AND boot=? AND seq=?
"""
# at_ms, name
REOPENED = """
INSERT INTO alarm_history (hub, boot, seq, at_ms, what) SELECT ?2, ?3, ?4, ?1, 'reopened'
FROM alarms WHERE hub=?2 AND boot=?3 AND seq=?4 AND state<>1
"""
# at_ms, name
REOPEN = """
UPDATE alarms SET state=1, raised_ms=?, level=1, accepted_ms=NULL, accepted_by=NULL, dispatched_ms=NULL,
on_scene_ms=NULL, closed_ms=NULL, closed_by=NULL, reason=NULL
WHERE hub=? AND boot=? AND seq=?
"""

# name, kind, device, state, opened_ms, raised_ms, asked_until_ms, stored_ms, rule, explanation
BEGIN = """
INSERT OR IGNORE INTO alarms (hub, boot, seq, kind, device, state, opened_ms, raised_ms, asked_until_ms,
stored_ms, rule, explanation) VALUES (?,?,?,?,?,?,?,?,?,?,?,?)
"""
# The hub's pre_alarm came after what followed from it.
# stored_ms, opened_ms, kind, device, asked_until_ms, name
ASKED_CAME = """
UPDATE alarms SET stored_ms=?, opened_ms=?, kind=?, device=?, asked_until_ms=?
WHERE hub=? AND boot=? AND seq=?
"""
# at_ms, name
RAISE = "UPDATE alarms SET state=1, raised_ms=? WHERE hub=? AND boot=? AND seq=?"
# level, name
ESCALATE = "UPDATE alarms SET level=? WHERE hub=? AND boot=? AND seq=?"

# at_ms, operator, name
ACCEPT = "UPDATE alarms SET state=4, accepted_ms=?, accepted_by=? WHERE hub=? AND boot=? AND seq=?"
# at_ms, name
DISPATCH = "UPDATE alarms SET state=5, dispatched_ms=? WHERE hub=? AND boot=? AND seq=?"
# at_ms, name
ON_SCENE = "UPDATE alarms SET state=6, on_scene_ms=? WHERE hub=? AND boot=? AND seq=?"
# operator, name
HAND_OVER = "UPDATE alarms SET accepted_by=? WHERE hub=? AND boot=? AND seq=?"
# at_ms, operator, reason, name
CLOSE = "UPDATE alarms SET state=7, closed_ms=?, closed_by=?, reason=? WHERE hub=? AND boot=? AND seq=?"
# reason, name
CORRECT = "UPDATE alarms SET reason=? WHERE hub=? AND boot=? AND seq=?"
# at_ms, outcome, reason, name: of an alarm that a rule has raised
OUTCOME = """
INSERT INTO rule_record (hub, rule, at_ms, boot, seq, outcome, reason)
SELECT hub, rule, ?, boot, seq, ?, ? FROM alarms WHERE hub=? AND boot=? AND seq=? AND rule IS NOT NULL
"""
