"""The one source of truth: SQLite in WAL mode. One room per concept, one transaction per transition.

`connection` alone knows sqlite3; `reading` builds the snapshot; the other rooms write.
"""
