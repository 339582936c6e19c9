"""The indexes of the tables: what each serves, and which are partial where the database can."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Index, text

from forktask.tables import ATTEMPT, COMPLETED_STATE, LIVE_STATES, STATUS, SUPERVISOR, metadata

PARTIAL: Final = ("sqlite", "postgresql")
"""Where an index may be partial."""
WHERE: Final = "where"
"""Key, in `Index.info`, of what the rows of a partial one fulfil."""

Index(
    "forktask_status_live",
    STATUS.c.state,
    STATUS.c.priority.desc(),
    STATUS.c.id,
    STATUS.c.run_after,
    info={WHERE: LIVE_STATES},
)
"""Serves the claim and every look at what is not final, in the order in which rows are taken, so that neither ten
thousand waiting rows nor, partial where the database can, a million final ones cost anything. It covers no column
that progress writes."""
_initiated = text("state = 'queued' AND queue IS NULL AND limit_name IS NULL")
for _name, _first, _is_partial in (
    ("forktask_status_initiated", (STATUS.c.state,), True),
    ("forktask_status_of_no_queue", (STATUS.c.queue, STATUS.c.state), False),
):
    Index(
        _name,
        *_first,
        STATUS.c.priority.desc(),
        STATUS.c.id,
        info={WHERE: _initiated},
    ).ddl_if(callable_=lambda *of, dialect, is_partial=_is_partial, **kw: (dialect.name in PARTIAL) == is_partial)
"""Serves the look for what was initiated, in its order, so that it costs nothing how much waits in queues. Where it is
not partial, it has to tell by a column what is in no queue."""
Index(
    "forktask_status_queue",
    STATUS.c.queue,
    STATUS.c.state,
    STATUS.c.task,
    info={WHERE: text("state = 'queued' AND queue IS NOT NULL")},
)
"""Tells in which queues something waits."""
Index(
    "forktask_status_line",
    STATUS.c.state,
    STATUS.c.line,
    STATUS.c.later,
    STATUS.c.priority.desc(),
    STATUS.c.turn,
    STATUS.c.due_at,
    STATUS.c.id,
    info={WHERE: text("state = 'queued' AND line IS NOT NULL")},
)
"""Serves the claim from a line, in its order."""
Index(
    "forktask_status_lane",
    STATUS.c.state,
    STATUS.c.line,
    STATUS.c.priority,
    STATUS.c.lane,
    STATUS.c.turn,
    info={WHERE: text("state = 'queued' AND line IS NOT NULL")},
)
"""Tells the last turn of an owner."""
Index(
    "forktask_status_later",
    STATUS.c.state,
    STATUS.c.later,
    STATUS.c.due_at,
    info={WHERE: text("state = 'queued' AND later = 1")},
)
"""Serves the look for those whose time has come."""
Index(
    "forktask_status_limit",
    STATUS.c.state,
    STATUS.c.limit_name,
    info={WHERE: text(f"limit_name IS NOT NULL AND {LIVE_STATES}")},
)
"""Tells which limits something waits for, and how much runs under each."""
# Partial where the database can: a row that has no owner, or has not ended, is not written into their indexes.
for _name, _columns, _where in (
    ("once_key", ("once_key",), "once_key IS NOT NULL"),
    ("owner", ("owner", "id"), "owner IS NOT NULL"),
    ("finished", ("finished_at",), "finished_at IS NOT NULL"),
    ("reference", ("reference",), "reference IS NOT NULL"),
    ("visitor", ("visitor", "state", "id"), "visitor IS NOT NULL"),
    # With `visitor` these serve what somebody may see of all that has not ended, however much of it there is.
    ("live_owner", ("owner", "state", "id"), f"owner IS NOT NULL AND {LIVE_STATES}"),
    ("unique", ("unique_key",), f"unique_key IS NOT NULL AND {LIVE_STATES}"),
    ("live_public", ("public", "state", "id"), f"public = 1 AND {LIVE_STATES}"),
):
    _index = Index(
        f"forktask_status_{_name}",
        *(STATUS.c[_column] for _column in _columns),
        unique=_name in ("once_key", "unique"),
        info={WHERE: text(_where)},
    )
    if _name == "unique":
        _index.ddl_if(callable_=lambda *of, dialect, **kw: dialect.name in PARTIAL)
Index("forktask_status_task", STATUS.c.task, STATUS.c.id)
Index(
    "forktask_status_history",
    STATUS.c.task,
    STATUS.c.state,
    STATUS.c.finished_at,
    info={WHERE: COMPLETED_STATE},
)
"""Serves the durations of the last runs of a task; partial where the database can, so that only an end pays for it."""
Index(
    "forktask_attempt_reference",
    ATTEMPT.c.reference,
    info={WHERE: text("reference IS NOT NULL")},
)
"""Serves the look for what a person quotes, of an attempt that another one has followed."""
Index("forktask_supervisor_stopped", SUPERVISOR.c.stopped_at)

INDEXES: Final = frozenset(index for table in metadata.sorted_tables for index in table.indexes)
"""All of them."""
