-- Agents with a model behind them: what each step of thinking cost, and until when a limit keeps one waiting.

ALTER TABLE agents ADD COLUMN model TEXT NOT NULL DEFAULT '';   -- '': the backend's own default
ALTER TABLE agents ADD COLUMN mode TEXT NOT NULL DEFAULT 'headless';
ALTER TABLE agents ADD COLUMN parked_until REAL;                -- a limit of its model; NULL: none

ALTER TABLE hypotheses ADD COLUMN risk TEXT NOT NULL DEFAULT '';
ALTER TABLE hypotheses ADD COLUMN builds_on TEXT NOT NULL DEFAULT '';     -- experiments, by id, with spaces between
ALTER TABLE hypotheses ADD COLUMN falsified_by TEXT NOT NULL DEFAULT '';
ALTER TABLE hypotheses ADD COLUMN independent INTEGER;                    -- of the others of its plan; NULL: not said

CREATE TABLE steps (
    id                 INTEGER PRIMARY KEY AUTOINCREMENT,
    tag                TEXT NOT NULL REFERENCES campaigns (tag),
    agent              TEXT NOT NULL,
    experiment_id      INTEGER REFERENCES experiments (id),   -- NULL: a plan
    kind               TEXT NOT NULL,                         -- plan, edit, reflect
    backend            TEXT NOT NULL,
    model              TEXT NOT NULL DEFAULT '',
    started_at         REAL NOT NULL,
    ended_at           REAL NOT NULL,
    ending             TEXT NOT NULL,                         -- an EditResult, 'done', 'parked' or 'failed'
    detail             TEXT NOT NULL DEFAULT '',
    usd                REAL NOT NULL DEFAULT 0,
    usd_is_estimate    INTEGER NOT NULL DEFAULT 0,            -- from the price table, not from the client
    input_tokens       INTEGER NOT NULL DEFAULT 0,            -- those read from or written to a cache left out
    output_tokens      INTEGER NOT NULL DEFAULT 0,
    cache_read_tokens  INTEGER NOT NULL DEFAULT 0,
    cache_write_tokens INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX steps_of ON steps (tag, experiment_id);

ALTER TABLE campaigns ADD COLUMN limit_usd_each REAL;           -- of one agent
