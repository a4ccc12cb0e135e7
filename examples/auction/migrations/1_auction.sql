CREATE TABLE accounts (
    name TEXT PRIMARY KEY,
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
