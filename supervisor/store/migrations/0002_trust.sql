-- What a run showed from outside and on the sealed holdout, and what looks like gaming.

ALTER TABLE runs ADD COLUMN holdout REAL;             -- the same metric on the sealed holdout
ALTER TABLE runs ADD COLUMN starting_cpu_s REAL;      -- before the first batch, warm-up left out
ALTER TABLE runs ADD COLUMN evaluating_cpu_s REAL;    -- after the last batch
ALTER TABLE runs ADD COLUMN evaluated_bytes INTEGER;

-- 'research', or 'promotion': an experiment that only measures what is to go on main.
ALTER TABLE experiments ADD COLUMN purpose TEXT NOT NULL DEFAULT 'research';

CREATE TABLE flags (
    experiment_id INTEGER NOT NULL REFERENCES experiments (id),
    rule          TEXT NOT NULL,      -- the rule's id
    path          TEXT NOT NULL DEFAULT '',
    line          INTEGER,            -- in the commit's version of `path`; NULL: seen while it ran
    excerpt       TEXT NOT NULL DEFAULT '',
    detail        TEXT NOT NULL DEFAULT '',
    UNIQUE (experiment_id, rule, path, line, excerpt)
);
