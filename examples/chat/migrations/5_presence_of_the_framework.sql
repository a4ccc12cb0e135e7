-- Who is here is no longer stored: the framework's presence tells it.

DROP TABLE presence;
DROP TABLE processes;
ALTER TABLE rooms DROP COLUMN changes;
