CREATE TABLE accounts (
    -- 1 to 30 characters, without controls, and without spaces around them
    name TEXT PRIMARY KEY CHECK (
        length(name) BETWEEN 1 AND 30
        AND name = trim(name)
        AND name NOT GLOB '*[' || char(1) || '-' || char(31) || char(127) || ']*'
        AND instr(name, char(0)) = 0
    ),
    password TEXT NOT NULL,
    is_auctioneer BOOLEAN NOT NULL DEFAULT FALSE,
    is_removed BOOLEAN NOT NULL DEFAULT FALSE
);
CREATE TABLE lots (
    id INTEGER PRIMARY KEY,
    title TEXT NOT NULL,
    cents INTEGER NOT NULL DEFAULT 0,
    bidder TEXT REFERENCES accounts (name),
    ends_at INTEGER NOT NULL,
    is_ended BOOLEAN NOT NULL DEFAULT FALSE
);
