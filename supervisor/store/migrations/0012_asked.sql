-- The limits as they were asked for last: the same request again goes on with them.

ALTER TABLE campaigns ADD COLUMN asked_experiments INTEGER;  -- NULL: not asked for
ALTER TABLE campaigns ADD COLUMN asked_hours REAL;
ALTER TABLE campaigns ADD COLUMN asked_usd REAL;
