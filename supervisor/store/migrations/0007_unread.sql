-- Costs are the sums of steps, and claims do not expire: nothing reads these.

ALTER TABLE agents DROP COLUMN cost_usd;
ALTER TABLE agents DROP COLUMN tokens;
ALTER TABLE experiments DROP COLUMN cost_usd;
ALTER TABLE hypotheses DROP COLUMN claimed_at;
