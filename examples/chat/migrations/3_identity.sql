-- Which chat this is: several may share a Redis, and must not hear each other there.

CREATE TABLE chat (id TEXT NOT NULL) STRICT;
INSERT INTO chat VALUES (lower(hex(randomblob(8))));
