-- People, rooms, what was said, and who is here. All times are milliseconds since 1970.

CREATE TABLE users (
    -- AUTOINCREMENT: an id that was once somebody's never becomes somebody else's.
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL,
    -- The name in lower case, made by the program: SQLite's NOCASE knows ASCII alone.
    folded TEXT NOT NULL UNIQUE,
    password TEXT NOT NULL
) STRICT;

CREATE TABLE attempts (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    -- A name or an address, as in 'name ana' and 'address 127.0.0.1'.
    subject TEXT NOT NULL,
    at INTEGER NOT NULL
) STRICT;
CREATE INDEX attempts_by_subject ON attempts (subject, at);
CREATE INDEX attempts_by_time ON attempts (at);

CREATE TABLE rooms (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    slug TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    folded TEXT NOT NULL UNIQUE,
    created_at INTEGER NOT NULL,
    -- How often the list of those who are here has changed: of two lists the one with the higher number is newer.
    changes INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE TABLE messages (
    -- AUTOINCREMENT, and one writer at a time: whoever sees an id sees all lower ones too.
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    room INTEGER NOT NULL REFERENCES rooms,
    user INTEGER NOT NULL REFERENCES users,
    -- Chosen by the sender's page: saying the same thing again stores nothing.
    key TEXT NOT NULL,
    text TEXT NOT NULL,
    at INTEGER NOT NULL,
    UNIQUE (user, key)
) STRICT;
-- The user is in it, so that unread messages are counted without a look at the messages themselves.
CREATE INDEX messages_by_room ON messages (room, id, user);

-- The newest message of a room that somebody has seen.
CREATE TABLE seen (
    user INTEGER NOT NULL REFERENCES users,
    room INTEGER NOT NULL REFERENCES rooms,
    message INTEGER NOT NULL,
    PRIMARY KEY (user, room)
) STRICT, WITHOUT ROWID;

-- The programs that serve this folder, and when each was last alive.
CREATE TABLE processes (
    id TEXT PRIMARY KEY,
    seen_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- One row for each tab with an open room.
CREATE TABLE presence (
    process TEXT NOT NULL REFERENCES processes ON DELETE CASCADE,
    -- The address of its socket, which is unique within its process.
    channel TEXT NOT NULL,
    room INTEGER NOT NULL REFERENCES rooms,
    user INTEGER NOT NULL REFERENCES users,
    PRIMARY KEY (process, channel)
) STRICT, WITHOUT ROWID;
CREATE INDEX presence_by_room ON presence (room, user);
