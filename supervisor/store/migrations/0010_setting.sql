-- All that makes scores comparable, not only what the first settings knew.

ALTER TABLE settings ADD COLUMN details TEXT NOT NULL DEFAULT '';  -- by key, JSON; '': not written down
